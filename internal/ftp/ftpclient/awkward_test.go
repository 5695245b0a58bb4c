package ftpclient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/testkit"
)

// onAwkward runs f against an awkward server in a bubble of fake time and looks
// afterwards that no connection was left open. Goroutines left behind end the
// bubble in a panic.
func onAwkward(t *testing.T, a *ftptest.Awkward, f func(t *testing.T, cfg ftpclient.Config)) {
	t.Helper()
	var pool *testkit.Certs
	if a.TLS == tlsPlease {
		pool = testCerts(t)
		a.TLS = &tls.Config{Certificates: []tls.Certificate{pool.Leaf}, MinVersion: tls.VersionTLS12, Time: certTime}
	}
	synctest.Test(t, func(t *testing.T) {
		n := &memnet.Network{}
		a.Network = n
		ours := &openConns{}
		cfg := ftpclient.Config{Dial: ours.over(n.Dial), Addr: a.Start(t), User: "me", Password: secret.New("geheim")}
		if pool != nil {
			cfg.Security = ftpclient.Explicit
			cfg.TLS = &tls.Config{RootCAs: pool.Pool, MinVersion: tls.VersionTLS12, Time: certTime}
		}
		f(t, cfg)
		<-time.After(time.Minute) // of fake time: whatever the server was about, it is over
		synctest.Wait()
		if n := a.Open(); n != 0 {
			t.Errorf("the server has %d connections open", n)
		}
		if n := ours.n.Load(); n != 0 {
			t.Errorf("the client left %d connections open", n)
		}
	})
}

// openConns counts the connections of a client that are neither closed nor reset.
type openConns struct{ n atomic.Int64 }

func (o *openConns) over(dial netx.DialFunc) netx.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		mc, ok := nc.(*memnet.Conn)
		if !ok {
			return nil, fmt.Errorf("%T is not of memnet", nc)
		}
		o.n.Add(1)
		return &countedConn{Conn: mc, closed: func() { o.n.Add(-1) }}, nil
	}
}

type countedConn struct {
	*memnet.Conn
	once   sync.Once
	closed func()
}

func (c *countedConn) Close() error { c.once.Do(c.closed); return c.Conn.Close() }
func (c *countedConn) Reset() error { c.once.Do(c.closed); return c.Conn.Reset() }

// tlsPlease asks onAwkward for TLS.
var tlsPlease = &tls.Config{MinVersion: tls.VersionTLS13}

// certTime is when the certificates are valid; a bubble's clock begins in 2000.
func certTime() time.Time { return certsMade }

var (
	certs     *testkit.Certs
	certsMade time.Time
)

// testCerts makes certificates once; only what is in memory of them is used.
func testCerts(t testing.TB) *testkit.Certs {
	if certs == nil {
		certsMade = time.Now()
		certs = testkit.NewCerts(t)
	}
	return certs
}

// dialIn dials and closes at the end of the story rather than of the test, which
// is when leaks are looked for.
func dialIn(t *testing.T, cfg ftpclient.Config, story func(c *ftpclient.Conn)) {
	t.Helper()
	c, err := ftpclient.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatalf("%v (hint: %s)", err, fault.HintOf(err))
	}
	story(c)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func read(ctx context.Context, c *ftpclient.Conn, path string, offset int64) (string, error) {
	d, err := c.Retr(ctx, path, offset)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(d)
	return string(b), errors.Join(err, d.Close())
}

func write(ctx context.Context, c *ftpclient.Conn, path, content string, offset int64) error {
	u, err := c.Stor(ctx, path, offset)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(u, content); err != nil {
		return errors.Join(err, u.Abort())
	}
	return u.Commit()
}

// The ways in which an awkward server that breaks no rule can be spoken with.
var awkwardModes = map[string]func() *ftptest.Awkward{
	"plain":    func() *ftptest.Awkward { return &ftptest.Awkward{} },
	"tls":      func() *ftptest.Awkward { return &ftptest.Awkward{TLS: tlsPlease} },
	"pasv":     func() *ftptest.Awkward { return &ftptest.Awkward{Quirks: ftptest.Quirks{NoEPSV: true}} },
	"bad-epsv": func() *ftptest.Awkward { return &ftptest.Awkward{Quirks: ftptest.Quirks{BadEPSV: true}} },
	"no-mlsd":  func() *ftptest.Awkward { return &ftptest.Awkward{Quirks: ftptest.Quirks{Features: []string{"SIZE"}}} },
	"no-feat": func() *ftptest.Awkward {
		return &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{"FEAT": "500 what?\r\n"}}}
	},
	"mlsd-lie": func() *ftptest.Awkward {
		return &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{"MLSD": "502-no\r\n502 200\r\n"}}}
	},
	"early-226": func() *ftptest.Awkward { return &ftptest.Awkward{Quirks: ftptest.Quirks{EarlyFinal: true}} },
	"plain-1960": func() *ftptest.Awkward {
		return &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{"OPTS": "504 no\r\n", "NOOP": "200 \r\n"}}}
	},
}

func TestAwkwardSession(t *testing.T) {
	for name, server := range awkwardModes {
		t.Run(name, func(t *testing.T) {
			a := server()
			a.Files = map[string]string{"a b": "hello", "empty": "", "226 no": strings.Repeat("226 done\r\n", 9000)}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				dialIn(t, cfg, func(c *ftpclient.Conn) { awkwardSession(t, a, c) })
			})
		})
	}
}

func awkwardSession(t *testing.T, a *ftptest.Awkward, c *ftpclient.Conn) {
	ctx := t.Context()
	for name, want := range a.Files {
		if got, err := read(ctx, c, name, 0); err != nil || got != want {
			t.Errorf("%q: got %d bytes, %v; want %d", name, len(got), err, len(want))
		}
	}
	if got, err := read(ctx, c, "a b", 2); err != nil || got != "llo" {
		t.Errorf("from byte 2: %q, %v", got, err)
	}
	names := map[string]int64{}
	for e, err := range c.List(ctx, "") {
		if err != nil {
			t.Fatal(err)
		}
		names[e.Name] = e.Size
	}
	for name, content := range a.Files {
		if size, ok := names[name]; !ok || size != int64(len(content)) {
			t.Errorf("listing has %q with size %d, %v", name, size, ok)
		}
	}
	big := strings.Repeat("0123456789", 20000)
	if err := errors.Join(write(ctx, c, "up", big, 0), write(ctx, c, "up", "end", 5), write(ctx, c, "up2", "", 0)); err != nil {
		t.Error(err)
	}
	if got, _ := a.File("up"); got != "01234end" {
		t.Errorf("stored %.20q", got)
	}
	if err := c.Rename(ctx, "up", "up3"); err != nil {
		t.Error(err)
	}
	if e, err := c.Stat(ctx, "up3"); err != nil || e.Size != 8 || e.Type != ftp.File || e.Time.Year() != 2024 {
		t.Errorf("stat: %+v, %v", e, err)
	}
	if there, err := c.Exists(ctx, "up"); err != nil || there {
		t.Errorf("exists: %v, %v", there, err)
	}
	if err := c.Delete(ctx, "up3"); err != nil {
		t.Error(err)
	}
	if _, err := read(ctx, c, "up3", 0); fault.KindOf(err) != fault.NotFound {
		t.Errorf("read what was deleted: %v", err)
	}
	if dir, err := c.Pwd(ctx); err != nil || dir != "/" {
		t.Errorf("pwd: %q, %v", dir, err)
	}
	if err := errors.Join(c.Noop(ctx), c.Quit(ctx)); err != nil {
		t.Error(err)
	}
}

// TestDiesAtEveryByte ends transfers after each number of bytes in each way. None
// may be taken for whole, but the one way that no client can tell.
func TestDiesAtEveryByte(t *testing.T) {
	const content = "0123456789abcdef"
	deaths := map[string]ftptest.Death{
		"reset-426":    {Reset: true, Reply: "426 oops\r\n"},
		"reset-226":    {Reset: true, Reply: "226 fine\r\n"},
		"reset-hangup": {Reset: true},
		"end-451":      {Reply: "451-\r\n226 no\r\n451 disk\r\n"},
		"end-hangup":   {},
		"end-half-226": {Reply: "226 fi{hang up}"},
		"end-226":      {Reply: "226 fine\r\n"},
	}
	for name, death := range deaths {
		for _, secured := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s-tls=%v", name, secured), func(t *testing.T) {
				for after := 0; after <= len(content); after++ {
					d := death
					d.After = after
					a := &ftptest.Awkward{Files: map[string]string{"f": content}, Quirks: ftptest.Quirks{Die: &d}}
					if secured {
						a.TLS = tlsPlease
					}
					onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
						dieInTransfers(t, cfg, content, &d, secured)
					})
				}
			})
		}
	}
}

func dieInTransfers(t *testing.T, cfg ftpclient.Config, content string, d *ftptest.Death, secured bool) {
	cannotTell := !d.Reset && d.Reply == "226 fine\r\n" && !secured
	dialIn(t, cfg, func(c *ftpclient.Conn) {
		got, err := read(t.Context(), c, "f", 0)
		if err == nil && !cannotTell {
			t.Errorf("a download cut after %d bytes was taken for whole", d.After)
		}
		if !strings.HasPrefix(content, got) {
			t.Errorf("got %q, which is not the beginning of the file", got)
		}
	})
	dialIn(t, cfg, func(c *ftpclient.Conn) {
		for e, err := range c.List(t.Context(), "") {
			if err != nil {
				return
			}
			if e.Name != "f" {
				t.Errorf("listed %q", e.Name)
			}
		}
		if !cannotTell {
			t.Errorf("a listing cut after %d bytes ended without an error", d.After)
		}
	})
	dialIn(t, cfg, func(c *ftpclient.Conn) {
		// The reply decides about uploads: the client can not see what arrived.
		err := write(t.Context(), c, "up", strings.Repeat(content, 6000), 0)
		if err == nil {
			t.Errorf("an upload cut after %d bytes was confirmed", d.After)
		}
	})
}

// TestControlDiesAtEveryByte resets all connections after each number of bytes
// of replies. Whatever was not finished by then is an error.
func TestControlDiesAtEveryByte(t *testing.T) {
	for _, secured := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secured), func(t *testing.T) {
			whole := false
			for limit := 1; !whole && limit < 10000; limit++ {
				a := &ftptest.Awkward{Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{ControlLimit: limit}}
				if secured {
					a.TLS = tlsPlease
					limit += 12 // a handshake takes its time
				}
				onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
					whole = untilItDies(t, a, cfg)
				})
			}
			if !whole {
				t.Error("the session never got to its end")
			}
		})
	}
}

// untilItDies goes through a session and reports whether it got to its end.
func untilItDies(t *testing.T, a *ftptest.Awkward, cfg ftpclient.Config) bool {
	ctx := t.Context()
	c, err := ftpclient.Dial(ctx, cfg)
	if err != nil {
		return false
	}
	defer c.Close()
	got, err := read(ctx, c, "f", 0)
	if err == nil && got != "content" {
		t.Errorf("read %q without an error", got)
	}
	if err != nil && c.Usable() {
		t.Errorf("the connection calls itself usable after %v", err)
	}
	if err == nil {
		n := 0
		n, err = count(ctx, c, "")
		if err == nil && n != 1 {
			t.Errorf("%d entries without an error", n)
		}
	}
	if err == nil {
		err = write(ctx, c, "up", "news", 0)
		if stored, ok := a.File("up"); err == nil && stored != "news" {
			t.Errorf("stored %q, %v without an error", stored, ok)
		}
	}
	return err == nil
}

// TestNeverAnswers keeps one command of a session without an answer.
func TestNeverAnswers(t *testing.T) {
	for _, verb := range []string{"USER", "PASS", "FEAT", "OPTS", "TYPE", "EPSV", "RETR", "SIZE", "QUIT"} {
		t.Run(verb, func(t *testing.T) {
			a := &ftptest.Awkward{Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{Silent: verb}}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				cfg.Timeouts.Reply = 7 * time.Second
				start := time.Now()
				c, err := ftpclient.Dial(t.Context(), cfg)
				if err == nil {
					_, err = read(t.Context(), c, "f", 0)
					if err == nil {
						_, err = c.Size(t.Context(), "f")
					}
					err = errors.Join(err, c.Quit(t.Context()))
				}
				if fault.KindOf(err) != fault.TimedOut || !strings.Contains(err.Error(), verb) {
					t.Errorf("got %v (%v), want a timeout that names %s", err, fault.KindOf(err), verb)
				}
				if took := time.Since(start); took < 7*time.Second || took > 8*time.Second {
					t.Errorf("took %v, want 7s", took)
				}
			})
		})
	}
}

func TestSilentGreeting(t *testing.T) {
	a := &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{"GREETING": ""}}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		_, err := ftpclient.Dial(t.Context(), cfg)
		if fault.KindOf(err) != fault.TimedOut {
			t.Errorf("got %v", err)
		}
	})
}

// TestStalls has the server keep data connections open and silent.
func TestStalls(t *testing.T) {
	for _, secured := range []bool{false, true} {
		a := &ftptest.Awkward{Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{KeepData: true}}
		if secured {
			a.TLS = tlsPlease
		}
		onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
			cfg.Timeouts.Stall = 20 * time.Second
			dialIn(t, cfg, func(c *ftpclient.Conn) {
				start := time.Now()
				got, err := read(t.Context(), c, "f", 0)
				if fault.KindOf(err) == fault.Internal || got != "content" {
					t.Errorf("tls=%v: got %q, %v (%v)", secured, got, err, fault.KindOf(err))
				}
				if took := time.Since(start); took < 20*time.Second || took > 30*time.Second {
					t.Errorf("tls=%v: took %v, want 20s to 30s", secured, took)
				}
			})
			dialIn(t, cfg, func(c *ftpclient.Conn) {
				err := write(t.Context(), c, "up", strings.Repeat("x", 1<<20), 0)
				if fault.KindOf(err) != fault.TimedOut {
					t.Errorf("tls=%v: upload that is not read: %v", secured, err)
				}
			})
		})
	}
}

// TestCancel ends the context in each wait there is. The connection is unusable
// then, and nothing waited for a timeout.
func TestCancel(t *testing.T) {
	cause := errors.New("enough")
	for _, stage := range []string{"USER", "EPSV", "RETR", "data", "final", "list"} {
		t.Run(stage, func(t *testing.T) {
			a := &ftptest.Awkward{Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{Silent: stage}}
			switch stage {
			case "data", "list":
				a.Quirks.KeepData = true
			case "final":
				a.Quirks.Die = &ftptest.Death{After: 7, Reply: "226"} // and not a byte more
			}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				ctx, cancel := context.WithCancelCause(t.Context())
				stop := time.AfterFunc(3*time.Second, func() { cancel(cause) })
				defer stop.Stop()
				start := time.Now()
				c, err := ftpclient.Dial(ctx, cfg)
				if err == nil {
					defer c.Close()
					if stage == "list" {
						_, err = count(ctx, c, "")
					} else {
						_, err = read(ctx, c, "f", 0)
					}
					if c.Usable() {
						t.Error("the connection calls itself usable")
					}
					if nerr := c.Noop(t.Context()); fault.KindOf(nerr) != fault.Unreachable && !errors.Is(nerr, cause) {
						t.Errorf("afterwards: %v", nerr)
					}
				}
				if !errors.Is(err, cause) {
					t.Errorf("got %v, want the context's cause in it", err)
				}
				if took := time.Since(start); took != 3*time.Second {
					t.Errorf("took %v, want 3s", took)
				}
			})
		})
	}
}

// TestLateCancel ends a context after its operation, which must not touch the next.
func TestLateCancel(t *testing.T) {
	a := &ftptest.Awkward{Files: map[string]string{"f": "content"}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		dialIn(t, cfg, func(c *ftpclient.Conn) {
			for range 20 {
				ctx, cancel := context.WithCancel(t.Context())
				if got, err := read(ctx, c, "f", 0); err != nil || got != "content" {
					t.Fatalf("got %q, %v", got, err)
				}
				cancel()
				if _, err := c.Size(t.Context(), "f"); err != nil {
					t.Fatal(err)
				}
			}
		})
	})
}

// TestOutOfStep has replies that do not belong where they come. The connection
// ends, and no reply is taken for another command's.
func TestOutOfStep(t *testing.T) {
	for verb, answer := range map[string]string{
		"SIZE": "226 transfer complete\r\n",
		"NOOP": "250 fine\r\n226 transfer complete\r\n",
		"DELE": "150 opening\r\n",
		"RNFR": "250 renamed already\r\n",
		"EPSV": "227 no (10,0,0,1,1,1)\r\n",
		"RETR": "229 (|||5|)\r\n",
		"STOR": "226 stored\r\n",
		"PWD":  "garbage\r\n",
		"MDTM": "99 too short\r\n",
		"MKD":  "",
	} {
		t.Run(verb, func(t *testing.T) {
			a := &ftptest.Awkward{Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{Answers: map[string]string{verb: answer}}}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				dialIn(t, cfg, func(c *ftpclient.Conn) {
					err := provoke(t.Context(), c, verb)
					if verb == "NOOP" { // the second reply is found at the next command
						err = errors.Join(err, c.Delete(t.Context(), "f"))
					}
					if err == nil || c.Usable() {
						t.Errorf("got %v, usable %v", err, c.Usable())
					}
					if _, there := a.File("f"); !there {
						t.Error("a command was sent on a connection that is out of step")
					}
				})
			})
		})
	}
}

// provoke calls what sends verb.
func provoke(ctx context.Context, c *ftpclient.Conn, verb string) error {
	var err error
	switch verb {
	case "SIZE":
		_, err = c.Size(ctx, "f")
	case "NOOP":
		err = c.Noop(ctx)
	case "DELE":
		err = c.Delete(ctx, "f")
	case "RNFR":
		err = c.Rename(ctx, "f", "g")
	case "EPSV", "RETR":
		_, err = read(ctx, c, "f", 0)
	case "STOR":
		err = write(ctx, c, "up", "x", 0)
	case "PWD":
		_, err = c.Pwd(ctx)
	case "MDTM":
		_, err = c.ModTime(ctx, "f")
	case "MKD":
		err = c.MakeDir(ctx, "d")
	}
	return err
}

// TestBounds has the server talk without end.
func TestBounds(t *testing.T) {
	for name, answer := range map[string]string{
		"line":  "213 " + strings.Repeat("1", 100000) + "\r\n",
		"lines": "213-" + strings.Repeat("213-x\r\n", 100000),
	} {
		a := &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{"SIZE": answer}}}
		onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
			dialIn(t, cfg, func(c *ftpclient.Conn) {
				if _, err := c.Size(t.Context(), "f"); fault.KindOf(err) != fault.Invalid || c.Usable() || len(err.Error()) > 1000 {
					t.Errorf("%s: got %v, usable %v", name, err, c.Usable())
				}
			})
		})
	}
}

func TestBadListings(t *testing.T) {
	const good = "type=file;size=1; good\r\n"
	for name, lines := range map[string]string{
		"slash":    good + "type=file; ../../etc/passwd\r\n",
		"garbage":  good + "what is this\r\n",
		"nul":      good + "type=file; a\x00b\r\n",
		"no-end":   good + "type=file; cut sho",
		"too-long": good + "type=file; " + strings.Repeat("x", 20000) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			a := &ftptest.Awkward{Quirks: ftptest.Quirks{Listing: lines}}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				dialIn(t, cfg, func(c *ftpclient.Conn) {
					n, err := count(t.Context(), c, "")
					if n != 1 || err == nil {
						t.Errorf("%d entries, %v", n, err)
					}
					if err := c.Noop(t.Context()); err != nil {
						t.Errorf("afterwards: %v", err)
					}
				})
			})
		})
	}
	a := &ftptest.Awkward{Quirks: ftptest.Quirks{Listing: "type=cdir; .\r\ntype=pdir; ..\r\ntype=dir; ..\r\n\r\n" + good}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		dialIn(t, cfg, func(c *ftpclient.Conn) {
			if n, err := count(t.Context(), c, ""); n != 1 || err != nil {
				t.Errorf("%d entries, %v", n, err)
			}
		})
	})
}

// TestEmptyList holds that 226 to LIST of what is not there is no empty directory.
func TestEmptyList(t *testing.T) {
	a := &ftptest.Awkward{Quirks: ftptest.Quirks{Features: []string{"SIZE"}}} // and no files
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		dialIn(t, cfg, func(c *ftpclient.Conn) {
			if n, err := count(t.Context(), c, "/"); n != 0 || err != nil {
				t.Errorf("empty directory: %d, %v", n, err)
			}
			if n, err := count(t.Context(), c, "nowhere"); fault.KindOf(err) != fault.NotFound {
				t.Errorf("no directory: %d, %v", n, err)
			}
		})
	})
}

func TestLost226(t *testing.T) {
	for _, final := range []string{"", "226"} { // hung up on, and never finished
		a := &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{}}}
		a.Files = map[string]string{"f": "content"}
		a.Quirks.Die = &ftptest.Death{After: 7, Reply: final}
		onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
			cfg.Timeouts.Final = 90 * time.Second
			dialIn(t, cfg, func(c *ftpclient.Conn) {
				start := time.Now()
				got, err := read(t.Context(), c, "f", 0)
				if got != "content" || !errors.Is(err, ftpclient.ErrUnconfirmed) || !fault.KindOf(err).Temporary() {
					t.Errorf("got %q, %v (%v), want all of it and ErrUnconfirmed", got, err, fault.KindOf(err))
				}
				if took := time.Since(start); final != "" && (took < 90*time.Second || took > 91*time.Second) {
					t.Errorf("took %v, want 90s", took)
				}
				if c.Usable() {
					t.Error("the connection calls itself usable")
				}
			})
		})
	}
}

func TestNoCloseNotify(t *testing.T) {
	a := &ftptest.Awkward{TLS: tlsPlease, Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{NoCloseNotify: true}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		dialIn(t, cfg, func(c *ftpclient.Conn) {
			got, err := read(t.Context(), c, "f", 0)
			if got != "content" || !errors.Is(err, io.ErrUnexpectedEOF) || fault.KindOf(err) != fault.Unreachable {
				t.Errorf("got %q, %v (%v)", got, err, fault.KindOf(err))
			}
			if !c.Usable() {
				t.Error("the connection was in step and is not usable")
			}
		})
	})
}

// TestBytesBehindAuth has somebody on the way add a reply to the 234: with it, so
// that it is there when TLS should start, and just behind it, in its way.
func TestBytesBehindAuth(t *testing.T) {
	for name, answer := range map[string]string{
		"with":   "234 go\r\n230 come in, no password needed\r\n",
		"behind": "234 go on\r\n230 fine!\r\n", // cut in two halves
	} {
		t.Run(name, func(t *testing.T) {
			a := &ftptest.Awkward{TLS: tlsPlease, Quirks: ftptest.Quirks{Answers: map[string]string{"AUTH": answer}}}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				_, err := ftpclient.Dial(t.Context(), cfg)
				if err == nil {
					t.Error("logged in")
				}
				if name == "with" && fault.KindOf(err) != fault.Denied {
					t.Errorf("got %v (%v), want it refused", err, fault.KindOf(err))
				}
				for _, verb := range a.Commands() {
					if verb == "USER" || verb == "PASS" {
						t.Errorf("%s was sent", verb)
					}
				}
			})
		})
	}
}

func TestRefusedLogins(t *testing.T) {
	for name, row := range map[string]struct {
		verb, answer string
		secured      bool
		kind         fault.Kind
		hint         string
	}{
		"password":  {"PASS", "530 wrong\r\n", false, fault.Unauthenticated, "password"},
		"needs-tls": {"USER", "530 Non-anonymous sessions must use encryption.\r\n", false, fault.Denied, "explicit"},
		"no-auth":   {"AUTH", "502 no\r\n", true, fault.Unsupported, "switch TLS on"},
		"too-many":  {"GREETING", "421 too many connections\r\n{hang up}", false, fault.Busy, ""},
		"account":   {"PASS", "332 account?\r\n", false, fault.Unsupported, ""},
		"no-prot":   {"PROT", "534 no\r\n", true, fault.Denied, ""},
		"not-ftp":   {"GREETING", "SSH-2.0-OpenSSH_9.2p1\r\n", false, fault.Invalid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{row.verb: row.answer}}}
			if row.secured {
				a.TLS = tlsPlease
			}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				_, err := ftpclient.Dial(t.Context(), cfg)
				if fault.KindOf(err) != row.kind || !strings.Contains(fault.HintOf(err), row.hint) {
					t.Errorf("got %v (%v, hint %q)", err, fault.KindOf(err), fault.HintOf(err))
				}
				if err != nil && strings.Contains(err.Error(), "geheim") {
					t.Errorf("the password is in %q", err)
				}
			})
		})
	}
}

// TestUntrusted holds that a certificate of an unknown authority ends the login
// before user and password.
func TestUntrusted(t *testing.T) {
	a := &ftptest.Awkward{TLS: tlsPlease}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		for name, conf := range map[string]*tls.Config{
			"authority": {Time: certTime, MinVersion: tls.VersionTLS12, RootCAs: nil},
			"name":      {Time: certTime, MinVersion: tls.VersionTLS12, RootCAs: cfg.TLS.RootCAs, ServerName: "other.example.com"},
		} {
			cfg.TLS = conf
			_, err := ftpclient.Dial(t.Context(), cfg)
			if fault.KindOf(err) != fault.Denied || fault.HintOf(err) == "" {
				t.Errorf("%s: got %v (%v)", name, err, fault.KindOf(err))
			}
		}
		for _, verb := range a.Commands() {
			if verb == "USER" {
				t.Error("USER was sent")
			}
		}
	})
}

func TestDataPortUnreachable(t *testing.T) {
	a := &ftptest.Awkward{Files: map[string]string{"f": "content"}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		inner := cfg.Dial
		cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != cfg.Addr {
				return nil, errors.New("a firewall")
			}
			return inner(ctx, network, addr)
		}
		dialIn(t, cfg, func(c *ftpclient.Conn) {
			_, err := read(t.Context(), c, "f", 0)
			if err == nil || !strings.Contains(err.Error(), "a firewall") || !strings.Contains(fault.HintOf(err), "passive port range") {
				t.Errorf("got %v (hint %q)", err, fault.HintOf(err))
			}
			if _, err := c.Size(t.Context(), "f"); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	})
}
