package ftpclient_test

import (
	"context"
	"io"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
	"sallyport.dev/internal/testkit"
)

// TestPoolLearnsLimit holds that a server's "too many" is no failure while other
// connections of the pool are there to wait for, and that no more are asked of it.
func TestPoolLearnsLimit(t *testing.T) {
	for name, says := range map[string]string{
		"421":     "421 there are too many connections from your address\r\n",
		"530":     "530 Sorry, the maximum number of clients (2) from your host are already connected.\r\n{hang up}",
		"530-too": "530 Too many users logged in for this account.\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			a := &ftptest.Awkward{Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{NoLogin: says, Crowd: 2}}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				p := &ftpclient.Pool{Config: cfg, Max: 6}
				var wg sync.WaitGroup
				var most, now atomic.Int32
				for range 40 {
					wg.Go(func() {
						c, err := p.Get(t.Context())
						if err != nil {
							t.Error(err)
							return
						}
						defer p.Put(c)
						n := now.Add(1)
						defer now.Add(-1)
						for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
						}
						if got, err := read(t.Context(), c, "f", 0); err != nil || got != "content" {
							t.Errorf("got %q, %v", got, err)
						}
					})
				}
				wg.Wait()
				if most.Load() != 2 || p.Limit() != 2 {
					t.Errorf("%d connections at a time, limit %d, want 2", most.Load(), p.Limit())
				}
				// A while later one more is tried for.
				<-time.After(2 * time.Minute)
				p.Put(fromPool(t, p))
				if p.Limit() != 3 {
					t.Errorf("limit %d after two minutes, want 3", p.Limit())
				}
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestPoolSitsOut: all of the server's connections are somebody else's, for a while
// or for good.
func TestPoolSitsOut(t *testing.T) {
	a := &ftptest.Awkward{Quirks: ftptest.Quirks{NoLogin: "421 too many\r\n", Crowd: 1}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		other, err := ftpclient.Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		p := &ftpclient.Pool{Config: cfg, Max: 2}
		began := time.Now()
		_, err = p.Get(t.Context())
		if took := time.Since(began); fault.KindOf(err) != fault.Busy || took < 10*time.Second || took > 31*time.Second {
			t.Errorf("after %v: %v (%v)", took, err, fault.KindOf(err))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		if _, err = p.Get(ctx); fault.KindOf(err) != fault.TimedOut {
			t.Errorf("out of time: %v (%v)", err, fault.KindOf(err))
		}
		cancel()
		time.AfterFunc(4*time.Second, func() { _ = other.Close() })
		p.Put(fromPool(t, p))
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestPoolPacesLogins(t *testing.T) {
	onPool(t, 5, func(t *testing.T, _ *ftptest.Awkward, p *ftpclient.Pool) {
		p.LoginEvery = 2 * time.Second
		began := time.Now()
		var all []*ftpclient.Conn
		for range 5 {
			all = append(all, fromPool(t, p))
		}
		if took := time.Since(began); took < 8*time.Second || took > 10*time.Second {
			t.Errorf("five logins took %v", took)
		}
		for _, c := range all {
			p.Put(c)
		}
	})
}

// TestPoolKeepsAlive holds that what is idle is spoken on, with the word asked for,
// and what is in use is not.
func TestPoolKeepsAlive(t *testing.T) {
	for word, k := range map[string]ftpclient.KeepAlive{"NOOP": ftpclient.KeepAliveNoop, "STAT": ftpclient.KeepAliveStat} {
		onPool(t, 2, func(t *testing.T, a *ftptest.Awkward, p *ftpclient.Pool) {
			said := func() int { return strings.Count(strings.Join(a.Commands(), " "), word) }
			p.KeepAlive, p.KeepAliveEvery = k, 2*time.Second
			c := fromPool(t, p)
			p.Put(c)
			<-time.After(5*time.Minute + time.Second)
			if n := said(); n < 70 || n > 150 {
				t.Errorf("%s said %d times in 5 minutes", word, n)
			}
			c = fromPool(t, p)
			before := said()
			d, err := c.Retr(t.Context(), "f", 0)
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(8 * time.Second)
			if n := said(); n != before {
				t.Errorf("%s was said in mid-transfer", word)
			}
			if _, err := io.ReadAll(d); err != nil {
				t.Error(err)
			}
			p.Put(c)
			if n := logins(a); n != 1 {
				t.Errorf("%d logins", n)
			}
		})
	}
	onPool(t, 1, func(t *testing.T, a *ftptest.Awkward, p *ftpclient.Pool) { // off
		p.Put(fromPool(t, p))
		before := len(a.Commands())
		<-time.After(time.Hour)
		synctest.Wait()
		if n := len(a.Commands()); n != before {
			t.Errorf("%v", a.Commands()[before:])
		}
	})
}

func TestText(t *testing.T) {
	for _, row := range [][2]string{
		{"", ""},
		{"a\r\nb\r\n", "a\nb\n"},
		{"a\rb\r\r\n\n\r", "a\rb\r\n\n\r"},
		{strings.Repeat("x\r\n", 100_000), strings.Repeat("x\n", 100_000)},
	} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "half": iotest.HalfReader,
		} {
			got, err := io.ReadAll(ftpclient.NewTextReader(wrap(strings.NewReader(row[0]))))
			if err != nil || string(got) != row[1] {
				t.Errorf("%s: %.40q became %.40q, %v", name, row[0], got, err)
			}
		}
	}
	for want, pieces := range map[string][]string{
		"a\r\nb\r\n": {"a\nb\n"},
		"a\r\n":      {"a\r", "\n"},
		"\r\n\r\n":   {"\n", "\n"},
		"a\rb":       {"a\rb"},
	} {
		var b strings.Builder
		w := ftpclient.NewTextWriter(&b)
		for _, p := range pieces {
			if n, err := io.WriteString(w, p); err != nil || n != len(p) {
				t.Error(n, err)
			}
		}
		if b.String() != want {
			t.Errorf("%q became %q, want %q", pieces, b.String(), want)
		}
	}
}

// TestTextReal asks real servers for text: vsftpd and ProFTPD change line ends then.
func TestTextReal(t *testing.T) {
	onRealServers(t, func(t *testing.T, srv *testkit.FTPServer, cfg ftpclient.Config) {
		p := &ftpclient.Pool{Config: cfg, Max: 1}
		defer p.Close()
		c := fromPool(t, p)
		if err := c.SetType(t.Context(), ftpclient.Text); err != nil {
			t.Fatal(err)
		}
		u, err := c.Stor(t.Context(), "text", 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(ftpclient.NewTextWriter(u), "one\ntwo\n"); err != nil {
			t.Fatal(err)
		}
		if err := u.Commit(); err != nil {
			t.Fatal(err)
		}
		d, err := c.Retr(t.Context(), "text", 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(ftpclient.NewTextReader(d))
		if err != nil || string(got) != "one\ntwo\n" {
			t.Errorf("got %q, %v", got, err)
		}
		p.Put(c)
		c = fromPool(t, p) // of binary type again
		put(t, c, "binary", "one\ntwo\r\n", 0)
		wantFile(t, srv, "binary", "one\ntwo\r\n")
		if got := get(t, c, "binary", 0); got != "one\ntwo\r\n" {
			t.Errorf("got %q", got)
		}
		p.Put(c)
	})
}

// TestPoolLimitReal asks a real server for more connections than it takes.
func TestPoolLimitReal(t *testing.T) {
	testkit.NoLeaks(t)
	srv := testkit.Vsftpd(t, testkit.ServerOptions{Extra: map[string]string{"max_per_ip": "2"}})
	want := manyFiles(60)
	for name, content := range want {
		makeFile(t, srv, name, content)
	}
	srv.Own(t)
	p := &ftpclient.Pool{Config: configFor(srv), Max: 6}
	c := newCollect()
	if err := p.RetrEach(t.Context(), maps.Keys(want), c.each); err != nil || !maps.Equal(c.got, want) {
		t.Errorf("got %d files of %d: %v", len(c.got), len(want), err)
	}
	if p.Limit() > 2 {
		t.Errorf("limit %d, want 2", p.Limit())
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// TestImplicitReal speaks TLS from the first byte with real servers.
func TestImplicitReal(t *testing.T) {
	for name, start := range map[string]func(testing.TB, testkit.ServerOptions) *testkit.FTPServer{"vsftpd": testkit.Vsftpd, "proftpd": testkit.Proftpd} {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeaks(t)
			srv := start(t, testkit.ServerOptions{TLS: &testkit.ServerTLS{Implicit: true}})
			cfg := configFor(srv)
			cfg.Security = ftpclient.Implicit
			for _, mode := range []ftpclient.Mode{ftpclient.PassiveMode, ftpclient.ActiveMode} {
				cfg.Mode = mode
				c := dial(t, cfg)
				put(t, c, "f", "content", 0)
				if got := get(t, c, "f", 0); got != "content" {
					t.Errorf("%v: got %q", mode, got)
				}
				if n := len(list(t, c, "")); n != 1 {
					t.Errorf("%v: listed %d entries", mode, n)
				}
			}
		})
	}
}
