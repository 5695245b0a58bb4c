package ftpserver_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/testkit"
)

// TestStalledHandshakes: a handshake that stands still, or comes byte by byte,
// ends by the time that a connection may take to come about, on the control
// connection and on a data connection, where the session lives on.
func TestStalledHandshakes(t *testing.T) {
	within := func(t *testing.T, began time.Time) {
		t.Helper()
		if took := time.Since(began); took > 31*time.Second {
			t.Errorf("it took %s, want 30 s", took)
		}
	}
	drip := func(conn net.Conn) (wait func()) {
		var wg sync.WaitGroup
		wg.Go(func() { // the header of a record of 16 KiB, and its bytes one by one
			_, err := io.WriteString(conn, "\x16\x03\x01\x40\x00\x01\x00\x3f\xfc")
			for err == nil {
				later(time.Second)
				_, err = io.WriteString(conn, "\x03")
			}
		})
		return wg.Wait
	}
	gone := func(t *testing.T, s *site) {
		t.Helper()
		synctest.Wait()
		if n := len(s.srv.Sessions()); n != 0 {
			t.Errorf("%d sessions left", n)
		}
	}
	for name, dripping := range map[string]bool{"silent": false, "drop-by-drop": true} {
		begin := func(conn net.Conn) func() {
			if dripping {
				return drip(conn)
			}
			return func() {}
		}
		t.Run(name+"-control", func(t *testing.T) {
			eachVersion(t, ftpserver.TLS{}, func(t *testing.T, s *site, _ *tls.Config) {
				c := s.dial()
				c.want("AUTH TLS", 234)
				began := time.Now()
				wait := begin(c.conn)
				_, _ = io.Copy(io.Discard, c.conn)
				within(t, began)
				wait()
				gone(t, s)
			})
		})
		t.Run(name+"-implicit", func(t *testing.T) {
			eachVersion(t, ftpserver.TLS{Implicit: true}, func(t *testing.T, s *site, _ *tls.Config) {
				c := s.connect(s.addr)
				began := time.Now()
				wait := begin(c.conn)
				_, _ = io.Copy(io.Discard, c.conn)
				within(t, began)
				wait()
				gone(t, s)
			})
		})
		t.Run(name+"-data", func(t *testing.T) {
			eachVersion(t, ftpserver.TLS{}, func(t *testing.T, s *site, conf *tls.Config) {
				s.write("f", "x")
				c := s.loginTLS(conf)
				for _, command := range []string{"RETR f", "STOR g", "LIST"} {
					data := c.rawEPSV()
					c.want(command, 150)
					began := time.Now()
					wait := begin(data)
					c.want("", 426)
					within(t, began)
					_, _ = io.Copy(io.Discard, data)
					wait()
				}
				if got := c.get("RETR f"); got != "x" || s.names("") != "f" {
					t.Errorf("afterwards: got %q, beside it %q", got, s.names(""))
				}
			})
		})
	}
}

// TestHandshakesBesideOthers: a hundred handshakes that stand still keep nobody
// else from coming in.
func TestHandshakesBesideOthers(t *testing.T) {
	eachVersion(t, ftpserver.TLS{}, func(t *testing.T, s *site, conf *tls.Config) {
		for range 100 {
			s.dial().want("AUTH TLS", 234)
		}
		began := time.Now()
		s.loginTLS(conf).put("STOR f", "x")
		if took := time.Since(began); took != 0 {
			t.Errorf("a login beside them took %s of the bubble's clock", took)
		}
	})
}

// TestAnewUnderTLS: USER and REIN during a protected transfer wait for its end;
// REIN leaves TLS on, and data protected, and nothing of the account.
func TestAnewUnderTLS(t *testing.T) {
	eachVersion(t, ftpserver.TLS{Resumption: ftpserver.ResumptionRequire}, func(t *testing.T, s *site, conf *tls.Config) {
		for _, command := range []string{"REIN", "USER guest"} {
			c := s.loginTLS(conf)
			data := tls.Client(c.rawEPSV(), c.tls)
			c.want("STOR f", 150)
			if _, err := io.WriteString(data, command); err != nil {
				t.Fatal(err)
			}
			c.send(command + "\r\nPWD\r\n")
			synctest.Wait()
			if err := data.Close(); err != nil {
				t.Fatal(err)
			}
			c.want("", 226)
			if command == "REIN" {
				c.want("", 220)
			} else {
				c.want("", 331)
			}
			c.want("", 530)
			if got := s.read("f"); got != command {
				t.Errorf("the upload under way: got %q", got)
			}
			c.want("AUTH TLS", 503) // it is on all the while
			c.want("USER anna", 331)
			c.want("PASS secret", 230)
			if got := c.get("NLST"); got != "f\r\n" {
				t.Errorf("after %s, protected as before: got %q", command, got)
			}
			c.want("CCC", 534)
			c.want("QUIT", 221)
		}
	})
}

// TestQuitUnderTLS: QUIT during a protected transfer comes after its end, and the
// control connection ends with TLS's own farewell.
func TestQuitUnderTLS(t *testing.T) {
	eachVersion(t, ftpserver.TLS{}, func(t *testing.T, s *site, conf *tls.Config) {
		c := s.loginTLS(conf)
		data := tls.Client(c.rawEPSV(), c.tls)
		c.want("STOR f", 150)
		c.send("QUIT\r\n")
		synctest.Wait()
		if _, err := io.WriteString(data, "whole"); err != nil {
			t.Fatal(err)
		}
		if err := data.Close(); err != nil {
			t.Fatal(err)
		}
		c.want("", 226)
		c.want("", 221)
		if _, err := c.in.ReadReply(); !errors.Is(err, io.EOF) {
			t.Errorf("after QUIT: got %v, want a clean end of TLS", err)
		}
		if got := s.read("f"); got != "whole" {
			t.Errorf("got %q", got)
		}
	})
}

// TestTextUploadCut: only a clean end of the data connection publishes a text
// upload, too.
func TestTextUploadCut(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		c := s.login()
		c.want("TYPE A", 200)
		data := c.epsv()
		c.want("STOR f", 150)
		if _, err := io.WriteString(data, "half\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		_ = netx.Reset(data)
		c.want("", 426)
		if got := s.names(""); got != "" {
			t.Errorf("left: %q", got)
		}
	})
}

// TestRenegotiation: OpenSSL asks to negotiate anew in the middle of a session,
// which costs a server much and a client little. It is cut off.
func TestRenegotiation(t *testing.T) {
	openssl, env := testkit.Tool(t, "openssl")
	testkit.NoLeaks(t)
	change, _ := secured(t, ftpserver.TLS{})
	s := newSite(t, nil, change)
	cmd := exec.CommandContext(t.Context(), openssl, "s_client", "-starttls", "ftp", "-tls1_2", "-connect", s.addr, "-crlf")
	cmd.Env = env
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { all := s.srv.Sessions(); return len(all) == 1 && all[0].Reply == 234 })
	if _, err := io.WriteString(in, "NOOP\n"); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { all := s.srv.Sessions(); return len(all) == 1 && all[0].Command == "NOOP" })
	if _, err := io.WriteString(in, "R\n"); err != nil { // a line of R alone renegotiates
		t.Fatal(err)
	}
	await(t, func() bool { return len(s.srv.Sessions()) == 0 })
	err = cmd.Wait() // it ends, having been cut off
	if got := out.String(); !strings.Contains(got, "RENEGOTIATING") || err == nil {
		t.Errorf("openssl ended with %v and wrote %q", err, got)
	}
}
