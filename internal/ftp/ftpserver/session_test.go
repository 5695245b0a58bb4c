package ftpserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
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

// later lets d of the bubble's clock go by.
func later(d time.Duration) { <-time.After(d) }

// TestWords gives single commands in a state and wants a code each.
func TestWords(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for name, words := range map[string][]string{
		"before-login": {
			"PWD 530", "RETR x 530", "PASV 530", "LIST 530", "TYPE I 530", "STAT / 530", "MKD x 530", "ABOR 530",
			"NOOP 200", "SYST 215", "FEAT 211", "HELP 214", "HELP retr 214", "STAT 211", "OPTS UTF8 ON 200", "SITE HELP 214",
			"PASS x 503", "USER 501", "AUTH TLS 534", "AUTH SSL 534", "PBSZ 0 502", "PROT P 502", "CCC 502",
		},
		"login": {
			"user anna 331", "PASS wrong 530", "PASS secret 503", "USER anna 331", "pass secret 230", "PASS secret 503",
			"PWD 257", "USER guest 331", "PWD 530", "PASS any 230", "PWD 257", "USER anna 331", "USER anna 331", "PASS 530",
		},
		"unknown": {"XYZZY 500", "HELP xyzzy 501", "GET / HTTP/1.1 500", ". 500", "NOOP 200", "X" + long + " 500", "NOOP " + long + " 500", "NOOP 200"},
		"arguments": {
			"+", "PWD x 501", "NOOP x 501", "QUIT x 501", "CDUP x 501", "FEAT x 501", "PASV x 501", "ABOR x 501",
			"CWD 501", "RETR 501", "STOR 501", "APPE 501", "DELE 501", "MKD 501", "RMD 501", "RNFR 501", "RNTO 501", "SIZE 501",
			"MDTM 501", "TYPE 501", "MODE 501", "STRU 501", "PORT 501", "EPRT 501", "REST 501", "OPTS 501", "SITE 501", "MFMT 501",
		},
		"parameters": {
			"+", "TYPE A 200", "type a n 200", "TYPE I 200", "TYPE L 8 200", "type i 200", "TYPE E 504", "TYPE A T 504", "TYPE L 7 504",
			"MODE S 200", "mode s 200", "MODE B 504", "MODE Z 504", "STRU F 200", "stru f 200", "STRU R 504", "STRU P 504",
			"ALLO 10 202", "ALLO 202", "REST 0 350", "REST 99 350", "REST -1 501", "REST +1 501", "REST x 501", "REST 9223372036854775808 501",
			"OPTS MLST size;type; 200", "OPTS MLST 200", "OPTS UTF8 OFF 504", "OPTS RETR x 501", "SITE CHMOD 777 x 504",
			"ACCT x 502", "SMNT / 502", "REIN 502", "STOU 502", "LANG en 502", "HOST x 502",
		},
		"folders": {
			"+", "MKD a 257", "MKD a 550", "XMKD a/b 257", "MKD x/y 550", "CWD a 250", "PWD 257", "CDUP 250", "XCWD /a/b 250", "XCUP 250", "CDUP 250", "CDUP 250",
			"CWD none 550", "RMD a 550", "RMD a/b 250", "XRMD a 250", "RMD a 550", "RMD / 550", "XPWD 257", "DELE / 550", "CWD .. 250", "CWD ../../.. 250",
		},
		"sequences": {
			"+", "RNTO x 503", "MKD a 257", "RNFR a 350", "RNTO b 250", "RNFR none 550", "RNTO c 503", "RNFR b 350", "NOOP 200", "RNTO c 503",
			"RETR none 550", "STOR none/x 550", "STOR b 550", "APPE b 550", "RETR b 550", "RETR / 550", "LIST none 550", "NLST none 550", "MLSD none 550", "MLST none 550",
			"SIZE b 550", "SIZE none 550", "MDTM none 550", "STAT none 550", "LIST 425", "NLST 425", "MLSD 425", "STOR x 425", "APPE y 425",
			"ABOR 225", "EPSV 229", "ABOR 225", "LIST 425", "DELE b 550",
		},
		"data-addresses": {
			"+", "PORT 127,0,0,1,4,0 200", "PORT 127,0,0,1,3,255 504", "PORT 10,0,0,1,40,0 504", "PORT 127,0,0,1,256,0 501", "PORT 1,2,3 501",
			"EPRT |1|127.0.0.1|2000| 200", "EPRT |1|127.0.0.1|1023| 504", "EPRT |1|127.0.0.2|2000| 504", "EPRT |2|::1|2000| 522", "EPRT |3|x|2000| 522", "EPRT x 501",
			"EPSV 229", "EPSV 1 229", "EPSV 2 522", "EPSV 3 522", "EPSV x 501", "PASV 227", "EPSV ALL 200", "PASV 503", "PORT 127,0,0,1,4,0 503", "EPRT |1|127.0.0.1|2000| 503", "EPSV 229",
		},
		"names": {"+", "STOR a\x00b 500", "MKD " + strings.Repeat("a/", 2000) + "x 550", "MKD " + strings.Repeat("a", 300) + " 553", `MKD q"uote 257`, "MKD  lead 257", "CWD  lead 250"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *site) {
				c := s.dial()
				for _, w := range words {
					if w == "+" {
						c.want("USER anna", 331)
						c.want("PASS secret", 230)
						c.want("TYPE I", 200)
						continue
					}
					i := strings.LastIndexByte(w, ' ')
					var code ftp.Code
					if _, err := fmt.Sscan(w[i:], &code); err != nil {
						t.Fatal(err)
					}
					c.want(w[:i], code)
				}
				c.want("QUIT", 221)
				c.eof()
			})
		})
	}
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
			{"AUTH TLS", 534, "TLS of a site comes in a later version; this one serves plain FTP, for networks that are trusted"},
			{"HELP rnfr", 214, "RNFR path: begins a rename (959 4.1.3)"},
			{"HELP auth", 214, "TLS of a site comes in a later version; this one serves plain FTP, for networks that are trusted"},
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
		want := "Extensions:\nTVFS\nEPRT\nEPSV\nMDTM\nMFMT\nMLST type*;size*;modify*;perm*;UNIX.mode;\nUTF8\nREST STREAM\nSIZE\nEnd"
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

func TestTimeouts(t *testing.T) {
	at := func(t *testing.T, began time.Time, want time.Duration) {
		t.Helper()
		if took := time.Since(began); took != want {
			t.Errorf("after %s, want %s", took, want)
		}
	}
	t.Run("login", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			began := time.Now()
			c := s.dial()
			later(50 * time.Second) // a client that is slow
			c.want("USER anna", 331)
			c.want("", 421)
			c.eof()
			at(t, began, time.Minute)
		})
	})
	t.Run("drop-by-drop", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			c := s.login()
			began := time.Now()
			var drops sync.WaitGroup
			drops.Go(func() {
				for range 1000 {
					if _, err := io.WriteString(c.conn, "x"); err != nil {
						return
					}
					later(time.Second) // a command that never ends
				}
			})
			c.want("", 421)
			c.eof()
			at(t, began, 5*time.Minute)
			drops.Wait()
		})
	})
	t.Run("idle", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			c := s.login()
			later(4 * time.Minute)
			c.want("NOOP", 200)
			began := time.Now()
			c.want("", 421)
			c.eof()
			at(t, began, 5*time.Minute)
		})
	})
	t.Run("idle-rests", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			c := s.login()
			data := c.epsv()
			c.want("STOR f", 150)
			for range 20 {
				later(time.Minute) // slower than the idle time-out, faster than a stall
				if _, err := io.WriteString(data, "x"); err != nil {
					t.Fatal(err)
				}
			}
			if err := data.Close(); err != nil {
				t.Fatal(err)
			}
			c.want("", 226)
			began := time.Now()
			c.want("", 421)
			at(t, began, 5*time.Minute)
			if got := s.read("f"); got != strings.Repeat("x", 20) {
				t.Errorf("got %q", got)
			}
		})
	})
	t.Run("stalled-upload", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			c := s.login()
			data := c.epsv()
			c.want("STOR f", 150)
			if _, err := io.WriteString(data, "x"); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if got := c.want("", 426).Text(); got != `No byte of STOR "/f" moved for 2m0s` {
				t.Errorf("got %q", got)
			}
			if took := time.Since(began); took < 2*time.Minute || took > 4*time.Minute {
				t.Errorf("after %s, want the stall time-out", took)
			}
			if got := s.names(""); got != "" {
				t.Errorf("left behind: %q", got)
			}
		})
	})
	t.Run("stalled-download", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			s.write("f", strings.Repeat("x", 1<<20))
			c := s.login()
			data := c.epsv()
			c.want("RETR f", 150)
			if _, err := io.ReadFull(data, make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			c.want("", 426)
			if _, err := io.Copy(io.Discard, data); err == nil {
				t.Error("a download that was cut: got a clean end")
			}
		})
	})
	t.Run("slow-download", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			want := strings.Repeat("0123456789abcdef", 1<<14)
			s.write("f", want)
			c := s.login()
			data := c.epsv()
			c.want("RETR f", 150)
			var got strings.Builder
			for buf := make([]byte, 10_000); ; {
				n, err := data.Read(buf)
				got.Write(buf[:n])
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				later(100 * time.Second) // slow, but never still for the stall time-out
			}
			c.want("", 226)
			if got.String() != want {
				t.Errorf("got %d bytes, want %d and the same", got.Len(), len(want))
			}
		})
	})
	t.Run("no-data-connection", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			s.write("f", "x")
			c := s.login()
			c.want("EPSV", 229)
			began := time.Now()
			c.want("RETR f", 425)
			at(t, began, 30*time.Second)
			c.want("RETR f", 425) // and no 150 before it, nor a port that is still held
		})
	})
}

// TestReplyNotTaken: a client that reads no replies does not hold the session.
func TestReplyNotTaken(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		c := s.login()
		began := time.Now()
		for {
			if _, err := io.WriteString(c.conn, strings.Repeat("HELP\r\n", 100)); err != nil {
				break
			}
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("the session ended after %s", took)
		}
		synctest.Wait()
		if n := len(s.srv.Sessions()); n != 0 {
			t.Errorf("%d sessions left", n)
		}
	})
}

func TestShutdown(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			a, b := s.login(), s.dial()
			if err := s.srv.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			a.want("", 421)
			a.eof()
			b.want("", 421)
			b.eof()
			if _, err := s.net.Dial(t.Context(), "tcp", s.addr); err == nil {
				t.Error("a new session: got no error")
			}
		})
	})
	t.Run("transfer-ends-first", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			c := s.login()
			data := c.epsv()
			c.want("STOR f", 150)
			done := make(chan error, 1)
			go func() { done <- s.srv.Shutdown(t.Context()) }()
			synctest.Wait()
			if _, err := io.WriteString(data, "whole"); err != nil {
				t.Fatal(err)
			}
			if err := data.Close(); err != nil {
				t.Fatal(err)
			}
			c.want("", 226)
			c.want("", 421)
			c.eof()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if got := s.read("f"); got != "whole" {
				t.Errorf("got %q", got)
			}
		})
	})
	t.Run("deadline", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			c := s.login()
			data := c.epsv()
			c.want("STOR f", 150)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := s.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the deadline", err)
			}
			if err := s.srv.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := data.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("the data connection: got %v, want it cut", err)
			}
			if got := s.names(""); got != "" {
				t.Errorf("left behind: %q", got)
			}
		})
	})
	t.Run("before-serve", func(t *testing.T) {
		srv := &ftpserver.Server{Authenticate: func(context.Context, ftpserver.Login) (ftpserver.Account, error) {
			return ftpserver.Account{}, nil
		}}
		if err := errors.Join(srv.Shutdown(t.Context()), srv.Close()); err != nil {
			t.Fatal(err)
		}
		l, err := new(memnet.Network).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Serve(l); !errors.Is(err, ftpserver.ErrServerClosed) {
			t.Errorf("got %v, want ErrServerClosed", err)
		}
	})
}

func TestLimits(t *testing.T) {
	bubble(t, func(srv *ftpserver.Server) { srv.Limits = ftpserver.Limits{Sessions: 3, SessionsPerPeer: 2} }, func(t *testing.T, s *site) {
		a := s.login()
		s.login()
		c := s.connect(s.addr)
		if got := c.want("", 421).Text(); got != "Too many sessions from your address, try again later" {
			t.Errorf("got %q", got)
		}
		c.eof()
		a.want("QUIT", 221)
		a.eof()
		synctest.Wait()
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

// TestShutdownHeldUp: a client that takes no replies holds Shutdown up for no
// longer than its own reply may take.
func TestShutdownHeldUp(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		for range 5 {
			c := s.login()
			var full sync.WaitGroup
			full.Go(func() {
				for {
					if _, err := io.WriteString(c.conn, strings.Repeat("HELP\r\n", 100)); err != nil {
						return
					}
				}
			})
			defer full.Wait()
		}
		synctest.Wait()
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("Shutdown took %s, want the second it was given", took)
		}
		if err := s.srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// shaky is a listener whose accepts fail now and then.
type shaky struct {
	net.Listener
	fails int
}

func (l *shaky) Accept() (net.Conn, error) {
	if l.fails > 0 {
		l.fails--
		return nil, syscall.EMFILE
	}
	return l.Listener.Accept()
}

// TestAcceptFails: want of file descriptors passes, and the server is still there.
func TestAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &memnet.Network{}
		s := newSite(t, n, nil)
		l, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.serve(&shaky{Listener: l, fails: 10})
		s.login().want("NOOP", 200)
	})
}

// TestServeAgain serves a second listener when the first has ended by itself.
func TestServeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &memnet.Network{}
		srv, tree, err := newServer(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		srv.Network = n
		l, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := srv.Serve(l); err == nil || errors.Is(err, ftpserver.ErrServerClosed) {
			t.Errorf("a listener closed by others: got %v", err)
		}
		if l, err = n.Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		s := &site{t: t, srv: srv, net: n}
		t.Cleanup(func() {
			if err := tree.Close(); err != nil {
				t.Error(err)
			}
		})
		s.serve(l)
		if got := s.login().get("NLST"); got != "" {
			t.Errorf("got %q", got)
		}
	})
}
