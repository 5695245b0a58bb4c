package gateway

import (
	"context"
	"crypto/rand"
	"net"
	"strconv"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/tunnel"
	"sallyport.dev/internal/tunnel/frame"
)

// target is what somebody asks for.
type target struct {
	principal, location string
	host                string
	port                uint16
}

func (t target) String() string { return net.JoinHostPort(t.host, strconv.Itoa(int(t.port))) }

// stream is a stream that runs, for accounts and affinity.
type stream struct {
	st      *tunnel.Stream
	s       *session
	t       target
	mapping string // "" through a pinhole
	watched bool
	since   time.Time
}

// DialVia returns the dialler of one principal to one location. Without a
// location the connector is found by the virtual host; when several locations
// expose it the dial is refused.
func (g *Gateway) DialVia(principal, location string) netx.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if network != "tcp" {
			return nil, fault.New(fault.Unsupported, "network %q through a tunnel", network).WithHint("a tunnel carries tcp")
		}
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fault.New(fault.Invalid, "address %q", addr).WithHint("write host:port")
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return nil, fault.New(fault.Invalid, "port %q", port).WithHint("a port is a number from 1 to 65535")
		}
		return g.Dial(ctx, principal, location, host, uint16(n))
	}
}

// Dial opens a connection for principal to a virtual host and port, which are
// looked up in what the connectors expose and nowhere else. The context bounds
// the dialling alone. The connection is a *[tunnel.Stream].
func (g *Gateway) Dial(ctx context.Context, principal, location, host string, port uint16) (net.Conn, error) {
	g.setUp()
	t := target{principal: principal, location: location, host: host, port: port}
	if err := t.check(); err != nil {
		return nil, err
	}
	if err := g.admit(principal); err != nil {
		return nil, err
	}
	st, err := g.open(ctx, t)
	if err != nil {
		g.release(principal)
		return nil, err
	}
	return st, nil
}

func (t target) check() error {
	if err := frame.CheckHost(t.host); err != nil {
		return fault.Wrap(fault.Invalid, err, "target %.300q", t.host).WithHint("a virtual host has up to %d printable ASCII characters", frame.MaxHost)
	}
	if t.port == 0 {
		return fault.New(fault.Invalid, "port 0 of %q", t.host).WithHint("a port is a number from 1 to 65535")
	}
	if err := frame.CheckPrincipal(t.principal); err != nil {
		return fault.Wrap(fault.Invalid, err, "principal %.300q", t.principal)
	}
	return nil
}

func (g *Gateway) admit(principal string) error {
	limit := g.MaxStreams
	if limit == 0 {
		limit = DefaultMaxStreams
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return fault.New(fault.Unreachable, "the gateway is stopping")
	}
	if g.principal[principal] >= limit {
		return fault.New(fault.Busy, "%s has %d connections through the tunnel, which is its limit", principal, limit).
			WithHint("close some, or use fewer at a time")
	}
	g.principal[principal]++
	return nil
}

func (g *Gateway) release(principal string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.releaseLocked(principal)
}

func (g *Gateway) releaseLocked(principal string) {
	if g.principal[principal]--; g.principal[principal] <= 0 {
		delete(g.principal, principal)
	}
}

// open finds the connector and opens the stream.
func (g *Gateway) open(ctx context.Context, t target) (*tunnel.Stream, error) {
	s, i, err := g.route(ctx, t)
	if err != nil {
		return nil, err
	}
	o := frame.Open{Host: t.host, Port: t.port, Principal: t.principal}
	rand.Read(o.ID[:]) // never returns an error
	r := &stream{s: s, t: t, since: time.Now()}
	if i >= 0 {
		m := s.hello.Mappings[i]
		r.mapping, r.watched = tunnel.MappingText(m), m.Protocol == "ftp"
	}
	g.start(o.ID, r)
	st, err := s.pool.Open(ctx, o)
	if err != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.endLocked(o.ID)
		if fault.KindOf(err) == fault.Internal && ctx.Err() == nil {
			err = fault.Wrap(fault.Unreachable, err, "open %s at location %s", t, s.who.Location)
		}
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	r.st = st
	return st, nil
}

// start counts a stream before it is open: what follows a control connection must
// find it, however fast it comes.
func (g *Gateway) start(id frame.ID, r *stream) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.streams[id] = r
	r.s.running++
	if r.watched {
		r.s.watched[r.t.principal]++
	}
}

func (g *Gateway) endLocked(id frame.ID) {
	r := g.streams[id]
	if r == nil {
		return
	}
	delete(g.streams, id)
	r.s.running--
	if r.watched {
		if r.s.watched[r.t.principal]--; r.s.watched[r.t.principal] <= 0 {
			delete(r.s.watched, r.t.principal)
		}
	}
}

// streamEnded is the pool's word that a stream is over.
func (g *Gateway) streamEnded(st *tunnel.Stream) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.streams[st.ID()]; r != nil {
		g.endLocked(st.ID())
		g.releaseLocked(r.t.principal)
	}
}
