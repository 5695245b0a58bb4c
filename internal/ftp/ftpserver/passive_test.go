package ftpserver_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/testkit"
)

// ranged is a server with three passive ports.
func ranged(srv *ftpserver.Server) {
	srv.Passive = ftpserver.Passive{Low: 5000, High: 5002}
}

func (c *client) port() uint16 {
	c.t.Helper()
	port, err := ftp.ParseEpsvReply(c.want("EPSV", 229))
	if err != nil {
		c.t.Fatal(err)
	}
	return port
}

// TestRange stays in the range, goes round it, and says so when it is used up.
func TestRange(t *testing.T) {
	bubble(t, ranged, func(t *testing.T, s *site) {
		s.write("f", "x")
		a := s.login()
		var ports []uint16
		for range 6 {
			ports = append(ports, a.port())
		}
		if want := []uint16{5000, 5001, 5002, 5000, 5001, 5002}; !slices.Equal(ports, want) {
			t.Errorf("ports: got %v, want %v", ports, want)
		}
		b, c, d := s.login(), s.login(), s.login()
		b.port()
		c.port()
		if got := d.want("EPSV", 425).Text(); got != "No passive port of 5000-5002 is free for 127.0.0.1 (widen the range of passive ports, or close data connections that are asked for and not used)" {
			t.Errorf("used up: got %q", got)
		}
		d.want("PASV", 425)
		a.get("RETR f") // frees its first, takes another, uses it
		if port := d.port(); port < 5000 || port > 5002 {
			t.Errorf("got port %d", port)
		}
		d.want("QUIT", 221)
		d.eof()
		synctest.Wait()
		a.port() // what d held is free again
	})
}

// TestShared has clients of different addresses wait on one port, and each gets
// its own connection.
func TestShared(t *testing.T) {
	n := &memnet.Network{}
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, n, func(srv *ftpserver.Server) { srv.Passive = ftpserver.Passive{Low: 5000, High: 5000} })
		s.write("a", "A")
		s.write("b", "B")
		from := func(addr string) { n.Source = netip.MustParseAddr(addr) }
		from("10.0.0.1")
		a := s.login()
		from("10.0.0.2")
		b := s.login()
		if x, y := a.port(), b.port(); x != 5000 || y != 5000 {
			t.Fatalf("ports: got %d and %d", x, y)
		}
		from("10.0.0.3")
		stranger := a.dialData(5000)
		if _, err := stranger.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("a stranger: got %v, want it cut", err)
		}
		from("10.0.0.2")
		dataB := b.dialData(5000)
		from("10.0.0.1")
		dataA := a.dialData(5000)
		a.want("RETR a", 150)
		b.want("RETR b", 150)
		for want, data := range map[string]net.Conn{"A": dataA, "B": dataB} {
			if got, err := io.ReadAll(data); err != nil || string(got) != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		}
		a.want("", 226)
		b.want("", 226)
	})
}

// TestLate: a connection that comes when its wait is given up meets nobody.
func TestLate(t *testing.T) {
	bubble(t, ranged, func(t *testing.T, s *site) {
		c := s.login()
		early := c.dialData(c.port())
		c.want("ABOR", 225)
		late := c.dialData(5000)
		for name, conn := range map[string]net.Conn{"taken too early": early, "too late": late} {
			if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("%s: got %v, want it cut", name, err)
			}
		}
	})
}

// TestPortsTaken skips ports that another program holds, and never leaves the
// range when all are.
func TestPortsTaken(t *testing.T) {
	bubble(t, ranged, func(t *testing.T, s *site) {
		var held []net.Listener
		for port := 5000; port <= 5001; port++ {
			l, err := s.net.Listen(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, l)
		}
		c := s.login()
		if got := c.port(); got != 5002 {
			t.Errorf("got port %d, want 5002", got)
		}
		d := s.login()
		d.want("EPSV", 425)
		for _, l := range held {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if got := d.port(); got > 5001 {
			t.Errorf("got port %d, want one that was let go", got)
		}
	})
}

func TestExternalAddress(t *testing.T) {
	bubble(t, func(srv *ftpserver.Server) {
		ranged(srv)
		srv.Passive.ExternalIP = netip.MustParseAddr("203.0.113.7")
	}, func(t *testing.T, s *site) {
		c := s.login()
		ap, err := ftp.ParsePasvReply(c.want("PASV", 227))
		if err != nil || ap != netip.MustParseAddrPort("203.0.113.7:5000") {
			t.Errorf("got %s, %v", ap, err)
		}
	})
	bubble(t, nil, func(t *testing.T, s *site) {
		ap, err := ftp.ParsePasvReply(s.login().want("PASV", 227))
		if err != nil || ap.Addr() != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("without one: got %s, %v", ap, err)
		}
	})
}

// TestIPv6 has PASV say what it cannot, and EPSV and EPRT do it.
func TestIPv6(t *testing.T) {
	n := &memnet.Network{Source: netip.MustParseAddr("::1")}
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, n, nil)
		l, err := n.Listen(t.Context(), "tcp", "[::1]:0")
		if err != nil {
			t.Fatal(err)
		}
		s.serve(l)
		s.write("f", "x")
		c := s.login()
		c.want("PASV", 522)
		c.want("EPSV 1", 522)
		c.want("PORT 127,0,0,1,9,9", 522)
		c.want("EPSV 2", 229)
		if got := c.get("RETR f"); got != "x" {
			t.Errorf("got %q", got)
		}
		c.want("EPRT |1|127.0.0.1|2000|", 522)
		c.want("EPRT |2|::2|2000|", 504)
		c.want("EPRT |2|::1|2000|", 200)
	})
}

// TestSettings refuses settings that cannot work, in words.
func TestSettings(t *testing.T) {
	ask := func(context.Context, ftpserver.Login) (ftpserver.Account, error) { return ftpserver.Account{}, nil }
	for name, set := range map[string]ftpserver.Settings{
		"nobody":    {},
		"half":      {Authenticate: ask, Passive: ftpserver.Passive{Low: 5000}},
		"backwards": {Authenticate: ask, Passive: ftpserver.Passive{Low: 5001, High: 5000}},
		"low":       {Authenticate: ask, Passive: ftpserver.Passive{Low: 20, High: 5000}},
		"external":  {Authenticate: ask, Passive: ftpserver.Passive{ExternalIP: netip.MustParseAddr("2001:db8::1")}},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := new(memnet.Network).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			srv := &ftpserver.Server{Settings: set}
			if err := srv.Serve(l); fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
				t.Errorf("got %v, want Invalid and a hint", err)
			}
		})
	}
}

// TestReuse makes more transfers than there are ports, quickly, on real sockets:
// ports in TIME_WAIT are no obstacle, since they stay open.
func TestReuse(t *testing.T) {
	s := newSite(t, nil, nil)
	s.write("f", "x")
	c := s.login()
	began := time.Now()
	ports := map[uint16]bool{}
	for range 300 {
		port := c.port()
		ports[port] = true
		data := c.dialData(port)
		c.want("RETR f", 150)
		if b, err := io.ReadAll(data); err != nil || string(b) != "x" {
			t.Fatalf("got %q, %v", b, err)
		}
		_ = data.Close()
		c.want("", 226)
	}
	if len(ports) != 64 {
		t.Errorf("300 transfers used %d ports, want 64 again and again", len(ports))
	}
	t.Logf("300 transfers in %s", time.Since(began))
}

// TestGauge counts the ports that nobody waits on.
func TestGauge(t *testing.T) {
	n := &memnet.Network{}
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, n, ranged)
		want := func(sessions, free int) {
			t.Helper()
			synctest.Wait()
			got := s.srv.Status()
			if got.Sessions != sessions || got.Ports != 3 || got.Free != free || got.Most != 10_000 {
				t.Errorf("got %+v, want %d sessions and %d of 3 ports free", got, sessions, free)
			}
		}
		want(0, 3)
		a, b := s.login(), s.login()
		a.port()
		b.port()
		want(2, 1)
		n.Source = netip.MustParseAddr("10.0.0.2")
		c := s.login()
		c.port()
		want(3, 0)
		c.port()
		want(3, 1) // at a port where a or b waits, too
		a.want("ABOR", 225)
		b.want("ABOR", 225)
		c.want("ABOR", 225)
		want(3, 3)
	})
}

// TestSmallRange serves many clients of different addresses through one port of
// real sockets, all of them waiting at the same time, and each gets its own.
func TestSmallRange(t *testing.T) {
	free := freePort(t)
	s := newSite(t, nil, func(srv *ftpserver.Server) { srv.Passive = ftpserver.Passive{Low: free, High: free} })
	type one struct {
		c    *client
		from *net.Dialer
	}
	var all []one
	for i := range 20 {
		d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i+1))}}
		conn, err := d.Dial("tcp", s.addr)
		if err != nil {
			testkit.Need(t, false, "all of 127.0.0.0/8 on loopback", "Linux has it")
		}
		t.Cleanup(func() { _ = conn.Close() })
		c := &client{t: t, s: s, conn: conn, in: ftp.NewReader(conn, 0)}
		c.want("", 220)
		c.want("USER anna", 331)
		c.want("PASS secret", 230)
		c.want("TYPE I", 200)
		s.write(strconv.Itoa(i), strings.Repeat(strconv.Itoa(i), 1000))
		if got := c.port(); got != free {
			t.Fatalf("got port %d, want %d", got, free)
		}
		all = append(all, one{c, d})
	}
	if got := s.srv.Status(); got.Ports != 1 || got.Free != 0 {
		t.Errorf("got %+v, want none of 1 port free", got)
	}
	second := s.login() // from 127.0.0.1
	second.port()
	third := s.login()
	third.want("EPSV", 425)
	for i := len(all) - 1; i >= 0; i-- {
		data, err := all[i].from.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(free))))
		if err != nil {
			t.Fatal(err)
		}
		all[i].c.want("RETR "+strconv.Itoa(i), 150)
		if got, err := io.ReadAll(data); err != nil || string(got) != strings.Repeat(strconv.Itoa(i), 1000) {
			t.Errorf("client %d: got %d bytes, %v", i, len(got), err)
		}
		_ = data.Close()
		all[i].c.want("", 226)
	}
}

// TestExternalFor asks for the address of each client, and names none that PASV
// cannot say.
func TestExternalFor(t *testing.T) {
	n := &memnet.Network{}
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, n, func(srv *ftpserver.Server) {
			srv.Passive.External = func(client netip.Addr) netip.Addr {
				switch client.String() {
				case "10.0.0.1":
					return netip.Addr{}
				case "10.0.0.2":
					return netip.MustParseAddr("2001:db8::1")
				default:
					return netip.MustParseAddr("203.0.113.7")
				}
			}
		})
		for from, want := range map[string]string{"10.0.0.1": "127.0.0.1", "10.0.0.2": "127.0.0.1", "192.0.2.1": "203.0.113.7"} {
			n.Source = netip.MustParseAddr(from)
			ap, err := ftp.ParsePasvReply(s.login().want("PASV", 227))
			if err != nil || ap.Addr().String() != want {
				t.Errorf("%s: got %s, %v, want %s", from, ap, err, want)
			}
		}
	})
}

// TestStaleClaim gives a port that was asked for long ago and never used to another
// session of the same client, when there is no other; not one that is being used.
func TestStaleClaim(t *testing.T) {
	bubble(t, func(srv *ftpserver.Server) { srv.Passive = ftpserver.Passive{Low: 5000, High: 5000} }, func(t *testing.T, s *site) {
		s.write("f", "x")
		a, b := s.login(), s.login()
		a.port()
		later(29 * time.Second)
		b.want("EPSV", 425)
		a.send("RETR f\r\n") // waits for its connection for 30 s
		later(29 * time.Second)
		b.want("EPSV", 425)
		a.want("", 425)
		a.port()
		later(31 * time.Second)
		if got := b.get("RETR f"); got != "x" {
			t.Errorf("got %q", got)
		}
		began := time.Now()
		if got := a.want("RETR f", 425).Text(); !strings.HasPrefix(got, "The passive port that was asked for before went to another session of yours") {
			t.Errorf("got %q", got)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("told after %s", took)
		}
		a.port()
		later(31 * time.Second)
		b.port()
		a.want("ABOR", 225) // gives up what it has not any more
		a.want("EPSV", 425)
	})
}
