package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"sallyport.dev/internal/api"
	"sallyport.dev/internal/config"
	"sallyport.dev/internal/ftp/ftpserver"
)

// door is an address at which sites are reached: one, or several that share it.
type door struct {
	door  ftpserver.Door
	first *site            // of who names none; nil: everybody has to
	hosts map[string]*site // by the names that choose them
	addr  string           // as it is written
	key   string           // the same for the same door of another document
	l     net.Listener
	part  *running
}

// doorsOf groups the bindings of all sites by address, in the order of the document.
// Those at port 0 are never shared.
func doorsOf(sites []*site) []*door {
	var all []*door
	known := map[string]*door{}
	for _, s := range sites {
		for i, b := range s.cfg.Reached() {
			key := strings.ToLower(b.Listen.String())
			if b.Listen.Port == 0 {
				key += fmt.Sprintf(" of %s, %d", s.cfg.Name, i)
			}
			d := known[key]
			if d == nil {
				d = &door{hosts: map[string]*site{}, addr: b.Listen.String(), key: key}
				d.door.Implicit = b.Implicit
				all, known[key] = append(all, d), d
			}
			if b.Host == "" {
				d.first = s
			} else {
				d.hosts[strings.ToLower(b.Host)] = s
			}
		}
	}
	return all
}

// open lets the servers of the door's sites be reached.
func (d *door) open(log *slog.Logger) error {
	d.door.Logger = log
	hosts := make(map[string]*ftpserver.Server, len(d.hosts))
	for name, s := range d.hosts {
		hosts[name] = s.server
	}
	var first *ftpserver.Server
	if d.first != nil {
		first = d.first.server
	}
	return d.door.Open(first, hosts)
}

// names is what the door's sites are called in words for people.
func (d *door) names() string {
	var names []string
	if d.first != nil {
		names = append(names, d.first.cfg.Name)
	}
	for _, s := range d.hosts {
		names = append(names, s.cfg.Name)
	}
	if len(names) == 1 {
		return "site " + names[0]
	}
	return "sites"
}

// startSites opens the doors and then the sites behind them, so that a stop ends the
// sites first: who comes meanwhile is told that the server is going down.
func (w *world) startSites(ctx context.Context) error {
	for _, cfg := range w.cfg.Sites {
		s, err := newSite(w, cfg, nil)
		if err != nil {
			return err
		}
		w.sites = append(w.sites, s)
	}
	w.doors = doorsOf(w.sites)
	for _, d := range w.doors {
		if err := d.open(w.log); err != nil {
			return err
		}
		if err := w.serveDoor(ctx, d); err != nil {
			return err
		}
	}
	for _, s := range w.sites {
		w.serveSite(ctx, s)
	}
	for _, p := range partsOf(w.sites, w.doors) {
		w.running(p)
	}
	return nil
}

// serveDoor listens at a door's address and serves it.
func (w *world) serveDoor(ctx context.Context, d *door) error {
	l, err := w.listen(ctx, d.names(), d.addr)
	if err != nil {
		return err
	}
	d.l = l
	w.startDoor(ctx, d)
	return nil
}

// startDoor serves a door that listens.
func (w *world) startDoor(ctx context.Context, d *door) {
	d.part = w.group.start(ctx, "listener "+d.l.Addr().String(), func(ctx context.Context) error {
		return serve(ctx, &d.door, d.l, time.Second, ftpserver.ErrServerClosed)
	})
}

// serveSite runs a site.
func (w *world) serveSite(ctx context.Context, s *site) {
	s.begin(ctx)
	w.group.start(ctx, "site "+s.cfg.Name, func(ctx context.Context) error { return s.run(ctx, w.opts.Grace/2) })
}

// partsOf describes sites for status, each as often as it has addresses.
func partsOf(sites []*site, doors []*door) []api.Part {
	var parts []api.Part
	for _, s := range sites {
		for _, d := range doors {
			if d.leadsTo(s) {
				parts = append(parts, api.Part{Kind: "site", Name: s.cfg.Name, Address: d.l.Addr().String(), State: "running"})
			}
		}
	}
	return parts
}

func (d *door) leadsTo(s *site) bool {
	if d.first == s {
		return true
	}
	for _, other := range d.hosts {
		if other == s {
			return true
		}
	}
	return false
}

// begin starts what runs beside the server, until end is called.
func (s *site) begin(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	if s.external != nil {
		beside.Go(func() { s.external.run(ctx) })
	}
	beside.Go(func() { s.sweep(ctx) })
	s.end = func() {
		cancel()
		beside.Wait()
	}
}

// run keeps the site until ctx ends. Transfers in progress have grace then. A site
// that leaves before ends its sessions when they are at rest, however long that is.
func (s *site) run(ctx context.Context, grace time.Duration) error {
	select {
	case <-ctx.Done():
	case <-s.leave:
		if s.server.Shutdown(ctx) == nil {
			<-ctx.Done()
			return nil
		}
	}
	return shutdown(ctx, s.server, grace)
}

// reachedAs lists the names and addresses under which a certificate of the site's
// own may be asked for.
func reachedAs(cfg config.Site) (names []string, addrs []net.IP) {
	for _, r := range cfg.Passive.External {
		if ip := r.Address.IP; ip.IsValid() {
			addrs = append(addrs, ip.AsSlice())
		} else if name := r.Address.Name; name != "" {
			names = append(names, name)
		}
	}
	for _, b := range cfg.Reached() {
		if b.Host != "" {
			names = append(names, b.Host)
		}
		if ip := net.ParseIP(b.Listen.Host); ip == nil && b.Listen.Host != "" {
			names = append(names, b.Listen.Host)
		} else if ip != nil && !ip.IsUnspecified() && !ip.IsLoopback() {
			addrs = append(addrs, ip)
		}
	}
	return names, addrs
}
