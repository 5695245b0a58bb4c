package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/connector"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/testkit"
	"sallyport.dev/internal/tunnel"
)

// ftpServer speaks as much FTP as data connections need. What a client stores is
// sent back by the next retrieval.
type ftpServer struct {
	r    *rig
	host string // where data connections are taken
	lies string // the host that a 227 names, six numbers' first four

	mu     sync.Mutex // guards the following
	stored []byte
	ends   []error // how uploads ended
	data   string  // newest data address
	bye    []error // how control connections ended, after the 426
}

func (s *ftpServer) serve(c net.Conn) {
	fmt.Fprint(c, "220 ready\r\n")
	br := bufio.NewReader(c)
	var l net.Listener
	defer func() {
		if l != nil {
			l.Close()
		}
	}()
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			s.mu.Lock()
			s.bye = append(s.bye, err)
			s.mu.Unlock()
			return
		}
		verb, arg, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		switch verb {
		case "PASV", "EPSV":
			if l != nil {
				l.Close()
			}
			if l, err = s.r.inside.Listen(context.Background(), "tcp", s.host+":0"); err != nil {
				fmt.Fprint(c, "425 no\r\n")
				continue
			}
			s.mu.Lock()
			s.data = l.Addr().String()
			s.mu.Unlock()
			port := l.Addr().(*net.TCPAddr).Port
			if verb == "EPSV" {
				fmt.Fprintf(c, "229 ok (|||%d|)\r\n", port)
			} else {
				fmt.Fprintf(c, "227 ok (%s,%d,%d)\r\n", s.lies, port>>8, port&255)
			}
		case "STOR", "RETR":
			fmt.Fprint(c, "150 go\r\n")
			d, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, s.transfer(verb, d))
		case "ECHO":
			fmt.Fprintf(c, "200 %s\r\n", arg)
		default:
			fmt.Fprintf(c, "200 %s\r\n", verb)
		}
	}
}

func (s *ftpServer) transfer(verb string, d net.Conn) string {
	defer d.Close()
	if verb == "RETR" {
		s.mu.Lock()
		b := s.stored
		s.mu.Unlock()
		if _, err := d.Write(b); err != nil {
			return "426 cut\r\n"
		}
		return "226 sent\r\n"
	}
	b, err := io.ReadAll(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, err)
	if err != nil {
		return "426 cut\r\n"
	}
	s.stored = b
	return "226 stored\r\n"
}

// ftpControl is a client's control connection.
type ftpControl struct {
	t *testing.T
	net.Conn
	br *bufio.Reader
}

func ftpDial(t *testing.T, r *rig, principal string) *ftpControl {
	t.Helper()
	c, err := r.dial(principal, "", "ftp-erp:21")
	if err != nil {
		t.Fatal(err)
	}
	f := newControl(t, c)
	f.want("220")
	return f
}

func newControl(t *testing.T, c net.Conn) *ftpControl { return &ftpControl{t, c, bufio.NewReader(c)} }

func (f *ftpControl) want(code string) string {
	f.t.Helper()
	line, err := f.br.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, code) {
		f.t.Fatalf("got %q %v, want %s", line, err, code)
	}
	return line
}

func (f *ftpControl) do(code, format string, args ...any) string {
	f.t.Helper()
	fmt.Fprintf(f, format+"\r\n", args...)
	return f.want(code)
}

// port sends PASV or EPSV and returns the port that the server announces.
func (f *ftpControl) port(verb string) int {
	f.t.Helper()
	var port, hi, lo int
	if verb == "EPSV" {
		if _, err := fmt.Sscanf(f.do("229", "EPSV"), "229 ok (|||%d|)", &port); err != nil {
			f.t.Fatal(err)
		}
		return port
	}
	line := strings.Split(strings.TrimSuffix(strings.TrimSpace(f.do("227", "PASV")), ")"), ",")
	fmt.Sscan(line[4], &hi)
	fmt.Sscan(line[5], &lo)
	return hi<<8 | lo
}

func ftpRig(t *testing.T, r *rig, host string) *ftpServer {
	t.Helper()
	s := &ftpServer{r: r, host: host, lies: strings.ReplaceAll(host, ".", ",")}
	addr := r.listen(host+":0", s.serve)
	r.connect("plant1", connector.Mapping{Virtual: "ftp-erp:21", Internal: addr, Protocol: "ftp"})
	return s
}

func TestPassiveWithoutAPortRange(t *testing.T) {
	for _, tt := range []struct{ verb, lies, ask string }{
		{"EPSV", "", "ftp-erp"},
		{"PASV", "10,0,0,5", "10.0.0.5"},       // the address as announced
		{"PASV", "10,0,0,5", "ftp-erp"},        // clients that skip it
		{"PASV", "203,0,113,9", "203.0.113.9"}, // a wrong NAT address does no harm
		{"PASV", "0,0,0,0", "198.51.100.1"},    // clients that take the gateway's own address
	} {
		t.Run(tt.verb+"-"+tt.ask, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				s := ftpRig(t, r, "10.0.0.5")
				s.lies = tt.lies
				c := ftpDial(t, r, "user:a")
				defer c.Close()
				want := strings.Repeat("contents ", 10000)
				for _, verb := range []string{"STOR", "RETR"} {
					addr := fmt.Sprintf("%s:%d", tt.ask, c.port(tt.verb))
					c.do("", "%s file", verb)
					d, err := r.dial("user:a", "", addr)
					if err != nil {
						t.Fatalf("data connection: %v (%s)", err, fault.HintOf(err))
					}
					if verb == "STOR" {
						if _, err := io.WriteString(d, want); err != nil {
							t.Fatal(err)
						}
						d.Close()
					} else if got, err := io.ReadAll(d); err != nil || string(got) != want {
						t.Errorf("got %d bytes, %v; want %d", len(got), err, len(want))
					} else {
						d.Close()
					}
					c.want("226")
					// One use: the same port again opens nothing.
					if _, err := r.dial("user:a", "", addr); fault.KindOf(err) != fault.Denied || fault.HintOf(err) == "" {
						t.Errorf("second use of a pinhole: got %v", err)
					}
				}
			})
		})
	}
}

// TestDataComesFromWhereControlCameFrom: servers check that.
func TestDataComesFromWhereControlCameFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inside := &memnet.Network{Source: netip.MustParseAddr("10.0.0.77")}
		r := serveRig(t, &memnet.Network{}, inside, "10.0.0.1:443")
		ftpRig(t, r, "10.0.0.5")
		c := ftpDial(t, r, "user:a")
		port := c.port("EPSV")
		d := r.mustDialAs("user:a", fmt.Sprintf("ftp-erp:%d", port))
		d.Close()
		c.Close()
		want := []netip.Addr{{}, inside.Source}
		if got := r.locals; !slices.Equal(got, want) {
			t.Errorf("dialled from %v, want %v", got, want)
		}
	})
}

func TestPinholeIsForItsPrincipalAndForSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ftpRig(t, r, "10.0.0.5")
		c := ftpDial(t, r, "user:a")
		defer c.Close()
		other := ftpDial(t, r, "user:b")
		defer other.Close()
		port := c.port("EPSV")
		if _, err := r.dial("user:b", "", fmt.Sprintf("ftp-erp:%d", port)); fault.KindOf(err) != fault.Denied {
			t.Errorf("another principal: got %v", err)
		}
		if _, err := r.dial("user:c", "", fmt.Sprintf("ftp-erp:%d", port)); fault.KindOf(err) != fault.Denied || !strings.Contains(fault.HintOf(err), "announced it") {
			t.Errorf("a principal without a control connection: got %v (%s)", err, fault.HintOf(err))
		}
		if _, err := r.dial("user:a", "", fmt.Sprintf("ftp-erp:%d", port+1)); fault.KindOf(err) != fault.Denied || !strings.Contains(fault.HintOf(err), fmt.Sprint(port)) {
			t.Errorf("another port: got %v (%s), want what is announced", err, fault.HintOf(err))
		}
		time.Sleep(31 * time.Second)
		if _, err := r.dial("user:a", "", fmt.Sprintf("ftp-erp:%d", port)); fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), "ago") {
			t.Errorf("31s later: got %v", err)
		}
		port = c.port("EPSV")
		c.Close()
		r.await("ended", func() bool { return len(r.gw.Streams()) == 1 })
		if _, err := r.dial("user:a", "", fmt.Sprintf("ftp-erp:%d", port)); fault.KindOf(err) != fault.Denied {
			t.Errorf("after its control connection: got %v", err)
		}
	})
}

// TestEchoedAnnouncementOpensNothing is CERT VU#328867 through the whole way.
func TestEchoedAnnouncementOpensNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ftpRig(t, r, "10.0.0.5")
		r.listen("10.0.0.5:2049", echo)
		c := ftpDial(t, r, "user:a")
		defer c.Close()
		c.do("200", "ECHO 227 ok (10,0,0,5,8,1)")
		if _, err := r.dial("user:a", "", "ftp-erp:2049"); fault.KindOf(err) != fault.Denied {
			t.Errorf("got %v, want denied", err)
		}
	})
}

func TestActiveModeIsRefusedInWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ftpRig(t, r, "10.0.0.5")
		c := ftpDial(t, r, "user:a")
		defer c.Close()
		if got := c.do("500", "PORT 10,0,0,1,8,1"); !strings.Contains(got, "EPSV or PASV") {
			t.Errorf("got %q, want what works", got)
		}
		c.do("200", "NOOP")
	})
}

// TestTwoLocationsOfOnePrincipal: the gateway asks both connectors.
func TestTwoLocationsOfOnePrincipal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		one, two := &ftpServer{r: r, host: "10.0.0.5"}, &ftpServer{r: r, host: "10.0.0.6"}
		r.connect("plant1", connector.Mapping{Virtual: "ftp-erp:21", Internal: r.listen("10.0.0.5:21", one.serve), Protocol: "ftp"})
		r.connect("plant2", connector.Mapping{Virtual: "ftp-mes:21", Internal: r.listen("10.0.0.6:21", two.serve), Protocol: "ftp"})
		a := ftpDial(t, r, "user:a")
		defer a.Close()
		conn, err := r.dial("user:a", "", "ftp-mes:21")
		if err != nil {
			t.Fatal(err)
		}
		b := newControl(t, conn)
		defer b.Close()
		b.want("220")
		two.stored = []byte("from two")
		port := b.port("EPSV")
		b.do("150", "RETR x")
		// Named by an address that neither location knows: the port decides.
		d, err := r.dial("user:a", "", fmt.Sprintf("198.51.100.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(d); err != nil || string(got) != "from two" {
			t.Errorf("got %q, %v", got, err)
		}
		d.Close()
		b.want("226")
		if _, err := r.dial("user:a", "", "198.51.100.1:2"); fault.KindOf(err) != fault.Denied {
			t.Errorf("a port nobody announced: got %v", err)
		}
	})
}

// TestLostLinkInAnUpload: data is reset at once, control lives until the server
// has said 426.
func TestLostLinkInAnUpload(t *testing.T) {
	testkit.NoLeaks(t)
	r := newTCPRig(t)
	s := ftpRig(t, r, "127.0.0.1")
	c := ftpDial(t, r, "user:a")
	port := c.port("EPSV")
	c.do("150", "STOR file")
	d := r.mustDialAs("user:a", fmt.Sprintf("ftp-erp:%d", port))
	if _, err := d.Write(make([]byte, 100000)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	r.cutLinks()
	r.await("reset", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.ends) == 1 })
	if err := s.ends[0]; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the upload ended with %v, want ECONNRESET", err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("the data connection was reset after %v", took)
	}
	if s.stored != nil {
		t.Error("the part was stored as a whole file")
	}
	r.await("control reset", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.bye) == 1 })
	if took := time.Since(start); took < 4*time.Second || took > 8*time.Second {
		t.Errorf("the control connection ended after %v, want about 5s", took)
	}
	c.Close()
	d.Close()
}

// TestLostControlLinkInAnUpload: the control connection's link is lost, as when it
// is found dead first, and that of the data connection is not. The data connection
// is reset while the server has still a control connection to answer on.
func TestLostControlLinkInAnUpload(t *testing.T) {
	testkit.NoLeaks(t)
	r := newTCPRig(t)
	s := ftpRig(t, r, "127.0.0.1")
	c := ftpDial(t, r, "user:a")
	port := c.port("EPSV")
	c.do("150", "STOR file")
	d := r.mustDialAs("user:a", fmt.Sprintf("ftp-erp:%d", port))
	if _, err := d.Write(make([]byte, 100000)); err != nil {
		t.Fatal(err)
	}
	c.lose()
	r.await("reset", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.ends) == 1 })
	s.mu.Lock()
	if err := s.ends[0]; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the upload ended with %v, want ECONNRESET", err)
	}
	if len(s.bye) != 0 {
		t.Error("the control connection ended first")
	}
	if s.stored != nil {
		t.Error("the part was stored as a whole file")
	}
	s.mu.Unlock()
	if _, err := io.Copy(io.Discard, d); err == nil {
		t.Error("the client saw a clean end of its data connection")
	}
	r.await("control reset", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.bye) == 1 })
	c.Close()
	d.Close()
}

// lose cuts the link under the control connection, and no other.
func (f *ftpControl) lose() {
	f.t.Helper()
	st, ok := f.Conn.(*tunnel.Stream)
	if !ok {
		f.t.Fatalf("%T is no stream", f.Conn)
	}
	st.Cut()
}
