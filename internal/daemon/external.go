package daemon

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"sallyport.dev/internal/config"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/netx"
)

// external knows which address PASV names to whom. Names are looked up by
// [external.run], so that nobody waits for a resolver.
type external struct {
	rules  []externalRule
	every  time.Duration
	lookup func(ctx context.Context, name string) ([]netip.Addr, error)
	log    *slog.Logger
}

type externalRule struct {
	clients []netip.Prefix // none: everybody
	own     bool
	name    string
	addr    atomic.Pointer[netip.Addr] // nil until the name was found
}

// newExternal returns nil if every client is told the control connection's own
// address.
func newExternal(p config.Passive, log *slog.Logger) *external {
	if len(p.External) == 0 {
		return nil
	}
	e := &external{every: p.Resolve, log: log, rules: make([]externalRule, len(p.External))}
	e.lookup = func(ctx context.Context, name string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip4", name)
	}
	if e.every == 0 {
		e.every = 5 * time.Minute
	}
	for i, r := range p.External {
		to := &e.rules[i]
		to.own, to.name = r.Address.Own, r.Address.Name
		for _, n := range r.Clients {
			to.clients = append(to.clients, n.Prefix)
		}
		if r.Address.IP.IsValid() {
			to.addr.Store(&r.Address.IP)
		}
	}
	return e
}

// to returns the address to name to client; the zero value means the control
// connection's own.
func (e *external) to(client netip.Addr) netip.Addr {
	client = client.WithZone("")
	for i := range e.rules {
		r := &e.rules[i]
		if len(r.clients) > 0 && !slices.ContainsFunc(r.clients, func(p netip.Prefix) bool { return p.Contains(client) }) {
			continue
		}
		if addr := r.addr.Load(); addr != nil && !r.own {
			return *addr
		}
		break
	}
	return netip.Addr{}
}

// run looks names up again and again until ctx ends. An address that was found
// once counts until another is.
func (e *external) run(ctx context.Context) {
	for e.named() {
		found := true
		for i := range e.rules {
			if r := &e.rules[i]; r.name != "" {
				found = e.resolve(ctx, r) && found
			}
		}
		wait := e.every
		if !found {
			wait = min(wait, 10*time.Second)
		}
		if !netx.Pause(ctx, wait) {
			return
		}
	}
}

// named reports whether there is a name to look up.
func (e *external) named() bool {
	for i := range e.rules {
		if e.rules[i].name != "" {
			return true
		}
	}
	return false
}

// resolve looks one name up and reports whether it has an address now.
func (e *external) resolve(ctx context.Context, r *externalRule) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	addrs, err := e.lookup(ctx, r.name)
	before := r.addr.Load()
	usable := slices.DeleteFunc(addrs, func(a netip.Addr) bool { a = a.Unmap(); return !a.Is4() || a.IsUnspecified() })
	if err == nil && len(usable) == 0 {
		err = fault.New(fault.NotFound, "the name has no IPv4 address")
	}
	if err != nil {
		if ctx.Err() == nil || context.Cause(ctx) == context.DeadlineExceeded { //nolint:errorlint // the context's own
			shown := "the control connection's own"
			if before != nil {
				shown = before.String()
			}
			e.log.Warn("external address not found, PASV names what it did", "name", r.name, "address", shown, "err", err)
		}
		return false
	}
	if before != nil && slices.ContainsFunc(usable, func(a netip.Addr) bool { return a.Unmap() == *before }) {
		return true // of several, the one that clients have been told
	}
	addr := usable[0].Unmap()
	r.addr.Store(&addr)
	e.log.Info("external address", "name", r.name, "address", addr.String())
	return true
}
