package testkit

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Patience with a server that starts, and with one that was asked to stop.
const (
	startPatience = 20 * time.Second
	stopPatience  = 3 * time.Second
)

// Make builds files below the server's home as [MakeFS] does, owned by its user.
func (s *FTPServer) Make(t testing.TB, lines ...string) {
	t.Helper()
	MakeFS(t, s.Home, lines)
	s.Own(t)
}

// Own gives everything below the server's home to its user.
func (s *FTPServer) Own(t testing.TB) {
	t.Helper()
	err := filepath.WalkDir(s.Home, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, s.uid, s.gid)
	})
	if err != nil {
		t.Fatalf("give the server's files to its user: %v", err)
	}
}

// bench is what a server is started on: its description, a folder of its own, and
// what its configuration is written from.
type bench struct {
	*FTPServer
	dir   string // for configuration and logs
	peers string // where the packages are unpacked
	env   []string
	opts  ServerOptions
}

func newBench(t testing.TB, name string, opts ServerOptions) *bench {
	t.Helper()
	acc := testAccount(t)
	b := &bench{peers: peers(t), opts: opts}
	// Other users have to pass through, which t.TempDir does not let them.
	dir, err := os.MkdirTemp("", "sallyport-"+name+"-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the server's folder: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b.dir = dir
	s := &FTPServer{
		Host: opts.Host, Port: opts.Port, Home: opts.Home,
		User: acc.name, Password: acc.password, uid: acc.uid, gid: acc.gid,
		Passive: PortRange{opts.PassiveMin, opts.PassiveMax},
		LogFile: filepath.Join(dir, "log"),
	}
	b.FTPServer = s
	if s.Host == "" {
		s.Host = "127.0.0.1"
	}
	if s.Port == 0 {
		s.Port = FreePort(t)
	}
	s.Addr = net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
	if s.Passive.Min == 0 {
		s.Passive = Ports(t)
	}
	if s.Home == "" {
		s.Home = filepath.Join(dir, "home")
		if err := os.Mkdir(s.Home, 0o755); err != nil {
			t.Fatal(err)
		}
		s.Own(t)
	}
	if opts.TLS != nil {
		if s.Certs = opts.TLS.Certs; s.Certs == nil {
			s.Certs = NewCerts(t, s.Host, "localhost")
		}
	}
	return b
}

// config writes a configuration file of "key SEP value" lines, ours overlaid by the
// caller's, and returns its path.
func (b *bench) config(t testing.TB, sep string, ours map[string]string, more string) string {
	t.Helper()
	all := maps.Clone(ours)
	maps.Copy(all, b.opts.Extra)
	var text strings.Builder
	for _, k := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&text, "%s%s%s\n", k, sep, all[k])
	}
	text.WriteString(more)
	path := filepath.Join(b.dir, "conf")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// start runs the server as a process group of its own until the test ends, and
// waits until it listens.
func (b *bench) start(t testing.TB, program string, args ...string) *FTPServer {
	t.Helper()
	if !filepath.IsAbs(program) {
		program = filepath.Join(b.peers, program)
	}
	args = append([]string{program}, args...)
	if b.opts.Netns != "" {
		args = append([]string{"ip", "netns", "exec", b.opts.Netns}, args...)
	}
	out, err := os.OpenFile(b.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = b.dir
	cmd.Env = append(peerEnv(b.peers), b.env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	b.PID = cmd.Process.Pid
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the process, which the clean-up below waits for
	t.Cleanup(func() {
		stop(t, b.PID, ended)
		if t.Failed() {
			t.Logf("%s wrote:\n%s", program, tail(b.LogFile))
		}
	})
	if err := b.waitListening(ended); err != nil {
		t.Fatalf("start %s: %v\n%s", program, err, tail(b.LogFile))
	}
	return b.FTPServer
}

// stop ends the process group of pid and waits for its leader.
func stop(t testing.TB, pid int, ended chan error) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := syscall.Kill(-pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Errorf("stop the server's process group %d: %v", pid, err)
		}
		patience := time.NewTimer(stopPatience)
		select {
		case <-ended: // killed, as asked
			patience.Stop()
			// Sessions are processes of the same group; some outlive their parent.
			if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				t.Errorf("stop the server's sessions %d: %v", pid, err)
			}
			return
		case <-patience.C:
		}
	}
	t.Errorf("the server's process %d does not end", pid)
}

// waitListening polls until the server's port is bound, looking at the kernel's
// table (of the server's own namespace) rather than connecting, which would start
// a session.
func (b *bench) waitListening(ended chan error) error {
	deadline := time.NewTimer(startPatience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if listening(b.PID, b.Port) {
			return nil
		}
		select {
		case err := <-ended:
			ended <- err // for the clean-up
			return fmt.Errorf("it ended: %w", err)
		case <-deadline.C:
			return fmt.Errorf("it does not listen on port %d after %v", b.Port, startPatience)
		case <-tick.C:
		}
	}
}

// listening reports whether a socket listens on port in pid's network namespace.
func listening(pid, port int) bool {
	want := fmt.Sprintf(":%04X", port)
	for _, table := range []string{"tcp", "tcp6"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue // it may not have IPv6, or have ended, which the caller sees
		}
		found := false
		for s := bufio.NewScanner(f); s.Scan() && !found; {
			// sl local_address rem_address st ...; 0A is TCP_LISTEN
			w := strings.Fields(s.Text())
			found = len(w) > 3 && w[3] == "0A" && strings.HasSuffix(w[1], want)
		}
		_ = f.Close()
		if found {
			return true
		}
	}
	return false
}

// tail returns the last 8 KiB of a log.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-8<<10):])
}
