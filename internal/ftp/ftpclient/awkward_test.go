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
