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

// TestKernelMoves counts, by strace, how the bytes of a plain RETR and STOR move:
// by sendfile and splice, and none through a buffer of ours.
func TestKernelMoves(t *testing.T) {
	strace, _ := testkit.Tool(t, "strace")
	dir := t.TempDir()
	trace := filepath.Join(t.TempDir(), "trace")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), strace, "-f", "-o", trace,
		"-e", "trace=sendfile,splice,read,write,recvfrom,sendto,pread64,pwrite64,readv,writev", "-s", "0", self)
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
	s := &site{t: t, dir: dir, net: netx.System{}, addr: strings.TrimSpace(string(addr[:n]))}
	content := make([]byte, sizes)
	_, _ = rand.Read(content)
	s.write("f", string(content))
	c := s.login()
	if got := c.get("RETR f"); sha256.Sum256([]byte(got)) != sha256.Sum256(content) {
		t.Error("RETR: got other bytes")
	}
	c.put("STOR g", string(content))
	c.put("STOR h", string(content[:sizes/2]))
	c.put("APPE h", string(content[sizes/2:]))
	for _, name := range []string{"g", "h"} {
		if sha256.Sum256([]byte(s.read(name))) != sha256.Sum256(content) {
			t.Errorf("%s: got other bytes", name)
		}
	}
	c.want("QUIT", 221)
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
	total, calls := map[string]int{}, map[string]int{}
	for _, m := range moved.FindAllStringSubmatch(string(b), -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		total[m[1]] += n
		calls[m[1]]++
	}
	t.Logf("bytes %v in calls %v", total, calls)
	if total["sendfile"] != sizes {
		t.Errorf("sendfile moved %d bytes, want %d", total["sendfile"], sizes)
	}
	if want := 2 * 2 * sizes; total["splice"] != want { // each byte into the pipe and out of it
		t.Errorf("splice moved %d bytes, want %d", total["splice"], want)
	}
	for _, call := range []string{"read", "write", "recvfrom", "sendto", "pread64", "pwrite64", "readv", "writev"} {
		if total[call] > 1<<20 {
			t.Errorf("%s moved %d bytes, want the control connection's alone", call, total[call])
		}
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
