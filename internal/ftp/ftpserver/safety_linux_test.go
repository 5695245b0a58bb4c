package ftpserver_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/testkit"
)

// TestSpecialFiles has pipes, a socket and, as root, devices in the folder. Every
// command is answered at once, and no byte of them is read or written.
func TestSpecialFiles(t *testing.T) {
	testkit.NoLeaks(t)
	s := newSite(t, nil, nil)
	at := func(name string) string { return filepath.Join(s.dir, name) }
	for _, name := range []string{"lonely", "full"} {
		if err := syscall.Mkfifo(at(name), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	// A pipe that somebody has open both ways can be opened at once, read and written.
	full, err := os.OpenFile(at("full"), os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close() //nolint:errcheck // a pipe
	if _, err := full.WriteString("secret"); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nobody connects
	names := []string{"lonely", "full", "socket"}
	if os.Getuid() == 0 {
		for name, dev := range map[string]int{"zero": 1<<8 | 5, "tty": 5 << 8} {
			if err := syscall.Mknod(at(name), syscall.S_IFCHR|0o666, dev); err != nil {
				testkit.Need(t, false, "the right to make devices", "run the tests as root on a machine that allows it")
			}
			names = append(names, name)
		}
	}
	c := s.login()
	deadline := time.Now().Add(time.Minute)
	_ = c.conn.SetDeadline(deadline) // an open that waits fails here, and not with the test's own time
	for _, name := range names {
		for _, w := range []string{"RETR", "STOR", "APPE", "SIZE", "CWD", "RMD", "MKD", "SITE CHMOD 600", "MFMT 20240101000000", "NLST none/x", "AVBL"} {
			if strings.Contains(w, "none") {
				continue
			}
			c.want(w+" "+name, 550)
		}
		c.want("MLSD "+name, 501)
		c.want("REST 1", 350)
		c.want("STOR "+name, 550)
		c.want("TYPE A", 200)
		c.want("RETR "+name, 550)
		c.want("TYPE I", 200)
		c.want("MLST "+name, 250)
		c.want("RNFR "+name, 350)
		c.want("RNTO "+name+"2", 250) // moved and back: a name is no content
		c.want("RNFR "+name+"2", 350)
		c.want("RNTO "+name, 250)
		for _, command := range []string{"LIST ", "NLST "} {
			if got := c.get(command + name); !strings.Contains(got, name) {
				t.Errorf("%s%s: got %q", command, name, got)
			}
		}
	}
	c.get("LIST")
	c.get("MLSD")
	b := make([]byte, 100)
	if n, err := full.Read(b); err != nil || string(b[:n]) != "secret" {
		t.Errorf("in the pipe: got %q, %v, want what was there", b[:n], err)
	}
	if err := full.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if n, err := full.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("more in the pipe: got %q, %v", b[:n], err)
	}
	for _, name := range names {
		c.want("DELE "+name, 250)
	}
	if got := s.names(""); got != "" {
		t.Errorf("left: %q", got)
	}
}

// synch sends Telnet's interrupt and synch as urgent data (RFC 854).
func (c *client) synch() {
	c.t.Helper()
	tcp, ok := c.conn.(*net.TCPConn)
	if !ok {
		c.t.Fatalf("got a %T", c.conn)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		c.t.Fatal(err)
	}
	var sent error
	if err := raw.Write(func(fd uintptr) bool {
		sent = syscall.Sendto(int(fd), []byte("\xff\xf4\xff\xf2"), syscall.MSG_OOB, nil)
		return true
	}); err != nil || sent != nil {
		c.t.Fatal(err, sent)
	}
}

// TestUrgentAtRest: the synch disturbs no command that it stands before, whether
// a transfer runs or none does.
func TestUrgentAtRest(t *testing.T) {
	testkit.NoLeaks(t)
	s := newSite(t, nil, nil)
	c := s.login()
	for _, w := range []string{"ABOR 225", "NOOP 200", "PWD 257", "MKD a 257", "CWD a 250", "abor 225"} {
		c.synch()
		c.word(w)
	}
	data := c.epsv()
	c.want("STOR f", 150)
	if _, err := io.WriteString(data, "half"); err != nil {
		t.Fatal(err)
	}
	c.synch()
	c.want("STAT", 211)
	c.synch()
	c.want("ABOR", 426)
	c.want("", 226)
	c.synch()
	c.want("QUIT", 221)
	c.eof()
	if got := s.names("a"); got != "" {
		t.Errorf("left: %q", got)
	}
}

// descriptors counts the open files of this process.
func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestNothingKeptOpen: whatever a session leaves in the middle, its files, data
// connections and goroutines go with it.
func TestNothingKeptOpen(t *testing.T) {
	testkit.NoLeaks(t)
	ports := testkit.Ports(t)
	s := newSite(t, nil, func(srv *ftpserver.Server) {
		srv.Passive = ftpserver.Passive{Low: uint16(ports.Min), High: uint16(ports.Min + 3)} //nolint:gosec // below 32768
	})
	s.write("f", strings.Repeat("x", 1<<20))
	s.write("d/e", "")
	visit := func() {
		for _, command := range []string{"RETR f", "STOR g", "APPE f", "LIST", "MLSD d", "NLST none*", "STOU", "REST 5\r\nRETR f", "RNFR f"} {
			c := s.login()
			data := c.epsv()
			c.send(command + "\r\n")
			c.reply()
			_ = data.Close()
			_ = c.conn.Close()
			silent := s.login() // asks for a port and goes
			silent.want("EPSV", 229)
			_ = silent.conn.Close()
		}
		await(t, func() bool { return len(s.srv.Sessions()) == 0 })
	}
	visit() // opens the passive ports that are kept
	settled := func(most int) bool {
		runtime.GC() // pipes that no transfer uses are let go by it
		return descriptors(t) <= most
	}
	before := descriptors(t)
	for range 4 {
		visit()
	}
	await(t, func() bool { return settled(before) })
}
