package enroll_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
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

	mu   sync.Mutex // guards the following
	errs []error    // of handshakes on the tunnel's protocol
	seen []enroll.Identity
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
	g := &gateway{Authority: openAuthority(t, dir, c.now), clock: c, net: n, dir: dir, logs: &logs{}}
	g.Log = slog.New(slog.NewTextHandler(g.logs, nil))
	l, err := n.Listen(context.Background(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	joins := make(chan net.Conn)
	srv := &http.Server{Handler: g.JoinHandler(), ReadHeaderTimeout: 10 * time.Second}
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(&chanListener{joins, l.Addr(), make(chan struct{}), sync.Once{}}) })
	wg.Go(func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { g.handle(raw, joins) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		srv.Close()
		wg.Wait()
	})
	return g
}

// handle does what package gateway does: handshake, then by protocol.
func (g *gateway) handle(raw net.Conn, joins chan<- net.Conn) {
	conn := tls.Server(raw, g.ServerConfig([]string{proto}))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := conn.HandshakeContext(ctx)
	if err == nil && conn.ConnectionState().NegotiatedProtocol != proto {
		joins <- conn
		return
	}
	defer conn.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.errs = append(g.errs, g.Explain(err, "10.9.9.9:1"))
		return
	}
	id, err := enroll.IdentityOf(conn.ConnectionState().PeerCertificates[0])
	if err != nil {
		g.errs = append(g.errs, err)
		return
	}
	g.seen = append(g.seen, id)
	io.WriteString(conn, id.ID+"@"+id.Location+"\n")
}

// lastErr returns what the gateway's end says of the newest refused handshake.
func (g *gateway) lastErr() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.errs) == 0 {
		return nil
	}
	return g.errs[len(g.errs)-1]
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
