package connector

import (
	"context"
	"errors"
	"net/netip"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/tunnel"
	"sallyport.dev/internal/tunnel/frame"
)

// grow dials n more data links. It does not wait for them.
func (s *session) grow(n int) {
	u := s.u
	u.mu.Lock()
	n = min(n, maxLinks-u.count)
	u.count += max(n, 0)
	u.mu.Unlock()
	u.report()
	for range n {
		u.links.Go(func() {
			defer func() {
				u.mu.Lock()
				u.count--
				u.mu.Unlock()
				u.report()
			}()
			if err := s.serveLink(); err != nil && s.ctx.Err() == nil {
				u.c.log().Debug("data link ended", "gateway", u.addr, "error", err)
			}
		})
	}
}

// serveLink dials a data link and serves streams on it until it ends. A stream
// that runs when the session ends goes on.
func (s *session) serveLink() error {
	select {
	case s.u.dials <- struct{}{}:
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	link, err := s.u.dial(s.ctx, frame.DataProtocol)
	<-s.u.dials
	if err != nil {
		return err
	}
	defer link.Abort()
	stop := context.AfterFunc(s.ctx, func() {
		if link.Idle() {
			link.Abort()
		}
	})
	defer stop()
	if err := link.Attach(s.id); err != nil {
		return err
	}
	for s.ctx.Err() == nil {
		o, err := link.Accept()
		if err != nil {
			return err
		}
		if again, err := s.serveStream(link, o); !again || err != nil {
			return err
		}
	}
	return nil
}

// serveStream answers one open and relays. again: the link can take another one.
func (s *session) serveStream(link *tunnel.Link, o frame.Open) (again bool, err error) {
	log := s.u.c.log().With("stream", o.ID.String(), "principal", o.Principal, "target", o.Target())
	// Dialling ends with the session; what is relayed does not.
	d, err := s.u.c.open(s.ctx, o)
	if err != nil {
		log.Info("stream refused", "error", err, "hint", fault.HintOf(err))
		return true, link.Refuse(err)
	}
	// From here on, not from the first byte: a server that has the connection and sees
	// it end takes that for an empty file.
	netx.Guard(d.conn)
	st, err := link.Grant(o)
	if err != nil {
		return false, errors.Join(err, netx.Reset(d.conn))
	}
	s.u.track(link, st)
	defer s.u.track(link, nil)
	log.Debug("stream opened", "to", d.conn.RemoteAddr().String())
	err = d.relay(st, log)
	in, out := st.Bytes()
	log.Debug("stream ended", "in", in, "out", out, "error", err)
	return st.Settle(), nil
}

// track remembers which links carry a stream; nil forgets.
func (u *uplink) track(l *tunnel.Link, st *tunnel.Stream) {
	u.mu.Lock()
	if st == nil {
		delete(u.active, l)
	} else {
		u.active[l] = st
	}
	u.mu.Unlock()
	u.report()
}

// report brings the numbers of links and streams into the connector's state.
func (u *uplink) report() {
	u.mu.Lock()
	links, streams := u.count, len(u.active)
	u.mu.Unlock()
	u.c.set(u.index, func(s *GatewayState) { s.Links, s.Streams = links, streams })
}

// open decides whether o may be reached, and dials it.
func (c *Connector) open(ctx context.Context, o frame.Open) (*dialled, error) {
	for _, r := range c.rules {
		if tunnel.Covers(r.Mapping, o.Host, o.Port) {
			return c.openMapped(ctx, o, r)
		}
	}
	return c.openPinhole(ctx, o)
}

func (c *Connector) openMapped(ctx context.Context, o frame.Open, r rule) (*dialled, error) {
	addrs, err := c.addrs(ctx, r)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, a := range addrs {
		conn, err := c.dialInside(ctx, netip.Addr{}, netip.AddrPortFrom(a, r.port(o.Port)))
		if err == nil {
			return &dialled{c: c, conn: conn, o: o, rule: r}, nil
		}
		errs = append(errs, err)
	}
	err = errors.Join(errs...)
	return nil, fault.As(err, "connect to what is behind %s", tunnel.MappingText(r.Mapping)).
		WithHint("the connector's log says where it tried; is the server running, and does its firewall let the connector in?")
}
