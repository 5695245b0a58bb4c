// Package gateway is the outside half of the tunnel: it takes connectors in and
// opens connections to what they expose.
//
// A [Gateway] serves one port. What comes in is told apart by ALPN: control links
// and data links, both with a certificate of the gateway's own authority, and
// joins over HTTP/1.1. [Gateway.Dial] finds the connector whose mappings cover a
// virtual host and port, or the one that may have a pinhole for it, and opens a
// stream. Whether the target may be reached is the connector's decision.
//
// It is no SOCKS5 server and resolves no name.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"

	"sync"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/tunnel"
	"sallyport.dev/internal/tunnel/enroll"
	"sallyport.dev/internal/tunnel/frame"
)

// Limits, where the [Gateway]'s own fields are zero.
const (
	DefaultMaxStreams = 512 // of one principal
	maxPending        = 128 // handshakes and joins at a time
	maxPendingPeer    = 64  // of these: from one address
	maxSessions       = 512
	checkEvery        = 2 * time.Second // whether a session's connector was revoked
)

// ErrServerClosed is what [Gateway.Serve] returns after Shutdown or Close.
var ErrServerClosed = errors.New("gateway: closed")

// Gateway takes connectors in. Set the fields before the first Serve.
type Gateway struct {
	// Authority says who may speak. Required.
	Authority *enroll.Authority
	// Software is this program's version, for the other end's eye.
	Software string
	// MaxStreams bounds the streams of one principal. Zero: [DefaultMaxStreams].
	MaxStreams int
	Logger     *slog.Logger // nil discards

	init    sync.Once
	base    context.Context // ends with Close
	stop    context.CancelCauseFunc
	pending chan struct{} // one token for each handshake and join
	joins   *joins
	wg      sync.WaitGroup // connections and sessions

	mu        sync.Mutex // guards the following
	closed    bool
	listeners map[net.Listener]bool
	pendings  map[net.Conn]bool // connections in their handshake
	peers     map[string]int    // of these: by address
	sessions  map[frame.ID]*session
	streams   map[frame.ID]*stream
	principal map[string]int // streams by principal
}

func (g *Gateway) setUp() {
	g.init.Do(func() {
		g.base, g.stop = context.WithCancelCause(context.Background())
		g.pending = make(chan struct{}, maxPending)
		g.joins = newJoins(g)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.listeners = make(map[net.Listener]bool)
		g.pendings = make(map[net.Conn]bool)
		g.peers = make(map[string]int)
		g.sessions = make(map[frame.ID]*session)
		g.streams = make(map[frame.ID]*stream)
		g.principal = make(map[string]int)
	})
}

func (g *Gateway) log() *slog.Logger {
	if g.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return g.Logger
}

// Serve takes connectors in on l until Shutdown or Close, then returns
// [ErrServerClosed]. It closes l.
func (g *Gateway) Serve(l net.Listener) error {
	g.setUp()
	if !g.begin(func() { g.listeners[l] = true }) {
		return errors.Join(ErrServerClosed, l.Close())
	}
	defer g.wg.Done()
	cfg := g.Authority.ServerConfig([]string{frame.ControlProtocol, frame.DataProtocol})
	for delay := time.Duration(0); ; {
		conn, err := l.Accept()
		if err != nil {
			if g.isClosed() {
				return ErrServerClosed
			}
			if errors.Is(err, net.ErrClosed) {
				return fault.As(err, "accept on %s", l.Addr())
			}
			// Out of descriptors, as a rule: what is open goes on, so this waits.
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			g.log().Error("accept", "listener", l.Addr().String(), "error", err, "again_in", delay)
			if !netx.Pause(g.base, delay) {
				return ErrServerClosed
			}
			continue
		}
		delay = 0
		g.take(conn, func() { g.handle(conn, cfg) })
	}
}

// begin registers something that Shutdown waits for; wg.Done ends it.
func (g *Gateway) begin(register func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	register()
	g.wg.Add(1)
	return true
}

// take starts handling conn, unless too many handshakes are pending: those that
// are already in come first, and a connector tries again by itself.
func (g *Gateway) take(conn net.Conn, handle func()) {
	peer := enroll.SourceKey(conn.RemoteAddr().String())
	full := ""
	select {
	case g.pending <- struct{}{}:
		taken := g.begin(func() {
			if g.peers[peer] >= maxPendingPeer {
				full = "from this address"
			}
			g.pendings[conn] = true
			g.peers[peer]++
		})
		if taken && full == "" {
			go func() { // wg counts it
				defer g.wg.Done()
				handle()
			}()
			return
		}
		<-g.pending
		if taken {
			g.settled(conn)
			g.wg.Done()
		}
	default:
		full = "in all"
	}
	_ = conn.Close() // nothing was said on it
	if full != "" {
		g.log().Warn("connection refused: too many handshakes pending "+full, "peer", conn.RemoteAddr().String())
	}
}

// settled: conn is no longer pending, one way or the other.
func (g *Gateway) settled(conn net.Conn) {
	peer := enroll.SourceKey(conn.RemoteAddr().String())
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.pendings, conn)
	if g.peers[peer]--; g.peers[peer] <= 0 {
		delete(g.peers, peer)
	}
}

func (g *Gateway) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// Shutdown takes no more connectors and streams, tells the connectors, and waits
// for the streams that run. When the context ends first it cuts them and returns
// the context's error.
func (g *Gateway) Shutdown(ctx context.Context) error {
	return g.end(ctx, false)
}

// Close cuts everything and waits until it has ended.
func (g *Gateway) Close() error { return g.end(context.Background(), true) }

func (g *Gateway) end(ctx context.Context, cut bool) error {
	g.setUp()
	g.mu.Lock()
	g.closed = true
	for l := range g.listeners {
		_ = l.Close() // Serve sees it end
	}
	for c := range g.pendings {
		_ = c.Close() // in its handshake: nothing to save
	}
	g.mu.Unlock()
	g.stop(ErrServerClosed)
	g.joins.close()
	if cut {
		g.cutAll()
	}
	done := make(chan struct{})
	go func() { g.wg.Wait(); close(done) }() // waited for below
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		g.cutAll()
		<-done
		return context.Cause(ctx)
	}
}

func (g *Gateway) cutAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.sessions {
		s.pool.Cut()
	}
}

// handle shakes hands and goes by what was agreed on.
func (g *Gateway) handle(conn net.Conn, cfg *tls.Config) {
	peer := conn.RemoteAddr().String()
	// What has not proved itself is pending, a join to its end included, and counts
	// against its address for as long.
	release := sync.OnceFunc(func() { g.settled(conn); <-g.pending })
	link, err := tunnel.Server(g.base, conn, cfg)
	if err != nil {
		release()
		err = g.Authority.Explain(err, peer)
		g.log().Info("handshake refused", "peer", peer, "error", err, "hint", fault.HintOf(err))
		return
	}
	switch link.Protocol() {
	case frame.ControlProtocol:
		err = g.control(link, release)
	case frame.DataProtocol:
		err = g.data(link)
		release()
	default:
		g.joins.serve(link.TLS(), release)
		return
	}
	if err != nil && !g.isClosed() {
		g.log().Warn("connector refused", "peer", peer, "error", err, "hint", fault.HintOf(err))
	}
}

// data parks a data link with its session.
func (g *Gateway) data(link *tunnel.Link) error {
	who, err := enroll.IdentityOf(link.PeerCertificate())
	if err != nil {
		link.Abort()
		return err
	}
	id, err := link.Attached()
	if err != nil {
		link.Abort()
		return fault.As(err, "data link of connector %s of location %q", who.ID, who.Location)
	}
	g.mu.Lock()
	s := g.sessions[id]
	g.mu.Unlock()
	if s == nil || s.who.ID != who.ID {
		link.Abort()
		g.log().Debug("data link of a session that has ended", "connector", who.ID)
		return nil
	}
	return s.pool.Add(link)
}

// NewToken makes a join token in the state folder stateDir, beside a running
// gateway or without one. See [enroll.Authority.NewToken].
func NewToken(stateDir, location string, addresses []string, ttl time.Duration) (t enroll.Token, err error) {
	a, err := enroll.OpenAuthority(stateDir, nil)
	if err != nil {
		return enroll.Token{}, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	return a.NewToken(location, addresses, ttl)
}
