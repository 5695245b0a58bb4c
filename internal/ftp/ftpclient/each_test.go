package ftpclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/testkit"
)

// manyFiles makes n files of different sizes, one of them empty.
func manyFiles(n int) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("f%d", i)] = strings.Repeat("x", i*37)
	}
	return files
}

// readEach reads paths and returns what came, and the kinds of refusals.
func readEach(ctx context.Context, c *ftpclient.Conn, paths ...string) (got map[string]string, refused map[string]fault.Kind, last error) {
	got, refused = map[string]string{}, map[string]fault.Kind{}
	for d, err := range c.RetrEach(ctx, slices.Values(paths)) {
		if err == nil {
			var b []byte
			b, err = io.ReadAll(d)
			got[d.Path()] = string(b)
		}
		if err != nil {
			delete(got, d.Path())
			refused[d.Path()] = fault.KindOf(err)
			last = err
		}
	}
	return got, refused, last
}

// writes notes what is written in one piece.
type writes struct {
	mu  sync.Mutex
	all []string
}

func (w *writes) over(dial netx.DialFunc) netx.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		return &notedConn{nc, w}, err
	}
}

type notedConn struct {
	net.Conn
	w *writes
}

func (n *notedConn) Write(b []byte) (int, error) {
	n.w.mu.Lock()
	n.w.all = append(n.w.all, string(bytes.ReplaceAll(b, []byte("\r\n"), []byte(";"))))
	n.w.mu.Unlock()
	return n.Conn.Write(b)
}

func (n *notedConn) CloseWrite() error { _, err := netx.CloseWrite(n.Conn); return err }
func (n *notedConn) Reset() error      { return netx.Reset(n.Conn) }

func TestRetrEach(t *testing.T) {
	for name, active := range map[string]bool{"passive": false, "active": true} {
		for _, secured := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s-%v", name, secured), func(t *testing.T) {
				a := &ftptest.Awkward{Files: manyFiles(9)}
				if secured {
					a.TLS = tlsPlease
				}
				onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
					if active {
						cfg = inActive(a, cfg)
					}
					w := &writes{}
					cfg.Dial = w.over(cfg.Dial)
					dialIn(t, cfg, func(c *ftpclient.Conn) {
						got, refused, _ := readEach(t.Context(), c, "f3", "none", "f0", "f1", "two\r\nDELE f1", "f2", "none either", "f8")
						if len(got) != 5 || len(refused) != 3 || refused["none"] != fault.NotFound {
							t.Errorf("got %d files, refused %v", len(got), refused)
						}
						for name, content := range got {
							if content != a.Files[name] {
								t.Errorf("%s has %d bytes, want %d", name, len(content), len(a.Files[name]))
							}
						}
						if n, err := count(t.Context(), c, ""); err != nil || n != 9 {
							t.Errorf("afterwards: %d entries, %v", n, err)
						}
					})
					if !secured && !active && !slices.Contains(w.all, "EPSV;RETR f0;") {
						t.Errorf("nothing was asked for together: %v", w.all)
					}
				})
				if _, ok := a.File("f1"); !ok {
					t.Error("a file is gone")
				}
			})
		}
	}
}

// TestOneByOne: a server that loses what came behind a command works nevertheless,
// and is tried with that once.
func TestOneByOne(t *testing.T) {
	a := &ftptest.Awkward{Files: manyFiles(5), Quirks: ftptest.Quirks{OneByOne: true}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		cfg.Habits = &ftpclient.Habits{}
		for range 3 {
			dialIn(t, cfg, func(c *ftpclient.Conn) {
				got, refused, err := readEach(t.Context(), c, "f0", "f1", "f2", "f3", "f4")
				if len(got) != 5 || len(refused) != 0 {
					t.Errorf("got %d, %v", len(got), err)
				}
			})
		}
		if n := logins(a); n != 4 {
			t.Errorf("%d logins, want 3 and the one that found it out", n)
		}
	})
}

// TestBusy: a server that refuses what comes in mid-transfer ends a connection that
// found that out, and no other.
func TestBusy(t *testing.T) {
	a := &ftptest.Awkward{Files: manyFiles(5), Quirks: ftptest.Quirks{Busy: true}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		cfg.Habits = &ftpclient.Habits{}
		dialIn(t, cfg, func(c *ftpclient.Conn) {
			got, _, err := readEach(t.Context(), c, "f1", "f2", "f3", "f4")
			if !errors.Is(err, ftpclient.ErrPipelining) || len(got) != 0 || c.Usable() {
				t.Errorf("got %d files, %v, usable %v", len(got), err, c.Usable())
			}
		})
		for range 2 {
			dialIn(t, cfg, func(c *ftpclient.Conn) {
				if got, refused, err := readEach(t.Context(), c, "f1", "f2", "none", "f4"); len(got) != 3 || len(refused) != 1 {
					t.Errorf("got %d files, %v", len(got), err)
				}
			})
		}
	})
}

// TestNoWait: a server that wants the data connection before it is asked for a file.
func TestNoWait(t *testing.T) {
	a := &ftptest.Awkward{Files: manyFiles(5), Quirks: ftptest.Quirks{NoWait: true}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		dialIn(t, cfg, func(c *ftpclient.Conn) {
			for range 2 {
				if got, refused, err := readEach(t.Context(), c, "f1", "f2", "none", "f4"); len(got) != 3 || len(refused) != 1 {
					t.Errorf("got %d files, %v", len(got), err)
				}
			}
		})
	})
}

// TestRetrEachLeft: loops that are left, and files that are not read, leave nothing
// open, and no connection that could be taken for one in step.
func TestRetrEachLeft(t *testing.T) {
	for name, body := range map[string]func(d *ftpclient.Download) bool{
		"unread": func(d *ftpclient.Download) bool { return true },
		"left":   func(d *ftpclient.Download) bool { return false },
		"left-after-reading": func(d *ftpclient.Download) bool {
			_, err := io.ReadAll(d)
			return err != nil
		},
		"closed": func(d *ftpclient.Download) bool { _ = d.Close(); return true },
	} {
		t.Run(name, func(t *testing.T) {
			a := &ftptest.Awkward{Files: manyFiles(5)}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				for _, active := range []bool{false, true} {
					if active {
						cfg = inActive(a, cfg)
					}
					dialIn(t, cfg, func(c *ftpclient.Conn) {
						if _, err := read(t.Context(), c, "f1", 0); err != nil {
							t.Error(err)
						}
						for d, err := range c.RetrEach(t.Context(), slices.Values([]string{"f4", "f3", "f2"})) {
							if err != nil {
								t.Error(err)
							}
							if err := c.Noop(t.Context()); fault.KindOf(err) != fault.Busy && fault.KindOf(err) != fault.Unreachable {
								t.Errorf("a call within the loop: %v", err)
							}
							if !body(d) {
								break
							}
						}
						if c.Usable() {
							if err := c.Noop(t.Context()); err != nil {
								t.Error(err)
							}
						}
					})
				}
			})
		})
	}
}

// TestRetrEachReal reads many files from real servers.
func TestRetrEachReal(t *testing.T) {
	onRealServers(t, func(t *testing.T, srv *testkit.FTPServer, cfg ftpclient.Config) {
		var paths []string
		want := manyFiles(150)
		for name, content := range want {
			paths = append(paths, name, "not-"+name)
			makeFile(t, srv, name, content)
		}
		srv.Own(t)
		for _, mode := range []ftpclient.Mode{ftpclient.PassiveMode, ftpclient.PasvMode, ftpclient.ActiveMode} {
			cfg.Mode = mode
			c := dial(t, cfg)
			got, refused, err := readEach(t.Context(), c, paths...)
			if len(got) != 150 || len(refused) != 150 || !c.Usable() {
				t.Fatalf("%v: got %d files, %d refused, %v", mode, len(got), len(refused), err)
			}
			for name, content := range want {
				if got[name] != content {
					t.Errorf("%v: %s: got %d bytes, want %d", mode, name, len(got[name]), len(content))
				}
			}
		}
	})
}

func makeFile(t testing.TB, srv *testkit.FTPServer, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(srv.Home, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
