package gateway

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel"
	"sallyport.dev/internal/tunnel/frame"
)

// route finds the connector for a target, and the mapping that covers it; -1 when
// a pinhole has to. First the mappings of the connected connectors are asked,
// then those connectors which hold a watched control connection of the principal.
func (g *Gateway) route(ctx context.Context, t target) (*session, int, error) {
	g.mu.Lock()
	here := g.reachableLocked(t.location)
	if len(here) == 0 {
		defer g.mu.Unlock()
		return nil, -1, g.offlineLocked(t)
	}
	covering := slices.DeleteFunc(slices.Clone(here), func(s *session) bool { return s.exposes(t) < 0 })
	if len(covering) > 0 {
		defer g.mu.Unlock()
		if where := locations(covering); len(where) > 1 {
			return nil, -1, fault.New(fault.Denied, "%q is exposed at several locations: %s", t, strings.Join(where, ", ")).
				WithHint("name one of them: --location %s, or location in the flow's source or sink", where[0])
		}
		s := slices.MinFunc(covering, func(a, b *session) int { return g.preferLocked(t, a, b) })
		return s, s.exposes(t), nil
	}
	holders := slices.DeleteFunc(slices.Clone(here), func(s *session) bool { return !g.holdsLocked(s, t.principal) })
	g.mu.Unlock()
	s, err := pick(ctx, t, holders)
	if err == nil && s == nil {
		err = denied(t, here)
	}
	return s, -1, err
}

// reachableLocked returns the sessions that take streams, at one location or at all.
func (g *Gateway) reachableLocked(location string) []*session {
	var out []*session
	for _, s := range g.sessions {
		if !s.draining && (location == "" || s.who.Location == location) {
			out = append(out, s)
		}
	}
	return out
}

// holdsLocked reports whether the connector's process behind s watches a control
// connection of the principal: in this session, or in an earlier one whose streams
// still run. Pinholes are the process's, not the session's.
func (g *Gateway) holdsLocked(s *session, principal string) bool {
	for _, x := range g.sessions {
		if x.watched[principal] > 0 && x.who.ID == s.who.ID && x.hello.Instance == s.hello.Instance {
			return true
		}
	}
	return false
}

// preferLocked: the connector that has the principal's control connections, since
// a server checks that data comes from where control came from; else the least
// busy one; else always the same one.
func (g *Gateway) preferLocked(t target, a, b *session) int {
	if x, y := g.holdsLocked(a, t.principal), g.holdsLocked(b, t.principal); x != y {
		if x {
			return -1
		}
		return 1
	}
	if a.running != b.running {
		return a.running - b.running
	}
	return strings.Compare(a.id.String(), b.id.String())
}

func locations(ss []*session) []string {
	var out []string
	for _, s := range ss {
		out = append(out, s.who.Location)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// pick finds the one session whose pinholes explain the target. Nil without an
// error: none can.
func pick(ctx context.Context, t target, holders []*session) (*session, error) {
	switch len(holders) {
	case 0:
		return nil, nil
	case 1: // it says itself what is wrong, if anything is
		return holders[0], nil
	}
	var found []*session
	for _, s := range holders {
		yes, err := s.lookup(ctx, t)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err == nil && yes { // a connector that does not answer is not the one
			found = append(found, s)
		}
	}
	if len(found) > 1 { // the host breaks the tie
		named := slices.DeleteFunc(slices.Clone(found), func(s *session) bool {
			return !slices.ContainsFunc(s.hello.Mappings, func(m frame.Mapping) bool { return tunnel.SameHost(m.Host, t.host) })
		})
		if len(named) == 1 {
			return named[0], nil
		}
		return nil, fault.New(fault.Denied, "port %d was announced to %s at several locations: %s", t.port, t.principal, strings.Join(locations(found), ", ")).
			WithHint("use EPSV, or separate users")
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return nil, nil
}

// offlineLocked says that there is nobody to ask. The cause tells this from a host
// that cannot be reached behind a connector: SOCKS5 has a code for each.
func (g *Gateway) offlineLocked(t target) error {
	if t.location == "" {
		return fault.Wrap(fault.Unreachable, syscall.ENETUNREACH, "no connector is connected, so nothing leads to %q", t).
			WithHint("start `sallyport connector run` at the plant; `sallyport gateway connectors` shows who is connected")
	}
	e := fault.Wrap(fault.Unreachable, syscall.ENETUNREACH, "no connector of location %q is connected", t.location)
	if others := locations(g.reachableLocked("")); len(others) > 0 {
		return e.WithHint("connected are: %s", strings.Join(others, ", "))
	}
	return e.WithHint("start `sallyport connector run` at the plant; `sallyport gateway connectors` shows who is connected")
}

// denied says that no mapping covers the target, names the nearest one, and what to do.
func denied(t target, here []*session) error {
	var all []frame.Mapping
	var where []string
	for _, s := range here {
		for _, m := range s.hello.Mappings {
			all = append(all, m)
			where = append(where, s.who.Location)
		}
	}
	if len(all) == 0 {
		return fault.New(fault.Denied, "no mapping covers %q: %s exposes nothing", t, strings.Join(locations(here), ", ")).
			WithHint("expose it at the connector: --expose '%s=HOST:PORT'", t)
	}
	i := tunnel.Nearest(all, t.host, t.port)
	_, addrErr := netip.ParseAddr(t.host)
	if i < 0 {
		e := fault.New(fault.Denied, "no mapping covers %q, and none comes near it", t)
		if addrErr == nil {
			return e.WithHint("this is an address: let the proxy resolve names (socks5h), and ask for a virtual name")
		}
		return e.WithHint("check the name, or expose it at the connector: --expose '%s=HOST:PORT'", t)
	}
	m, near := all[i], tunnel.MappingText(all[i])
	e := fault.New(fault.Denied, "no mapping covers %q; the nearest is %s at location %s", t, near, where[i])
	switch {
	case addrErr == nil && !tunnel.SameHost(m.Host, t.host):
		return e.WithHint("this is an address: let the proxy resolve names (socks5h), and ask for %s", near)
	case tunnel.SameHost(m.Host, t.host) && m.Protocol == "ftp":
		return e.WithHint("a data port opens once the server has announced it on a control connection of the same user; any other port: --expose '%s=HOST:%d'", t, t.port)
	case tunnel.SameHost(m.Host, t.host):
		return e.WithHint("expose the port at the connector: --expose '%s=HOST:%d', or data_ports for a range", t, t.port)
	default:
		return e.WithHint("check the name, or expose it at the connector: --expose '%s=HOST:PORT'", t)
	}
}
