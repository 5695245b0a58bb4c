package ftpserver_test

import (
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/memnet"
)

// bubble runs story with a site in memory and a clock of its own.
func bubble(t *testing.T, change func(*ftpserver.Server), story func(t *testing.T, s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		story(t, newSite(t, &memnet.Network{}, change))
	})
}

func TestTexts(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		c := s.login()
		for _, q := range []struct {
			command string
			code    ftp.Code
			want    string
		}{
			{`MKD a "b"`, 257, `"/a ""b""" created`},
			{`CWD a "b"`, 250, `Directory changed to "/a ""b"""`},
			{"PWD", 257, `"/a ""b""" is the current directory`},
			{"SYST", 215, "UNIX Type: L8"},
			{"RETR none", 550, `"/a \"b\"/none" is not there`},
			{"AUTH TLS", 534, "This site has no certificate and speaks plain FTP, for networks that are trusted"},
			{"HELP rnfr", 214, "RNFR path: begins a rename (959 4.1.3)"},
			{"HELP auth", 214, "AUTH TLS: begins TLS on the control connection (4217 4)"},
			{"OPTS MLST size;nonsense;Type;", 200, "MLST OPTS type;size;"},
			{"OPTS MLST", 200, "MLST OPTS"},
			{"PORT 10,1,2,3,9,9", 504, "Data connections go to 127.0.0.1 only, where you come from; behind a NAT use EPSV or PASV"},
			{"EPSV 2", 522, "Network protocol not supported, use (1)"},
		} {
			if got := c.want(q.command, q.code).Text(); got != q.want {
				t.Errorf("%s: got %q, want %q", q.command, got, q.want)
			}
		}
	})
}

// TestFeat holds FEAT to the table, and to what OPTS MLST chose.
func TestFeat(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		c := s.login()
		want := "Extensions:\nAVBL\nCLNT\nTVFS\nEPRT\nEPSV\nLANG EN*\nMDTM\nMFMT\nMLST type*;size*;modify*;perm*;UNIX.mode;\nUTF8\nREST STREAM\nSIZE\nEnd"
		if got := c.want("FEAT", 211).Text(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		c.want("OPTS MLST modify;UNIX.mode;", 200)
		if got := c.want("FEAT", 211).Text(); !strings.Contains(got, "MLST type;size;modify*;perm;UNIX.mode*;\n") {
			t.Errorf("after OPTS MLST: got %q", got)
		}
		help := c.want("HELP", 214).Text()
		for _, cmd := range ftpserver.Commands() {
			if got := strings.Contains(help, cmd.Verb); got != cmd.Served {
				t.Errorf("HELP and %s: got %v, want %v", cmd.Verb, got, cmd.Served)
			}
			if cmd.Served == (cmd.Why != "") || cmd.Served == (cmd.Does == "") || cmd.RFC == "" {
				t.Errorf("row of %s is not whole: %+v", cmd.Verb, cmd)
			}
		}
	})
}

// TestPasswords counts the wrong ones, and the seconds they cost.
func TestPasswords(t *testing.T) {
	bubble(t, func(srv *ftpserver.Server) {
		srv.Timeouts.BadLogin = time.Second
		srv.Limits.LoginAttempts = 3
	}, func(t *testing.T, s *site) {
		c := s.dial()
		began := time.Now()
		for range 2 {
			c.want("USER anna", 331)
			if got := c.want("PASS wrong", 530).Text(); got != "Wrong user name or password" {
				t.Errorf("got %q", got)
			}
		}
		c.want("USER nobody", 331)
		c.want("PASS wrong", 421)
		c.eof()
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("three wrong passwords took %s, want 1 s, 2 s and 3 s", took)
		}
	})
}

// TestHTTP wants a browser, made to speak to us by a page, to be shut out soon.
func TestHTTP(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		c := s.dial()
		c.send("POST / HTTP/1.1\r\n" + strings.Repeat("X-Header: USER anna\r\n", 20))
		for range 10 {
			c.want("", 500)
		}
		c.want("", 421)
		c.eof()
	})
}

func TestLimits(t *testing.T) {
	bubble(t, func(srv *ftpserver.Server) { srv.Limits = ftpserver.Limits{Sessions: 3, SessionsPerPeer: 2} }, func(t *testing.T, s *site) {
		a := s.login()
		s.login()
		c := s.connect(s.addr)
		if got := c.want("", 421).Text(); got != "Too many sessions from your address: 2 at once is the most, try again later" {
			t.Errorf("got %q", got)
		}
		c.eof()
		a.want("QUIT", 221)
		a.eof()
		synctest.Wait()
		s.login()
	})
}

// TestHalfOpenLimit: sessions that have not logged in leave room for those from
// elsewhere, and for those that have; IPv6 counts by its 64 bits.
func TestHalfOpenLimit(t *testing.T) {
	n := &memnet.Network{}
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, n, func(srv *ftpserver.Server) { srv.Limits.Sessions = 6 })
		refused := func() {
			t.Helper()
			c := s.connect(s.addr)
			if got := c.want("", 421).Text(); got != "Too many sessions from your address have not logged in: 3 at once is the most, try again later" {
				t.Errorf("got %q", got)
			}
			c.eof()
		}
		a, b, c := s.dial(), s.dial(), s.dial()
		refused()
		a.want("USER anna", 331)
		refused()
		a.want("PASS secret", 230)
		d := s.dial()
		refused()
		a.want("REIN", 220) // counts again
		for _, x := range []*client{b, c} {
			x.want("QUIT", 221)
			x.eof()
			synctest.Wait()
		}
		s.dial()
		refused()
		n.Source = netip.MustParseAddr("2001:db8::1")
		s.dial()
		s.dial().want("NOOP", 200)
		n.Source = netip.MustParseAddr("2001:db8::2:1")
		s.dial()
		e := s.connect(s.addr)
		e.want("", 421) // six at once
		for _, x := range []*client{a, d} {
			x.want("QUIT", 221)
			x.eof()
		}
		synctest.Wait()
		refused() // the same 64 bits
		n.Source = netip.MustParseAddr("2001:db8:0:1::1")
		s.login()
	})
}

func TestSessions(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		s.write("f", strings.Repeat("x", 1<<20))
		a, b := s.login(), s.dial()
		b.want("USER anna", 331)
		b.want("PASS nonsense", 530)
		data := a.epsv()
		a.want("RETR f", 150)
		if _, err := io.ReadFull(data, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		all := s.srv.Sessions()
		if len(all) != 2 {
			t.Fatalf("got %d sessions, want 2", len(all))
		}
		if x := all[0]; x.Account != "anna" || x.Path != "/f" || x.Command != `RETR "f"` || x.Reply != 150 {
			t.Errorf("the first: got %+v", x)
		}
		if x := all[1]; x.Account != "" || x.Command != "PASS ***" || x.Reply != 530 || !x.Peer.IsValid() {
			t.Errorf("the second: got %+v", x)
		}
		if !s.srv.Disconnect(all[0].ID) || s.srv.Disconnect(99) {
			t.Error("Disconnect: want true for a session, false for none")
		}
		for { // the transfer's 426 may still come through
			if _, err := a.in.ReadReply(); err != nil {
				break
			}
		}
		if _, err := io.Copy(io.Discard, data); err == nil {
			t.Error("the data connection of a session that was disconnected: got a clean end")
		}
	})
}
