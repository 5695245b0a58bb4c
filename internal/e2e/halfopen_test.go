//go:build linux

package e2e_test

import (
	"bufio"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport.dev/internal/testkit"
)

// halfOpen is how many sessions are opened and left before a login, and
// halfOpenMemory what each may cost the program, in bytes.
const (
	halfOpen       = 10_000
	halfOpenMemory = 48 << 10
)

// TestHalfOpenSessions has one address open ten thousand sessions and say nothing.
// Half of them get a banner, the others a refusal; somebody from another address
// is served all the while, and the program stays small. When they go, their room
// is there again.
func TestHalfOpenSessions(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	testkit.Need(t, limit.Max > halfOpen+500, "more than 10,500 open files for each process", "ulimit -n 20000")
	root := t.TempDir()
	pw := mustWrite(t, filepath.Join(t.TempDir(), "pw"), "s3cret\n")
	mustWrite(t, filepath.Join(root, "f"), "content")
	p := start(t, "", "site", "serve", "--listen", "127.0.0.1:0", root, "--user", "erp", "--password-file", pw)
	addr := p.listens()
	answers(t, addr) // so that what a first login costs is not counted
	before := testkit.PeakRSS(t, p.cmd.Process.Pid)

	stranger := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}, Timeout: time.Minute}
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	refused := 0
	for range halfOpen / 500 {
		var batch []net.Conn // connected together, then read: quicker by far
		for range 500 {
			c, err := stranger.Dial("tcp", addr)
			if err != nil {
				t.Fatalf("after %d: %v", len(open), err)
			}
			_ = c.SetReadDeadline(time.Now().Add(time.Minute))
			batch = append(batch, c)
		}
		for _, c := range batch {
			switch line, err := bufio.NewReaderSize(c, 256).ReadString('\n'); {
			case err != nil:
				t.Fatalf("after %d: %v", len(open), err)
			case strings.HasPrefix(line, "220 "):
				open = append(open, c)
			case strings.HasPrefix(line, "421 ") && strings.Contains(line, "from your address"):
				refused++
				_ = c.Close()
			default:
				t.Fatalf("after %d: got %q", len(open), line)
			}
		}
	}
	if len(open) != halfOpen/2 || refused != halfOpen/2 {
		t.Errorf("%d sessions of %d were let in, want half of them", len(open), halfOpen)
	}
	answers(t, addr)
	cost := (testkit.PeakRSS(t, p.cmd.Process.Pid) - before) / int64(len(open))
	t.Logf("a session that has not logged in costs %d bytes", cost)
	if cost > halfOpenMemory {
		t.Errorf("a session that has not logged in costs %d bytes, want %d at most", cost, halfOpenMemory)
	}
	for _, c := range open {
		_ = c.Close()
	}
	open = nil
	deadline := time.Now().Add(time.Minute)
	for { // until the program has seen them go
		c, err := stranger.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(deadline)
		line, err := bufio.NewReader(c).ReadString('\n')
		_ = c.Close()
		if strings.HasPrefix(line, "220 ") {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("afterwards: got %q, %v", line, err)
		}
	}
}

// answers wants the site to serve a client from 127.0.0.1.
func answers(t *testing.T, addr string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	in := bufio.NewReader(c)
	for _, q := range []struct{ command, code string }{{"", "220"}, {"USER erp", "331"}, {"PASS s3cret", "230"}, {"TYPE I", "200"}, {"SIZE f", "213 7"}, {"QUIT", "221"}} {
		if q.command != "" {
			if _, err := c.Write([]byte(q.command + "\r\n")); err != nil {
				t.Fatal(err)
			}
		}
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, q.code) {
			t.Fatalf("%s: got %q, %v, want %s", q.command, line, err, q.code)
		}
	}
}
