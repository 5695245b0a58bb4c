package connector

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"net/netip"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel"
	"sallyport.dev/internal/tunnel/frame"
)

// newPinholeTable returns the connector's table of announced data ports.
func (c *Connector) newPinholeTable() *pinholes {
	return &pinholes{isVirtual: func(host string) bool {
		for _, r := range c.rules {
			if tunnel.SameHost(r.Host, host) {
				return true
			}
		}
		return false
	}}
}

// watch puts a watcher on a control connection, whose announcements open pinholes
// to the server's own address and from the address it is known under there. What is
// opened through them belongs to s.
func (c *Connector) watch(d *dialled, s *sitting, log *slog.Logger) *watchedConn {
	to := addrPort(d.conn.RemoteAddr()).Addr()
	hole := pinhole{
		principal: d.o.Principal, mapping: tunnel.MappingText(d.rule.Mapping), virtual: tunnel.CanonicalHost(d.rule.Host), of: s,
		local: addrPort(d.conn.LocalAddr()).Addr(),
	}
	// Our own id, not the stream's: a gateway chooses that one.
	rand.Read(hole.session[:]) // never returns an error
	at := func(port uint16, advertised netip.Addr) pinhole {
		p := hole
		p.port, p.advertised, p.target = port, advertised, netip.AddrPortFrom(to, port)
		return p
	}
	return newWatchedConn(d.conn, newWatcher(watchHooks{
		announce: func(port uint16, advertised netip.Addr) error { return c.pinholes.add(at(port, advertised)) },
		refused:  func(port uint16, why *fault.Error) { c.pinholes.note(at(port, netip.Addr{}), why) },
		cancel:   func() { c.pinholes.drop(hole.session) },
	}, log))
}

// openPinhole opens what no mapping covers, if a server has announced it to this
// principal. The target is the server's address, whatever the host asked for.
func (c *Connector) openPinhole(ctx context.Context, o frame.Open) (*dialled, error) {
	p, err := c.pinholes.take(o.Principal, tunnel.CanonicalHost(o.Host), o.Port)
	if err != nil {
		if c.couldAnnounce(o.Host) {
			return nil, err
		}
		return nil, c.denied(o)
	}
	conn, err := c.dialInside(ctx, p.local, p.target)
	if err != nil {
		return nil, fault.As(err, "connect to data port %d of %s", p.port, p.mapping).
			WithHint("the server announced it and does not take the connection: does its firewall let the connector in on its passive ports?")
	}
	return &dialled{c: c, conn: conn, o: o, of: p.of}, nil
}

// couldAnnounce reports whether host could stand for a server that is watched: an
// address, which a 227 may have named, or the virtual host of an ftp mapping.
func (c *Connector) couldAnnounce(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	for _, r := range c.rules {
		if r.Protocol == "ftp" && tunnel.SameHost(r.Host, host) {
			return true
		}
	}
	return false
}

// addrPort returns a TCP address; the zero AddrPort for any other.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
