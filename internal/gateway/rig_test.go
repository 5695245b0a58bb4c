package gateway_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport.dev/internal/connector"
	"sallyport.dev/internal/gateway"
	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/tunnel/enroll"
)

// rig is a gateway, connectors that dial it, and an inside network.
type rig struct {
	t       testing.TB
	gw      *gateway.Gateway
	dir     string // of the gateway's state
	addr    string
	outside netx.Network
	inside  netx.Network
	log     *logWriter
	links   atomic.Int64 // TLS connections that connectors have dialled
	clock   func() time.Time

	mu     sync.Mutex   // guards the following
	conns  []net.Conn   // raw connections of connectors
	locals []netip.Addr // source addresses that connectors asked for inside
}

// newRig serves a gateway on a network in memory. In a synctest bubble time is fake.
func newRig(t testing.TB) *rig {
	t.Helper()
	return serveRig(t, &memnet.Network{}, &memnet.Network{}, "10.0.0.1:443")
}

// newTCPRig serves a gateway on loopback.
func newTCPRig(t testing.TB) *rig {
	t.Helper()
	return serveRig(t, netx.System{}, netx.System{}, "127.0.0.1:0")
}

func serveRig(t testing.TB, outside, inside netx.Network, addr string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), outside: outside, inside: inside, log: &logWriter{t: t}}
	r.clock = time.Now
	a, err := enroll.OpenAuthority(r.dir, func() time.Time { return r.clock() })
	if err != nil {
		t.Fatal(err)
	}
	r.gw = &gateway.Gateway{Authority: a, Software: "test", Logger: r.log.logger("gateway")}
	l, err := outside.Listen(context.Background(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	r.serve(l)
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if err := r.gw.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) serve(l net.Listener) {
	var wg sync.WaitGroup
	gw := r.gw
	wg.Go(func() {
		if err := gw.Serve(l); !errors.Is(err, gateway.ErrServerClosed) {
			r.t.Errorf("serve: %v", err)
		}
	})
	r.t.Cleanup(wg.Wait)
}

// dialOutside is how connectors reach the gateway.
func (r *rig) dialOutside(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := r.outside.Dial(ctx, network, addr)
	if err == nil {
		r.links.Add(1)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.conns = append(r.conns, c)
	}
	return c, err
}

// cutLinks resets every raw connection that a connector has made so far.
func (r *rig) cutLinks() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = netx.Reset(c)
	}
	r.conns = nil
}

func (r *rig) token(location string) enroll.Token {
	r.t.Helper()
	tok, err := gateway.NewToken(r.dir, location, []string{r.addr}, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	return tok
}

// join joins a connector for a location.
func (r *rig) join(location string) *enroll.Credentials {
	r.t.Helper()
	creds, err := enroll.Join(context.Background(), r.outside.Dial, r.token(location), r.t.TempDir())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := creds.Close(); err != nil {
			r.t.Error(err)
		}
	})
	return creds
}

// running is a connector that runs until stop or the test's end.
type running struct {
	*connector.Connector
	stop func()
}

func (r *rig) newConnector(creds *enroll.Credentials, mappings ...connector.Mapping) *connector.Connector {
	return &connector.Connector{
		Credentials: creds, Mappings: mappings, Software: "test", Logger: r.log.logger("connector"),
		Dial: r.dialOutside,
		DialInside: func(ctx context.Context, local netip.Addr, to netip.AddrPort) (net.Conn, error) {
			r.mu.Lock()
			r.locals = append(r.locals, local)
			r.mu.Unlock()
			return r.inside.Dial(ctx, "tcp", to.String())
		},
	}
}

func (r *rig) run(c *connector.Connector) *running {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Run(ctx); err != nil {
			r.t.Errorf("connector: %v", err)
		}
	})
	stop := func() { cancel(); wg.Wait() }
	r.t.Cleanup(stop)
	return &running{c, stop}
}

// connect joins and runs a connector and waits until it is connected.
func (r *rig) connect(location string, mappings ...connector.Mapping) *running {
	r.t.Helper()
	c := r.run(r.newConnector(r.join(location), mappings...))
	r.await("connected", func() bool { return c.State() != nil && c.State()[0].Connected })
	return c
}

// await waits until what holds.
func (r *rig) await(what string, holds func() bool) {
	r.t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit.C:
			r.t.Fatalf("not %s after 30s", what)
		}
	}
}

// listen serves handle for each connection to an inside address, and returns it.
func (r *rig) listen(addr string, handle func(net.Conn)) string {
	r.t.Helper()
	l, err := r.inside.Listen(context.Background(), "tcp", addr)
	if err != nil {
		r.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer c.Close(); handle(c) })
		}
	})
	r.t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

// echo sends back what it gets, until the end.
func echo(c net.Conn) {
	if _, err := io.Copy(c, c); err == nil {
		c.(netx.CloseWriter).CloseWrite()
	}
}

func (r *rig) dial(principal, location, addr string) (net.Conn, error) {
	return r.gw.DialVia(principal, location)(context.Background(), "tcp", addr)
}

func (r *rig) mustDial(addr string) net.Conn {
	r.t.Helper()
	c, err := r.dial("user:a", "", addr)
	if err != nil {
		r.t.Fatalf("dial %s: %v", addr, err)
	}
	return c
}

// logWriter shows logs of a test that failed.
type logWriter struct {
	t  testing.TB
	mu sync.Mutex // guards the following
	b  []byte
}

func (w *logWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b = append(w.b, p...)
	return len(p), nil
}

func (w *logWriter) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.b)
}

func (w *logWriter) logger(part string) *slog.Logger {
	w.t.Cleanup(func() {
		if w.t.Failed() && part == "gateway" {
			w.t.Logf("log:\n%s", w.text())
		}
	})
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})).With("part", part)
}

func (r *rig) mustDialAs(principal, addr string) net.Conn {
	r.t.Helper()
	c, err := r.dial(principal, "", addr)
	if err != nil {
		r.t.Fatalf("dial %s: %v", addr, err)
	}
	return c
}
