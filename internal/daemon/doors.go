package daemon

import (
	"context"
	"errors"
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
	l     net.Listener
}

// doorsOf groups the bindings of all sites by address, in the order of the document.
// Those at port 0 are never shared.
func doorsOf(sites []*site) ([]*door, []string) {
	var all []*door
	var addrs []string
	known := map[string]*door{}
	for _, s := range sites {
		for _, b := range s.cfg.Reached() {
			addr := strings.ToLower(b.Listen.String())
			d := known[addr]
			if d == nil {
				d = &door{hosts: map[string]*site{}}
				d.door.Implicit = b.Implicit
				all, addrs = append(all, d), append(addrs, b.Listen.String())
				if b.Listen.Port != 0 {
					known[addr] = d
				}
			}
			if b.Host == "" {
				d.first = s
			} else {
				d.hosts[strings.ToLower(b.Host)] = s
			}
		}
	}
	return all, addrs
}

// open lets the servers of the door's sites be reached.
func (d *door) open() error {
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
		s, err := newSite(w, cfg)
		if err != nil {
			return err
		}
		w.sites = append(w.sites, s)
		w.closers = append(w.closers, s.tree.Close, s.record.Close)
	}
	doors, addrs := doorsOf(w.sites)
	for i, d := range doors {
		d.door.Logger = w.log
		if err := d.open(); err != nil {
			return err
		}
		l, err := w.listen(ctx, d.names(), addrs[i])
		if err != nil {
			return err
		}
		d.l = l
		w.group.start(ctx, "listener "+l.Addr().String(), func(ctx context.Context) error {
			return serve(ctx, &d.door, l, time.Second, ftpserver.ErrServerClosed)
		})
	}
	for _, s := range w.sites {
		w.group.start(ctx, "site "+s.cfg.Name, func(ctx context.Context) error { return s.run(ctx, w.opts.Grace/2) })
		for _, d := range doors {
			if d.leadsTo(s) {
				w.running(api.Part{Kind: "site", Name: s.cfg.Name, Address: d.l.Addr().String(), State: "running"})
			}
		}
	}
	return nil
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

// run keeps the site until ctx ends. Transfers in progress have grace then.
func (s *site) run(ctx context.Context, grace time.Duration) error {
	var beside sync.WaitGroup
	defer beside.Wait()
	if s.external != nil {
		beside.Go(func() { s.external.run(ctx) })
	}
	beside.Go(func() { s.sweep(ctx) })
	<-ctx.Done()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := s.server.Shutdown(bounded)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close()
	}
	return err
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
