package ftpserver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/testkit"
)

// opened opens a door at an address of its own and returns it.
func opened(t testing.TB, n netx.Network, door *ftpserver.Door, first *site, hosts map[string]*site) string {
	t.Helper()
	servers := map[string]*ftpserver.Server{}
	ids := new(atomic.Uint64)
	for name, s := range hosts {
		s.srv.IDs = ids
		servers[name] = s.srv
	}
	var srv *ftpserver.Server
	if first != nil {
		first.srv.IDs = ids
		srv = first.srv
	}
	if err := door.Open(srv, servers); err != nil {
		t.Fatal(err)
	}
	l, err := n.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- door.Serve(l) }()
	t.Cleanup(func() {
		if err := door.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, ftpserver.ErrServerClosed) {
			t.Errorf("Serve: got %v, want ErrServerClosed", err)
		}
	})
	return l.Addr().String()
}

// named sets what distinguishes a site: its name, its passive ports, and that its
// Authenticate lets only its own user in.
func named(name string, low uint16, more ...func(*ftpserver.Server)) func(*ftpserver.Server) {
	return func(srv *ftpserver.Server) {
		srv.Name, srv.Passive = name, ftpserver.Passive{Low: low, High: low + 9}
		ask := srv.Authenticate
		srv.Authenticate = func(ctx context.Context, l ftpserver.Login) (ftpserver.Account, error) {
			if l.User != name {
				return ftpserver.Account{}, fault.New(fault.Unauthenticated, "no user %q at %s", l.User, name)
			}
			l.User = "anna"
			a, err := ask(ctx, l)
			a.Name = name
			return a, err
		}
		for _, m := range more {
			m(srv)
		}
	}
}

// street is three sites at one address: a for who names none, b and c by name.
type street struct {
	a, b, c *site
	door    *ftpserver.Door
	addr    string
}

func newStreet(t *testing.T, n *memnet.Network, door *ftpserver.Door, more ...func(*ftpserver.Server)) *street {
	t.Helper()
	s := &street{door: door}
	for i, p := range []**site{&s.a, &s.b, &s.c} {
		*p = newSite(t, n, named(string(rune('a'+i)), uint16(5000+100*i), more...))
		(*p).write("f", "of "+(*p).srv.Name)
	}
	s.addr = opened(t, n, door, s.a, map[string]*site{"B.example.com": s.b, "c.example.com": s.c, "2001:db8::1": s.c})
	return s
}

func (s *street) dial() *client { return s.a.dialTo(s.addr) }

// is wants the session to be of site name: its user alone can log in, its files are
// there, and its ports are offered.
func (c *client) is(name, login string) {
	c.t.Helper()
	c.want("USER "+login, 331)
	c.want("PASS secret", 230)
	c.want("TYPE I", 200)
	at := c.s.addr
	port := c.port()
	if want := uint16(5000 + 100*int(name[0]-'a')); port < want || port > want+9 {
		c.t.Errorf("site %s: got port %d", name, port)
	}
	raw := c.dialData(port)
	data := io.Reader(raw)
	if c.tls != nil {
		data = tls.Client(raw, c.tls)
	}
	c.want("RETR f", 150)
	if got, err := io.ReadAll(data); err != nil || string(got) != "of "+name {
		c.t.Errorf("site %s: got %q, %v", name, got, err)
	}
	_ = raw.Close()
	c.want("", 226)
	c.s.addr = at
}

// TestHost chooses a site by HOST, before a login alone.
func TestHost(t *testing.T) {
	n := memory()
	synctest.Test(t, func(t *testing.T) {
		s := newStreet(t, n, &ftpserver.Door{})
		c := s.dial()
		if got := c.want("FEAT", 211).Text(); !strings.Contains(got, "\nHOST\n") {
			t.Errorf("FEAT: got %q", got)
		}
		for _, w := range []string{
			"HOST 501", "HOST a:21 501", "HOST [::1 501", "HOST [1.2.3.4] 501", "HOST a b 501", "HOST nowhere.example 504", "HOST 10.0.0.1 504", "HOST [2001:db8::1] 220",
		} {
			c.word(w)
		}
		if got := c.want("host b.Example.COM", 220).Text(); got != "b FTP server ready" {
			t.Errorf("the banner: got %q", got)
		}
		c.want("USER b", 331)
		c.want("HOST c.example.com", 503) // in the middle of a login
		c.want("PASS secret", 230)
		c.want("HOST c.example.com", 503)
		c.is("b", "b")
		c.want("USER b", 331) // HOST holds for a second login
		c.want("PASS secret", 230)
		c.want("REIN", 220)
		c.want("USER b", 331) // and not for those after REIN
		c.want("PASS secret", 530)
		c.is("a", "a")
		c.want("REIN", 220)
		c.want("EPRT |1|127.0.0.1|5000|", 530)
		c.want("HOST c.example.com", 220)
		c.is("c", "c")
	})
}

// TestHostUser takes the login spelling of IIS, which holds for one login.
func TestHostUser(t *testing.T) {
	n := memory()
	synctest.Test(t, func(t *testing.T) {
		s := newStreet(t, n, &ftpserver.Door{}, func(srv *ftpserver.Server) { srv.Limits.LoginAttempts = 100 })
		c := s.dial()
		c.is("b", "B.example.com|b")
		c.is("c", "c.example.com|c")
		c.is("a", "a")
		for _, no := range []string{"nowhere.example|b", "b.example.com|", "|b", "b.example.com|b|b", "b.example.com|a"} {
			c.want("USER "+no, 331)
			c.want("PASS secret", 530)
		}
		c.want("HOST b.example.com", 220)
		c.is("c", "c.example.com|c")
		c.is("b", "b")
	})
}

// TestNoFirst: where every site has a name, nobody is asked for a password who has
// not said one.
func TestNoFirst(t *testing.T) {
	n := memory()
	synctest.Test(t, func(t *testing.T) {
		b := newSite(t, n, named("b", 5100))
		b.write("f", "of b")
		addr := opened(t, n, &ftpserver.Door{}, nil, map[string]*site{"b.example.com": b})
		c := b.dialTo(addr)
		if got := c.want("USER b", 530).Text(); got != "There are several sites at this address: send HOST and its name before USER, or log in as NAME|USER" {
			t.Errorf("got %q", got)
		}
		c.want("PASS secret", 503)
		c.want("AUTH TLS", 534)
		c.want("HOST nowhere", 504)
		c.is("b", "b.example.com|b")
		c.want("REIN", 220)
		c.want("USER b", 530)
		c.want("HOST b.example.com", 220)
		c.is("b", "b")
	})
}

// TestDoorCounts holds a session to the limits of the site it moved to, and lists it
// there, under the same number.
func TestDoorCounts(t *testing.T) {
	n := memory()
	synctest.Test(t, func(t *testing.T) {
		s := newStreet(t, n, &ftpserver.Door{}, func(srv *ftpserver.Server) {
			if srv.Name == "b" {
				srv.Limits.Sessions = 1
			}
		})
		counts := func(a, b int) {
			t.Helper()
			synctest.Wait()
			if x, y := len(s.a.srv.Sessions()), len(s.b.srv.Sessions()); x != a || y != b {
				t.Errorf("got %d and %d sessions, want %d and %d", x, y, a, b)
			}
		}
		one, two := s.dial(), s.dial()
		counts(2, 0)
		id := s.a.srv.Sessions()[0].ID
		one.want("HOST b.example.com", 220)
		counts(1, 1)
		if got := s.b.srv.Sessions()[0].ID; got != id {
			t.Errorf("session %d became %d", id, got)
		}
		if got := two.want("HOST b.example.com", 421).Text(); got != "Too many sessions: 1 at once is the most, try again later" {
			t.Errorf("got %q", got)
		}
		two.eof()
		counts(0, 1)
		three := s.dial()
		three.want("USER b.example.com|b", 421)
		three.eof()
		if s.a.srv.Disconnect(id) || !s.b.srv.Disconnect(id) {
			t.Error("the session can be disconnected where it is, and nowhere else")
		}
		one.eof()
		counts(0, 0)
	})
}

// TestDoorStops ends one site and leaves the others, and closes a door before whom
// it let in.
func TestDoorStops(t *testing.T) {
	n := memory()
	synctest.Test(t, func(t *testing.T) {
		s := newStreet(t, n, &ftpserver.Door{})
		atB, atC, unsaid := s.dial(), s.dial(), s.dial()
		atB.want("HOST b.example.com", 220)
		atB.is("b", "b")
		atC.want("HOST c.example.com", 220)
		if err := s.b.srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		atB.want("", 421)
		atB.eof()
		if got := unsaid.want("HOST b.example.com", 421).Text(); got != "The server is going down" {
			t.Errorf("got %q", got)
		}
		atC.is("c", "c")
		if err := s.a.srv.Close(); err != nil { // where the session at c began
			t.Error(err)
		}
		atC.is("c", "c")
		if err := s.door.Open(s.c.srv, nil); err != nil { // changed while it is open
			t.Error(err)
		}
		late := s.dial()
		late.is("c", "c")
		if err := s.door.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		atC.is("c", "c")
		late.is("c", "c")
		if conn, err := n.Dial(t.Context(), "tcp", s.addr); err == nil {
			_ = conn.Close()
			t.Error("the door still lets in")
		}
		if err := new(ftpserver.Door).Open(nil, nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a door to nowhere: got %v", err)
		}
		if err := new(ftpserver.Door).Open(&ftpserver.Server{}, nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a server without users: got %v", err)
		}
	})
}

// streetTLS is a street whose sites have a certificate each, of authorities of their
// own, and wants data connections to resume. a has none if plain is set.
func streetTLS(t *testing.T, n *memnet.Network, door *ftpserver.Door, change ...func(*ftpserver.Server)) (*street, map[string]*tls.Config) {
	t.Helper()
	trust := map[string]*tls.Config{}
	more := append([]func(*ftpserver.Server){func(srv *ftpserver.Server) {
		certs := testkit.NewCerts(t, srv.Name+".example.com", "localhost")
		srv.TLS = &ftpserver.TLS{
			Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certs.Leaf, nil },
			Control:     ftpserver.ControlRequire, Data: ftpserver.DataRequire, Resumption: ftpserver.ResumptionRequire,
		}
		trust[srv.Name] = &tls.Config{RootCAs: certs.Pool, ServerName: srv.Name + ".example.com", MinVersion: tls.VersionTLS12}
	}}, change...)
	return newStreet(t, n, door, more...), trust
}

// private protects data connections.
func (c *client) private() {
	c.t.Helper()
	c.want("PBSZ 0", 200)
	c.want("PROT P", 200)
}

// TestHostTLS shows the certificate of the name that TLS is begun with, or that HOST
// said before, and binds data connections to the control connection at any site.
func TestHostTLS(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(strings.ReplaceAll(tls.VersionName(version), " ", ""), func(t *testing.T) {
			n := memory()
			synctest.Test(t, func(t *testing.T) {
				s, trust := streetTLS(t, n, &ftpserver.Door{})
				conf := func(trusted, name string) *tls.Config {
					c := trust[trusted].Clone()
					c.MaxVersion, c.ServerName = version, name
					if name == "" { // no SNI is sent for an address
						c.ServerName = "127.0.0.1"
						c.InsecureSkipVerify = true //nolint:gosec // the certificate is looked at below
						c.VerifyConnection = func(cs tls.ConnectionState) error {
							_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: c.RootCAs, DNSName: trusted + ".example.com"})
							return err
						}
					}
					return c
				}
				begin := func(c *client, conf *tls.Config) *client {
					c.want("AUTH TLS", 234)
					c.handshake(conf)
					return c
				}

				c := begin(s.dial(), conf("b", "b.example.com")) // by TLS alone
				other := c.tls
				c.private()
				c.is("b", "b")
				c.want("REIN", 220)
				c.want("HOST c.example.com", 504)
				c.want("HOST b.example.com", 220)
				c.is("b", "b")
				c.want("USER c.example.com|c", 331)
				c.want("PASS secret", 530)
				c.want("REIN", 220)
				c.is("b", "b") // TLS stays, and its name

				c = s.dial() // by HOST, before TLS, by a client that sends no name with TLS
				c.want("HOST c.example.com", 220)
				c.want("USER c", 534)
				begin(c, conf("c", ""))
				c.private()
				c.is("c", "c")

				c = s.dial() // TLS has the last word
				c.want("HOST c.example.com", 220)
				begin(c, conf("b", "b.example.com"))
				c.private()
				c.is("b", "b")

				c = begin(s.dial(), conf("a", "localhost")) // a name that is no site's
				c.private()
				c.is("a", "a")
				c.want("REIN", 220)
				c.want("HOST b.example.com", 504)

				c = begin(s.dial(), conf("a", "")) // no name: HOST may come within TLS
				c.want("HOST b.example.com", 220)
				c.private()
				c.is("b", "b")

				stranger := begin(s.dial(), conf("b", "b.example.com")) // no other's data connection
				stranger.private()
				stranger.want("USER b", 331)
				stranger.want("PASS secret", 230)
				port := stranger.port()
				data := tls.Client(stranger.dialData(port), other)
				stranger.want("RETR f", 150)
				_ = data.Handshake() // whatever comes of it
				stranger.want("", 522)
			})
		})
	}
}

// TestImplicitDoor chooses by SNI where TLS comes first, at a site that does so
// otherwise nowhere.
func TestImplicitDoor(t *testing.T) {
	n := memory()
	synctest.Test(t, func(t *testing.T) {
		s, trust := streetTLS(t, n, &ftpserver.Door{Implicit: true})
		for _, name := range []string{"a", "b", "c"} {
			c := s.a.connect(s.addr)
			c.handshake(trust[name])
			if got := c.want("", 220).Text(); got != name+" FTP server ready" {
				t.Errorf("%s: got %q", name, got)
			}
			c.is(name, name) // protected without PROT
		}
		plain := s.b.dial() // its other address is explicit
		plain.want("AUTH TLS", 234)
	})
}

// TestPlainFirst begins TLS where the site for all has none, for those that have.
func TestPlainFirst(t *testing.T) {
	n := memory()
	synctest.Test(t, func(t *testing.T) {
		s, trust := streetTLS(t, n, &ftpserver.Door{}, func(srv *ftpserver.Server) {
			if srv.Name == "a" {
				srv.TLS = nil
			}
		})
		plain := s.dial()
		plain.is("a", "a")
		c := s.dial()
		c.want("AUTH TLS", 234)
		c.handshake(trust["c"])
		c.private()
		c.is("c", "c")
		c = s.dial()
		c.want("AUTH TLS", 234)
		unnamed := trust["c"].Clone() // its certificate is the first by name
		unnamed.ServerName = "localhost"
		c.handshake(unnamed)
		c.private()
		c.is("a", "a")
	})
}

// TestHostClientCertificate: a site that wants certificates of its clients cannot be
// entered through the TLS of another.
func TestHostClientCertificate(t *testing.T) {
	n := memory()
	synctest.Test(t, func(t *testing.T) {
		clients := testkit.NewCerts(t, "client")
		others := testkit.NewCerts(t, "b")
		var seen atomic.Pointer[x509.Certificate]
		s, trust := streetTLS(t, n, &ftpserver.Door{}, func(srv *ftpserver.Server) {
			switch srv.Name {
			case "a":
				srv.TLS.ClientCAs = others.Pool
			case "b":
				srv.TLS.ClientCAs, srv.TLS.ClientRequired = clients.Pool, true
			case "c":
				srv.TLS.ClientCAs = clients.Pool
			}
			ask := srv.Authenticate
			srv.Authenticate = func(ctx context.Context, l ftpserver.Login) (ftpserver.Account, error) {
				seen.Store(l.Certificate)
				return ask(ctx, l)
			}
		})
		c := s.dial()
		c.want("AUTH TLS", 234)
		conf := trust["a"].Clone()
		conf.ServerName = "localhost"
		conf.Certificates = []tls.Certificate{others.Leaf}
		c.handshake(conf)
		c.want("USER b.example.com|b", 530)
		c.private()
		c.is("a", "a")
		if seen.Load() == nil {
			t.Error("a did not see the client's certificate")
		}
		c.is("c", "c.example.com|c")
		if got := seen.Load(); got != nil {
			t.Errorf("c took the certificate that others vouch for: %s", got.Subject)
		}

		c = s.dial()
		c.want("AUTH TLS", 234)
		unnamed := trust["a"].Clone()
		unnamed.ServerName, unnamed.InsecureSkipVerify = "127.0.0.1", true //nolint:gosec // it is a's
		c.handshake(unnamed)
		if got := c.want("HOST b.example.com", 504).Text(); !strings.HasPrefix(got, "That site wants a certificate of its clients: begin TLS with its name") {
			t.Errorf("got %q", got)
		}

		c = s.dial()
		c.want("AUTH TLS", 234)
		conf = trust["b"].Clone()
		conf.Certificates = []tls.Certificate{clients.Leaf}
		c.handshake(conf)
		c.private()
		c.is("b", "b")
		if seen.Load() == nil {
			t.Error("b did not see the client's certificate")
		}
	})
}

// TestDoorAttempts counts wrong passwords for the user, however the site is named.
func TestDoorAttempts(t *testing.T) {
	n := &memnet.Network{Source: netip.MustParseAddr("10.0.0.1")}
	synctest.Test(t, func(t *testing.T) {
		guard := new(ftpserver.Guard)
		s := newStreet(t, n, &ftpserver.Door{}, func(srv *ftpserver.Server) {
			srv.Guard, srv.Attempts, srv.Limits.LoginAttempts = guard, ftpserver.Attempts{Failures: 4}, 100
		})
		c := s.dial()
		for _, login := range []string{"b", "b.example.com|b", "c.example.com|b", "b"} {
			c.want("USER "+login, 331)
			c.want("PASS guess", 530)
		}
		c.want("USER b.example.com|b", 331)
		if got := c.want("PASS secret", 530).Text(); !strings.HasPrefix(got, notNow) {
			t.Errorf("got %q", got)
		}
		c.is("c", "c.example.com|c")
	})
}
