package enroll_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/tunnel/enroll"
)

const (
	proto       = "sallyport/1"
	gatewayAddr = "10.0.0.1:443"
)

// clock is the authority's; the connector's is the real one.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// logs keeps what was logged, to be searched for secrets.
type logs struct {
	mu sync.Mutex // guards the following
	b  strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// gateway serves an authority at one address of an in-memory network.
type gateway struct {
	*enroll.Authority
	clock *clock
	net   *memnet.Network
	dir   string
	logs  *logs

	errs chan error  // of handshakes on the tunnel's protocol
	drop atomic.Bool // joins are answered, but no answer arrives
}

func openAuthority(t testing.TB, dir string, now func() time.Time) *enroll.Authority {
	t.Helper()
	a, err := enroll.OpenAuthority(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func newGateway(t testing.TB) *gateway {
	t.Helper()
	return serveGateway(t, t.TempDir(), &memnet.Network{}, gatewayAddr, &clock{})
}

func serveGateway(t testing.TB, dir string, n *memnet.Network, addr string, c *clock) *gateway {
	t.Helper()
	g := &gateway{Authority: openAuthority(t, dir, c.now), clock: c, net: n, dir: dir, logs: &logs{}, errs: make(chan error, 64)}
	g.Logger = slog.New(slog.NewTextHandler(g.logs, nil))
	l, err := n.Listen(context.Background(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	joins := make(chan net.Conn)
	srv := &http.Server{Handler: http.HandlerFunc(g.serveJoin), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(&chanListener{c: joins, addr: l.Addr(), done: done}) })
	wg.Go(func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { g.handle(raw, joins, done) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		srv.Close()
		wg.Wait()
	})
	return g
}

func (g *gateway) serveJoin(w http.ResponseWriter, r *http.Request) {
	if !g.drop.Load() {
		g.JoinHandler().ServeHTTP(w, r)
		return
	}
	g.JoinHandler().ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// handle does what package gateway does: handshake, then by protocol.
func (g *gateway) handle(raw net.Conn, joins chan<- net.Conn, done <-chan struct{}) {
	conn := tls.Server(raw, g.ServerConfig([]string{proto}))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		g.errs <- g.Explain(err, "10.9.9.9:1")
		conn.Close()
		return
	}
	if conn.ConnectionState().NegotiatedProtocol != proto {
		select {
		case joins <- conn:
		case <-done:
			conn.Close()
		}
		return
	}
	defer conn.Close()
	id, err := enroll.IdentityOf(conn.ConnectionState().PeerCertificates[0])
	if err != nil {
		g.errs <- err
		return
	}
	io.WriteString(conn, id.ID+"@"+id.Location+"\n")
}

// chanListener hands accepted connections to an http.Server.
type chanListener struct {
	c    chan net.Conn
	addr net.Addr
	done chan struct{}
	once sync.Once
}

func (l *chanListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.c:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *chanListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *chanListener) Addr() net.Addr { return l.addr }

func mustToken(t testing.TB, a *enroll.Authority, location string) enroll.Token {
	t.Helper()
	tok, err := a.NewToken(location, []string{gatewayAddr}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func mustJoin(t testing.TB, g *gateway, tok enroll.Token, dir string) *enroll.Credentials {
	t.Helper()
	c, err := enroll.Join(t.Context(), g.net.Dial, tok, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// hello connects as a connector does and returns the gateway's first line.
func hello(t testing.TB, n *memnet.Network, c *enroll.Credentials, addr string) (string, error) {
	t.Helper()
	raw, err := n.Dial(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	conn := tls.Client(raw, c.ClientConfig(proto))
	if err := conn.HandshakeContext(t.Context()); err != nil {
		return "", c.Explain(err, addr)
	}
	b, err := io.ReadAll(conn)
	return strings.TrimSpace(string(b)), c.Explain(err, addr)
}

// wantFault checks kind, a part of the text and a part of the hint.
func wantFault(t testing.TB, err error, kind fault.Kind, text, hint string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want %v with %q", kind, text)
	}
	if got := fault.KindOf(err); got != kind {
		t.Errorf("got kind %v, want %v, of: %v", got, kind, err)
	}
	var f *fault.Error
	if !errors.As(err, &f) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %q, want it to contain %q", err, text)
	}
	if got := fault.HintOf(err); !strings.Contains(got, hint) || got == "" {
		t.Errorf("got hint %q, want it to contain %q", got, hint)
	}
}

func listenLoopback() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	return l
}
