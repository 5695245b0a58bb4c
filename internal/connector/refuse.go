package connector

import (
	"net/netip"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel"
	"sallyport.dev/internal/tunnel/frame"
)

// denied says that no mapping covers what was asked for, names the nearest one,
// and what to write.
func (c *Connector) denied(o frame.Open) *fault.Error {
	location := c.Credentials.Identity().Location
	virtual := make([]frame.Mapping, len(c.rules))
	for i, r := range c.rules {
		virtual[i] = r.Mapping
	}
	_, addrErr := netip.ParseAddr(o.Host)
	i := tunnel.Nearest(virtual, o.Host, o.Port)
	if i < 0 {
		e := fault.New(fault.Denied, "location %s exposes nothing like %q", location, o.Target())
		if addrErr == nil {
			return e.WithHint("this is an address: let the proxy resolve names (socks5h), and ask for a virtual name")
		}
		return e.WithHint("check the name, or expose it at the connector: --expose '%s=HOST:PORT'", o.Target())
	}
	near := tunnel.MappingText(virtual[i])
	e := fault.New(fault.Denied, "no mapping of location %s covers %q; the nearest is %s", location, o.Target(), near)
	if addrErr == nil && !tunnel.SameHost(virtual[i].Host, o.Host) {
		return e.WithHint("this is an address: let the proxy resolve names (socks5h), and ask for %s", near)
	}
	return e.WithHint("expose it at the connector: --expose '%s=HOST:%d'", o.Target(), o.Port)
}
