package connector

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/testkit"
)

// watchedServer relays control connections to a real server through a watcher;
// data connections go to the server itself.
type watchedServer struct {
	addr string

	mu    sync.Mutex // guards the following
	ports []int
	log   bytes.Buffer
}

func (s *watchedServer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

// announced returns what was opened and logged since the last call.
func (s *watchedServer) announced() (ports []int, log string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ports, log = s.ports, s.log.String()
	s.ports = nil
	s.log.Reset()
	return ports, log
}

func watch(t *testing.T, server string) *watchedServer {
	t.Helper()
	l, err := netx.System{}.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &watchedServer{addr: l.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.relay(ctx, c, server) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		cancel()
		wg.Wait()
	})
	return s
}

func (s *watchedServer) relay(ctx context.Context, client net.Conn, server string) {
	inside, err := netx.System{}.Dial(ctx, "tcp", server)
	if err != nil {
		_ = client.Close()
		return
	}
	w := newWatcher(watchHooks{
		announce: func(port uint16, _ netip.Addr) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.ports = append(s.ports, int(port))
			return nil
		},
		refused: func(uint16, *fault.Error) {},
		cancel:  func() {},
	}, slog.New(slog.NewTextHandler(s, nil)))
	if _, err := netx.Relay(ctx, client, newWatchedConn(inside, w), 0); err != nil && ctx.Err() == nil {
		slog.New(slog.NewTextHandler(s, nil)).Info("relay ended", "error", err)
	}
}

// TestWatcherWithRealPeers has curl and lftp talk to Debian's servers through the
// watcher: every data port is seen, nothing falls out of step, and what is refused
// is refused in words that the client shows.
func TestWatcherWithRealPeers(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *testkit.FTPServer{
		"vsftpd":   func(t *testing.T) *testkit.FTPServer { return testkit.Vsftpd(t, testkit.VsftpdOptions{}) },
		"proftpd":  func(t *testing.T) *testkit.FTPServer { return testkit.Proftpd(t, testkit.ProftpdOptions{}) },
		"pureftpd": func(t *testing.T) *testkit.FTPServer { return testkit.Pureftpd(t, testkit.PureftpdOptions{}) },
	} {
		t.Run(name, func(t *testing.T) {
			server := start(t)
			testWithPeer(t, server, watch(t, server.Addr))
		})
	}
}

func testWithPeer(t *testing.T, server *testkit.FTPServer, s *watchedServer) {
	const text = "what travels"
	file := filepath.Join(t.TempDir(), "up.txt")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	curl, curlEnv := testkit.Tool(t, "curl")
	lftp, lftpEnv := testkit.Tool(t, "lftp")
	url := "ftp://" + s.addr + "/"
	login := server.User + ":" + server.Password
	script := func(sync string) string {
		return "set ftp:sync-mode " + sync + "; set ftp:ssl-allow yes; set net:max-retries 1; set net:timeout 20; open -u " + server.User + "," + server.Password + " ftp://" + s.addr +
			"; put " + file + " -o lftp.txt; cls -1; cat lftp.txt; rm lftp.txt"
	}
	for _, tt := range []struct {
		name  string
		tool  string
		args  []string
		want  string // in what the client prints
		ports bool   // data ports are announced
		log   string
	}{
		{"upload_epsv", curl, []string{"-T", file}, "", true, ""},
		{"list_epsv", curl, nil, "up.txt", true, ""},
		{"download_pasv", curl, []string{"--disable-epsv"}, text, true, ""},
		{"active", curl, []string{"--ftp-port", "-"}, "500", false, "passive mode"},
		{"tls_if_possible", curl, []string{"--ssl", "--insecure"}, text, true, "plain FTP"},
		{"tls_required", curl, []string{"--ssl-reqd", "--insecure"}, "curl: (64)", false, "plain FTP"},
		{"lftp_one_by_one", lftp, []string{"-c", script("on")}, text, true, "plain FTP"},
		{"lftp_pipelined", lftp, []string{"-c", script("off")}, text, true, "plain FTP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args, env := tt.args, lftpEnv
			if tt.tool == curl {
				target := url + "up.txt"
				if tt.name == "list_epsv" {
					target = url
				}
				args, env = append([]string{"-sSv", "--max-time", "30", "--noproxy", "*", "--user", login, target}, tt.args...), curlEnv
			}
			cmd := exec.CommandContext(t.Context(), tt.tool, args...)
			cmd.Env = append(os.Environ(), env...)
			out, err := cmd.CombinedOutput() // the exit code is the client's opinion; what it prints tells
			ports, log := s.announced()
			if !strings.Contains(string(out), tt.want) || (err != nil) == tt.ports {
				t.Errorf("got %v and\n%s\nwant %q in it; log:\n%s", err, out, tt.want, log)
			}
			if (len(ports) > 0) != tt.ports || slices.ContainsFunc(ports, func(p int) bool { return p < server.Passive.Min || p > server.Passive.Max }) {
				t.Errorf("got data ports %v, want them: %v, all in %v", ports, tt.ports, server.Passive)
			}
			log = strings.ReplaceAll(log, `FTP reply without a command" error="reply 200 \"Logout`, "") // Pure-FTPd says so to clients that just went away
			if !strings.Contains(log, tt.log) || strings.Contains(log, "out of step") || strings.Contains(log, "without a command") || strings.Contains(log, server.Password) {
				t.Errorf("log: got %s\nwant %q, nothing out of step and no password", log, tt.log)
			}
		})
	}
}
