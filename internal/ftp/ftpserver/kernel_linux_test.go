package ftpserver_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/testkit"
)

// serveEnv names the folder that the test program serves, when it is started as a
// server of its own, until its standard input ends.
const serveEnv = "SALLYPORT_TEST_SERVE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveEnv); dir != "" {
		if err := serveFolder(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func serveFolder(dir string) error {
	srv, tree, err := newServer(dir)
	if err != nil {
		return err
	}
	tree.Sync = os.Getenv(syncEnv) != ""
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	fmt.Println(l.Addr())
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	if err := srv.Close(); err != nil {
		return err
	}
	<-served // ErrServerClosed
	return tree.Close()
}

var (
	moved = regexp.MustCompile(`(?m)(sendfile|splice|read|write|recvfrom|sendto|pread64|pwrite64|readv|writev)(?:\(| resumed).*\) += (\d+)$`)
	sizes = 32 << 20
)

// traced serves a folder from a process under strace, has work done with it, and
// returns what strace wrote of the system calls named, "" meaning all.
func traced(t *testing.T, calls string, work func(s *site)) string {
	t.Helper()
	strace, _ := testkit.Tool(t, "strace")
	dir := t.TempDir()
	trace := filepath.Join(t.TempDir(), "trace")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-f", "-o", trace, "-s", "4"}
	if calls != "" {
		args = append(args, "-e", "trace="+calls)
	}
	cmd := exec.CommandContext(t.Context(), strace, append(args, self)...)
	cmd.Env = append(os.Environ(), serveEnv+"="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr := make([]byte, 64)
	n, err := stdout.Read(addr)
	if err != nil {
		_ = cmd.Wait()
		testkit.Need(t, false, "the right to trace a process", "strace says: "+stderr.String())
	}
	work(&site{t: t, dir: dir, net: netx.System{}, addr: strings.TrimSpace(string(addr[:n]))})
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestKernelMoves counts, by strace, how the bytes of plain RETR, STOR and APPE move,
// of large and of small files: by sendfile and splice, and none through a buffer of ours.
func TestKernelMoves(t *testing.T) {
	const small, files = 1 << 10, 20
	content := make([]byte, sizes)
	_, _ = rand.Read(content)
	trace := traced(t, "sendfile,splice,read,write,recvfrom,sendto,pread64,pwrite64,readv,writev", func(s *site) {
		s.write("f", string(content))
		s.write("s", string(content[:small]))
		c := s.login()
		if got := c.get("RETR f"); sha256.Sum256([]byte(got)) != sha256.Sum256(content) {
			t.Error("RETR: got other bytes")
		}
		c.put("STOR g", string(content))
		c.put("STOR h", string(content[:sizes/2]))
		c.put("APPE h", string(content[sizes/2:]))
		for range files {
			c.get("RETR s")
			c.put("STOR t", string(content[:small]))
		}
		for name, want := range map[string][]byte{"g": content, "h": content, "t": content[:small]} {
			if sha256.Sum256([]byte(s.read(name))) != sha256.Sum256(want) {
				t.Errorf("%s: got other bytes", name)
			}
		}
		c.want("QUIT", 221)
	})
	total, calls := map[string]int{}, map[string]int{}
	for _, m := range moved.FindAllStringSubmatch(trace, -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		total[m[1]] += n
		calls[m[1]]++
	}
	t.Logf("bytes %v in calls %v", total, calls)
	if want := sizes + files*small; total["sendfile"] != want {
		t.Errorf("sendfile moved %d bytes, want %d", total["sendfile"], want)
	}
	if want := 2 * (2*sizes + files*small); total["splice"] != want { // each byte into the pipe and out of it
		t.Errorf("splice moved %d bytes, want %d", total["splice"], want)
	}
	for _, call := range []string{"read", "write", "recvfrom", "sendto", "pread64", "pwrite64", "readv", "writev"} {
		if total[call] > 1<<20 {
			t.Errorf("%s moved %d bytes, want the control connection's alone", call, total[call])
		}
	}
}

// called are the system calls of strace that the server asks for, those of Go's
// scheduler and memory left out: how often these come is a matter of the machine.
var (
	called = regexp.MustCompile(`(?m)^\d+ +([a-z_0-9]+)\(`)
	goOwn  = []string{"futex", "nanosleep", "epoll_pwait", "sched_yield", "madvise", "mmap", "munmap", "tgkill", "getpid", "rt_sigreturn", "rt_sigprocmask", "clone", "clone3", "sigaltstack", "gettid", "set_robust_list", "rseq", "mprotect", "restart_syscall"}
)

// TestSmallFileCalls bounds the system calls that one small file takes, which is what
// its speed comes from.
func TestSmallFileCalls(t *testing.T) {
	const files = 200
	for _, tc := range []struct {
		name string
		most float64
		one  func(c *client)
	}{
		{"RETR", 16, func(c *client) { c.get("RETR s") }},
		{"STOR", 26, func(c *client) { c.put("STOR t", "content") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			count := func(n int) map[string]int {
				counts := map[string]int{}
				trace := traced(t, "", func(s *site) {
					s.write("s", "content")
					c := s.login()
					for range n + 70 { // by then every passive port is open
						tc.one(c)
					}
					c.want("QUIT", 221)
				})
				for _, m := range called.FindAllStringSubmatch(trace, -1) {
					if !slices.Contains(goOwn, m[1]) {
						counts[m[1]]++
					}
				}
				return counts
			}
			few, many := count(0), count(files)
			sum := 0.0
			for call := range many {
				each := float64(many[call]-few[call]) / files
				sum += each
				if each > 0.05 {
					t.Logf("%s %.2f", call, each)
				}
			}
			if sum > tc.most {
				t.Errorf("a file takes %.1f system calls, want at most %.0f", sum, tc.most)
			}
		})
	}
}

// TestUrgent sends Telnet's interrupt and synch as urgent data, as old clients do
// before ABOR.
func TestUrgent(t *testing.T) {
	testkit.NoLeaks(t)
	s := newSite(t, nil, nil)
	s.write("f", strings.Repeat("x", 64<<20))
	c := s.login()
	data := c.epsv()
	c.want("RETR f", 150)
	c.synch()
	c.want("ABOR", 426)
	c.want("", 226)
	if _, err := io.Copy(io.Discard, data); err == nil {
		t.Error("a download that was aborted: got a clean end")
	}
	c.want("NOOP", 200)
}

// TestStrangerOnSockets has somebody else of another address at a real passive port.
func TestStrangerOnSockets(t *testing.T) {
	testkit.NoLeaks(t)
	s := newSite(t, nil, nil)
	s.write("f", "x")
	c := s.login()
	port := c.port()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	stranger, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	switch {
	case errors.Is(err, syscall.ECONNRESET): // cut before it was told of its connection
	case err != nil:
		t.Fatal(err)
	default:
		if _, err := stranger.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a stranger: got %v, want it cut", err)
		}
		_ = stranger.Close() // was reset
	}
	data := c.dialData(port)
	c.want("RETR f", 150)
	if b, err := io.ReadAll(data); err != nil || string(b) != "x" {
		t.Errorf("got %q, %v", b, err)
	}
	c.want("", 226)
}
