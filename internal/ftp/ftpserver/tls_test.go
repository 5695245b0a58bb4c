package ftpserver_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/testkit"
)

// secured gives a site a certificate, and the client's configuration that trusts it.
func secured(t testing.TB, policy ftpserver.TLS) (func(*ftpserver.Server), *tls.Config) {
	certs := testkit.NewCerts(t)
	if policy.Certificate == nil {
		policy.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certs.Leaf, nil }
	}
	change := func(srv *ftpserver.Server) { srv.TLS = &policy }
	return change, &tls.Config{RootCAs: certs.Pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

// handshake puts TLS on the control connection, with a cache of sessions of its own.
func (c *client) handshake(conf *tls.Config) {
	c.t.Helper()
	c.tls = conf.Clone()
	c.tls.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	conn := tls.Client(c.conn, c.tls)
	if err := conn.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.conn, c.in = conn, ftp.NewReader(conn, 0)
}

// loginTLS connects as anna over AUTH TLS, in binary, with protected data.
func (s *site) loginTLS(conf *tls.Config) *client {
	s.t.Helper()
	c := s.dial()
	c.want("AUTH TLS", 234)
	c.handshake(conf)
	for _, w := range []string{"USER anna", "PASS secret", "TYPE I", "PBSZ 0", "PROT P"} {
		c.send(w + "\r\n")
	}
	for _, code := range []ftp.Code{331, 230, 200, 200, 200} {
		c.want("", code)
	}
	return c
}

// eachVersion runs story under TLS 1.2 and 1.3.
func eachVersion(t *testing.T, policy ftpserver.TLS, story func(t *testing.T, s *site, conf *tls.Config)) {
	t.Helper()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(strings.ReplaceAll(tls.VersionName(version), " ", ""), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				change, conf := secured(t, policy)
				conf.MaxVersion = version
				s := newSite(t, memory(), change)
				story(t, s, conf)
			})
		})
	}
}

// TestTLS moves files over protected connections, in every way.
func TestTLS(t *testing.T) {
	eachVersion(t, ftpserver.TLS{Resumption: ftpserver.ResumptionRequire}, func(t *testing.T, s *site, conf *tls.Config) {
		c := s.loginTLS(conf)
		for _, content := range []string{"", "x", strings.Repeat("0123456789", 100_001)} {
			c.put("STOR f", content)
			if got := s.read("f"); got != content {
				t.Errorf("uploaded: got %d bytes, want %d", len(got), len(content))
			}
			if got := c.get("RETR f"); got != content {
				t.Errorf("downloaded: got %d bytes, want %d", len(got), len(content))
			}
		}
		if got := c.get("NLST"); got != "f\r\n" {
			t.Errorf("NLST: got %q", got)
		}
		c.want("TYPE A", 200)
		c.put("STOR t", "a\r\nb\r\n")
		if got := s.read("t"); got != "a\nb\n" {
			t.Errorf("text: got %q", got)
		}
		if got := c.want("STAT", 211).Text(); !strings.Contains(got, "data connections protected") {
			t.Errorf("STAT: got %q", got)
		}
		c.want("PROT C", 200)
		c.tls = nil // the data connections' own
		if got := c.get("RETR t"); got != "a\r\nb\r\n" {
			t.Errorf("after PROT C: got %q", got)
		}
		c.want("QUIT", 221)
		if _, err := c.in.ReadReply(); !errors.Is(err, io.EOF) {
			t.Errorf("after QUIT: got %v, want a clean end of TLS", err)
		}
	})
}

// TestTLSWords holds the security commands to RFC 4217.
func TestTLSWords(t *testing.T) {
	eachVersion(t, ftpserver.TLS{}, func(t *testing.T, s *site, conf *tls.Config) {
		c := s.dial()
		if got := c.want("FEAT", 211).Text(); !strings.Contains(got, "AUTH TLS\n") || !strings.Contains(got, "PBSZ\nPROT\n") {
			t.Errorf("FEAT: got %q", got)
		}
		for _, w := range []string{"PBSZ 0 503", "PROT P 503", "AUTH GSSAPI 504", "AUTH 501", "CCC 534"} {
			c.word(w)
		}
		// What came before TLS counts for nothing after it.
		c.want("USER anna", 331)
		c.want("PASS secret", 230)
		c.want("auth tls", 234)
		c.handshake(conf)
		for _, w := range []string{
			"PWD 530", "PASS secret 503", "AUTH TLS 503", "PROT P 503", "PBSZ x 501", "PBSZ 0 200", "PROT C 200", "PROT S 536",
			"PROT E 536", "PROT X 504", "prot p 200", "USER anna 331", "PASS secret 230", "CCC 534", "PWD 257",
			"REIN 220", "PWD 530", "USER anna 331", "PASS secret 230",
		} {
			c.word(w)
		}
		if got := c.get("NLST"); got != "" { // still protected, as the client's own side is
			t.Errorf("NLST after REIN: got %q", got)
		}
	})
}

// TestTLSPolicies refuses what the site's policy does.
func TestTLSPolicies(t *testing.T) {
	for name, q := range map[string]struct {
		policy         ftpserver.TLS
		plain, secured []string
	}{
		"require": {ftpserver.TLS{Control: ftpserver.ControlRequire, Data: ftpserver.DataRequire},
			[]string{"USER anna 534", "USER anonymous 534", "PASS x 503", "FEAT 211", "NOOP 200"},
			[]string{"USER anna 331", "PASS secret 230", "EPSV 229", "NLST 521", "PBSZ 0 200", "PROT C 534", "EPSV 229", "STOR x 521", "PROT P 200", "NLST 425"}},
		"credentials": {ftpserver.TLS{Control: ftpserver.ControlCredentials},
			[]string{"USER anna 534", "PASS secret 503", "USER anonymous 331"},
			[]string{"USER anna 331", "PASS secret 230", "PBSZ 0 200", "PROT C 200"}},
		"allow": {ftpserver.TLS{Data: ftpserver.DataRefuse},
			[]string{"USER anna 331", "PASS secret 230", "PWD 257"},
			[]string{"USER anna 331", "PASS secret 230", "PBSZ 0 200", "PROT P 534", "PROT C 200"}},
		"data-alone": {ftpserver.TLS{Data: ftpserver.DataRequire},
			[]string{"USER anna 331", "PASS secret 230", "EPSV 229", "LIST 521", "EPSV 229", "STOR y 521"},
			[]string{"USER anna 331", "PASS secret 230"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				change, conf := secured(t, q.policy)
				s := newSite(t, memory(), change)
				c := s.dial()
				for _, w := range q.plain {
					c.word(w)
				}
				c.want("AUTH TLS", 234)
				c.handshake(conf)
				for _, w := range q.secured {
					c.word(w)
				}
				if got := s.names(""); got != "" {
					t.Errorf("left behind: %q", got)
				}
			})
		})
	}
}

// TestImplicit speaks TLS from the first byte; data is protected without PROT.
func TestImplicit(t *testing.T) {
	eachVersion(t, ftpserver.TLS{Implicit: true, Control: ftpserver.ControlRequire, Data: ftpserver.DataRequire, Resumption: ftpserver.ResumptionRequire}, func(t *testing.T, s *site, conf *tls.Config) {
		c := s.connect(s.addr)
		c.handshake(conf)
		c.want("", 220)
		c.want("USER anna", 331)
		c.want("PASS secret", 230)
		c.put("STOR f", "x")
		if got := c.get("RETR f"); got != "x" {
			t.Errorf("got %q", got)
		}
		// Somebody who speaks plain FTP is told nothing and let go.
		plain := s.connect(s.addr)
		plain.send("USER anna\r\n")
		if b, err := io.ReadAll(plain.conn); strings.Contains(string(b), "220") {
			t.Errorf("plain words to an implicit site: got %q, %v", b, err)
		}
	})
}

// TestTruncated: an upload that ends without close_notify may have been cut by
// anybody, and is not published; a site may be lenient.
func TestTruncated(t *testing.T) {
	for _, lenient := range []bool{false, true} {
		eachVersion(t, ftpserver.TLS{AcceptTruncated: lenient}, func(t *testing.T, s *site, conf *tls.Config) {
			s.write("f", "old")
			c := s.loginTLS(conf)
			for _, command := range []string{"STOR f", "TYPE A", "STOR f"} {
				if strings.HasPrefix(command, "TYPE") {
					c.want(command, 200)
					s.write("f", "old")
					continue
				}
				raw := c.rawEPSV()
				c.want(command, 150)
				data := tls.Client(raw, c.tls)
				if _, err := io.WriteString(data, "new"); err != nil {
					t.Fatal(err)
				}
				if ok, err := netx.CloseWrite(raw); !ok || err != nil {
					t.Fatal(ok, err)
				}
				want, code := "old", ftp.Code(426)
				if lenient {
					want, code = "new", 226
				}
				c.want("", code)
				if got := s.read("f"); got != want || s.names("") != "f" {
					t.Errorf("lenient %v: got %q, beside it %q, want %q", lenient, got, s.names(""), want)
				}
			}
			// In the middle of a record it is an error whatever the policy.
			raw := c.rawEPSV()
			c.want("STOR g", 150)
			data := tls.Client(&shortConn{Conn: raw}, c.tls)
			if err := data.Handshake(); err != nil {
				t.Fatal(err)
			}
			data.NetConn().(*shortConn).short = true
			_, _ = data.Write(make([]byte, 1000))
			_, _ = netx.CloseWrite(raw)
			c.want("", 426)
			if got := s.names(""); strings.Contains(got, "g") {
				t.Errorf("left: %q", got)
			}
		})
	}
}

// shortConn loses the last byte of what is written, once it is told to.
type shortConn struct {
	net.Conn
	short bool
}

func (c *shortConn) Write(p []byte) (int, error) {
	if c.short {
		n, err := c.Conn.Write(p[:len(p)-1])
		return n + 1, err
	}
	return c.Conn.Write(p)
}

// TestResumption: where it is required, a data connection must resume the session
// of its own control connection, and no other's.
func TestResumption(t *testing.T) {
	eachVersion(t, ftpserver.TLS{Resumption: ftpserver.ResumptionRequire}, func(t *testing.T, s *site, conf *tls.Config) {
		s.write("f", "x")
		c, other := s.loginTLS(conf), s.loginTLS(conf)
		refused := func(why string, conf *tls.Config) {
			t.Helper()
			raw := c.rawEPSV()
			c.want("STOR g", 150)
			data := tls.Client(raw, conf)
			_, _ = io.WriteString(data, "stolen") // the refusal may come first
			_ = data.Close()
			if got := c.want("", 522).Text(); !strings.Contains(got, "did not resume the TLS session") {
				t.Errorf("%s: got %q", why, got)
			}
			if got := s.names(""); got != "f" {
				t.Errorf("%s: left %q", why, got)
			}
		}
		refused("no ticket", conf)
		refused("another session's ticket", other.tls)
		for range 5 {
			if got := c.get("RETR f"); got != "x" {
				t.Errorf("resumed: got %q", got)
			}
		}
		c.put("STOR h", "y")
		// A control connection never resumes: its ticket is bound to no session.
		again := s.dial()
		again.want("AUTH TLS", 234)
		conn := tls.Client(again.conn, c.tls)
		if err := conn.Handshake(); err != nil || conn.ConnectionState().DidResume {
			t.Errorf("a new control connection: %v, resumed %v, want a whole handshake", err, conn.ConnectionState().DidResume)
		}
	})
}

// TestInjection: words that were sent behind AUTH, before TLS, are never taken
// for words that came through it.
func TestInjection(t *testing.T) {
	eachVersion(t, ftpserver.TLS{}, func(t *testing.T, s *site, conf *tls.Config) {
		c := s.dial()
		c.send("AUTH TLS\r\nUSER anna\r\nPASS secret\r\nDELE f\r\n")
		s.write("f", "x")
		c.want("", 421)
		c.eof()
		// Between the reply and the handshake they spoil the handshake.
		c = s.dial()
		c.want("AUTH TLS", 234)
		c.send("USER anna\r\n")
		conn := tls.Client(c.conn, conf)
		if err := conn.Handshake(); err == nil {
			t.Error("bytes between 234 and the handshake: got no error")
		}
		if got := s.read("f"); got != "x" {
			t.Errorf("f: got %q", got)
		}
	})
}

// TestClientCertificate asks clients for one and hands it to Authenticate.
func TestClientCertificate(t *testing.T) {
	for _, required := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ca, stranger := testkit.NewCerts(t), testkit.NewCerts(t)
			change, conf := secured(t, ftpserver.TLS{ClientCAs: ca.Pool, ClientRequired: required, Resumption: ftpserver.ResumptionRequire})
			var names []string
			s := newSite(t, memory(), func(srv *ftpserver.Server) {
				change(srv)
				whole := srv.Authenticate
				srv.Authenticate = func(ctx context.Context, l ftpserver.Login) (ftpserver.Account, error) {
					if l.Certificate != nil {
						names = append(names, l.Certificate.Subject.CommonName)
					} else {
						names = append(names, "")
					}
					return whole(ctx, l)
				}
			})
			with := conf.Clone()
			with.Certificates = []tls.Certificate{ca.Issue(t, "anna.example.com")}
			c := s.loginTLS(with)
			c.put("STOR f", "x")
			if len(names) != 1 || names[0] != "anna.example.com" {
				t.Errorf("required %v: Authenticate saw %q", required, names)
			}
			strange := conf.Clone()
			strange.Certificates = []tls.Certificate{stranger.Issue(t, "anna.example.com")}
			for _, conf := range []*tls.Config{conf, strange} {
				c := s.dial()
				c.want("AUTH TLS", 234)
				conn := tls.Client(c.conn, conf)
				_, err := io.WriteString(conn, "NOOP\r\n")
				if err == nil {
					_, err = conn.Read(make([]byte, 100))
				}
				if good := !required && len(conf.Certificates) == 0; (err == nil) != good {
					t.Errorf("required %v, %d certificates: got %v, want good %v", required, len(conf.Certificates), err, good)
				}
			}
		})
	}
}

// TestClearUnderPROT: a client that says PROT P and sends in the clear, as curl up
// to 7.88 does in active mode, is refused.
func TestClearUnderPROT(t *testing.T) {
	eachVersion(t, ftpserver.TLS{Resumption: ftpserver.ResumptionWarn}, func(t *testing.T, s *site, conf *tls.Config) {
		c := s.loginTLS(conf)
		data := c.rawEPSV()
		c.want("STOR f", 150)
		if _, err := io.WriteString(data, "in the clear"); err != nil {
			t.Fatal(err)
		}
		_ = data.Close()
		c.want("", 426)
		if got := s.names(""); got != "" {
			t.Errorf("left: %q", got)
		}
	})
}

// TestTLSCut: a download that is cut never looks whole.
func TestTLSCut(t *testing.T) {
	eachVersion(t, ftpserver.TLS{}, func(t *testing.T, s *site, conf *tls.Config) {
		s.write("f", strings.Repeat("x", 4<<20))
		c := s.loginTLS(conf)
		data := tls.Client(c.rawEPSV(), c.tls)
		c.want("RETR f", 150)
		if _, err := io.ReadFull(data, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		c.want("ABOR", 426)
		c.want("", 226)
		if n, err := io.Copy(io.Discard, data); err == nil {
			t.Errorf("got a clean end after %d bytes", n)
		}
		up := tls.Client(c.rawEPSV(), c.tls)
		c.want("STOR g", 150)
		if _, err := io.WriteString(up, "half"); err != nil {
			t.Fatal(err)
		}
		c.want("ABOR", 426)
		c.want("", 226)
		if got := s.names(""); got != "f" {
			t.Errorf("left: %q", got)
		}
	})
}
