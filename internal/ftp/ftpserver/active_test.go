package ftpserver_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/netx"
)

// freePort is a port of this machine that nothing has.
func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func activeListener(t *testing.T, host string) (l *net.TCPListener, eprt string) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(host)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if err := l.SetDeadline(time.Now().Add(20 * time.Second)); err != nil { // a server that refuses dials nobody
		t.Fatal(err)
	}
	family := 1
	if strings.Contains(host, ":") {
		family = 2
	}
	return l, fmt.Sprintf("EPRT |%d|%s|%d|", family, host, l.Addr().(*net.TCPAddr).Port)
}

// received accepts one connection and reads it to its end.
func received(t *testing.T, l net.Listener) (from uint16, content string) {
	t.Helper()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(conn.RemoteAddr().(*net.TCPAddr).Port), string(b)
}

// TestSourcePort dials every active data connection from one port, several at once,
// and says in words when the kernel still holds the pair of ends.
func TestSourcePort(t *testing.T) {
	// Other FTP servers that run meanwhile hold port 20 of 127.0.0.1.
	for _, at := range []struct{ site, client string }{{"127.0.0.20", "127.0.0.1"}, {"::1", "::1"}} {
		host := at.client
		t.Run(strings.ReplaceAll(host, ":", ""), func(t *testing.T) {
			port := freePort(t)
			if os.Geteuid() == 0 {
				port = 20
			}
			s := newSiteAt(t, at.site, func(srv *ftpserver.Server) {
				srv.Active.SourcePort, srv.Network = port, netx.System{} // as the program has it
			})
			s.write("f", "x")
			s.write("long", strings.Repeat("x", 8<<20))
			a, b := s.login(), s.login()
			la, eprtA := activeListener(t, host)
			lb, eprtB := activeListener(t, host)
			a.want(eprtA, 200)
			b.want(eprtB, 200)
			a.send("RETR long\r\n")
			b.send("RETR long\r\n")
			var conns []net.Conn
			for _, l := range []net.Listener{la, lb} { // both are open at the same time
				conn, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				if got := conn.RemoteAddr().(*net.TCPAddr).Port; got != int(port) {
					t.Errorf("dialled from %d, want %d", got, port)
				}
				conns = append(conns, conn)
			}
			// Two between the same two ends cannot be, nor soon after one another.
			c := s.login()
			c.want(eprtA, 200)
			want := fmt.Sprintf("Port %d is not free for another data connection to", port)
			if got := c.want("RETR f", 425).Text(); !strings.HasPrefix(got, want) || !strings.Contains(got, "use passive mode") {
				t.Errorf("got %q", got)
			}
			for _, conn := range conns {
				if n, err := io.Copy(io.Discard, conn); err != nil || n != 8<<20 {
					t.Errorf("got %d bytes, %v", n, err)
				}
				_ = conn.Close()
			}
			for _, c := range []*client{a, b} {
				c.want("", 150)
				c.want("", 226)
			}
			lc, eprtC := activeListener(t, host)
			a.want(eprtC, 200)
			a.want("RETR f", 150)
			if from, got := received(t, lc); from != port || got != "x" {
				t.Errorf("another port of the client's: got %q from %d", got, from)
			}
			a.want("", 226)
		})
	}
}

func TestActiveOff(t *testing.T) {
	bubble(t, func(srv *ftpserver.Server) { srv.Active.Off = true }, func(t *testing.T, s *site) {
		c := s.login()
		for _, command := range []string{"PORT 127,0,0,1,200,200", "EPRT |1|127.0.0.1|5000|"} {
			if got := c.want(command, 502).Text(); got != "Active mode is off at this site; use EPSV or PASV" {
				t.Errorf("%s: got %q", command, got)
			}
		}
		s.write("f", "x")
		if got := c.get("RETR f"); got != "x" {
			t.Errorf("got %q", got)
		}
	})
}
