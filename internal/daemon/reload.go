package daemon

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"sallyport.dev/internal/account"
	"sallyport.dev/internal/api"
	"sallyport.dev/internal/config"
	"sallyport.dev/internal/fault"
)

// current lists the sites that run.
func (w *world) current() []*site {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sites)
}

// store is the accounts of the document.
func (w *world) store() *account.Store {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.accounts
}

// siteNamed returns the site of that name, nil if there is none (any more).
func (w *world) siteNamed(name string) *site {
	w.mu.Lock()
	defer w.mu.Unlock()
	return named(w.sites, name)
}

func named(sites []*site, name string) *site {
	i := slices.IndexFunc(sites, func(s *site) bool { return s.cfg.Name == name })
	if i < 0 {
		return nil
	}
	return sites[i]
}

// enter is siteNamed for a login, with the accounts of the same moment: the site
// stays usable until its uses are done.
func (w *world) enter(name string) (*site, *account.Store) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := named(w.sites, name)
	if s != nil {
		s.uses.Add(1)
	}
	return s, w.accounts
}

// closeSites closes what sites stand on, once their servers have ended.
func (w *world) closeSites() {
	for _, s := range w.current() {
		if s.end != nil { // else its start failed
			s.end()
		}
		if err := errors.Join(s.tree.Close(), s.record.Close()); err != nil {
			s.log.Warn("close the site", "err", err)
		}
	}
	w.retired.Wait()
}

// listenForHangup reloads whenever it is asked to, until ctx ends.
func (w *world) listenForHangup(ctx context.Context) {
	if w.opts.Hangup == nil || w.opts.Load == nil {
		return
	}
	w.group.start(ctx, "reload", func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-w.opts.Hangup:
				if _, err := w.reload(ctx); err != nil {
					w.log.Error("reload: nothing was changed", "err", err)
				}
			}
		}
	})
}

// reload reads the document anew and makes sites and accounts what it says. Sessions
// go on with what they began with; logins, and sessions to come, have the new. A
// document with faults changes nothing. There must be [Options].Load.
func (w *world) reload(ctx context.Context) (api.Reloaded, error) {
	w.reloading.Lock()
	defer w.reloading.Unlock()
	doc, err := w.opts.Load()
	if err != nil {
		return api.Reloaded{}, err
	}
	accounts, err := newAccounts(doc.Accounts)
	if err != nil {
		return api.Reloaded{}, err
	}
	r := renewal{w: w, doc: &doc.Config, accounts: accounts}
	if err := r.prepare(ctx); err != nil {
		return api.Reloaded{}, errors.Join(err, r.undo())
	}
	told := api.Reloaded{Restart: w.restart(&doc.Config)}
	told.Sites = r.apply(ctx)
	for _, s := range w.current() {
		if s.record == nil {
			continue
		}
		if err := s.record.Reopen(); err != nil { // after another program has renamed it
			s.log.Warn("open the site's log anew", "err", err)
		}
	}
	w.log.Info("reloaded", "sites", told.Sites, "restart", told.Restart)
	return told, nil
}

// restart lists the parts of the document that are not what runs, and that a reload
// leaves alone.
func (w *world) restart(next *config.Config) []string {
	var names []string
	for _, part := range []struct {
		name      string
		was, will any
	}{
		{"state", w.cfg.State, next.State},
		{"journal", w.cfg.Journal, next.Journal},
		{"gateway", w.cfg.Gateway, next.Gateway},
		{"connector", w.cfg.Connector, next.Connector},
		{"flows", w.cfg.Flows, next.Flows},
	} {
		if !reflect.DeepEqual(part.was, part.will) {
			names = append(names, part.name)
		}
	}
	return names
}

// renewal is one reload under way: prepared whole before anything changes.
type renewal struct {
	w        *world
	doc      *config.Config
	accounts *account.Store
	sites    []*site
	doors    []*door
	opened   []*door // those of doors that are new
}

// prepare opens folders, logs and addresses of the new document beside what runs.
func (r *renewal) prepare(ctx context.Context) error {
	for _, cfg := range r.doc.Sites {
		before := r.w.siteNamed(cfg.Name)
		if before != nil && reflect.DeepEqual(before.cfg, cfg) {
			r.sites = append(r.sites, before)
			continue
		}
		s, err := newSite(r.w, cfg, before)
		if err != nil {
			return err
		}
		r.sites = append(r.sites, s)
	}
	r.doors = doorsOf(r.sites)
	for _, d := range r.doors {
		switch old := r.door(d.key); {
		case old == nil:
			l, err := r.w.listen(ctx, d.names(), d.addr)
			if err != nil {
				return err
			}
			d.l = l
			r.opened = append(r.opened, d)
		case old.door.Implicit != d.door.Implicit:
			return fault.New(fault.Unsupported, "TLS would begin otherwise at %s", d.addr).
				WithHint("restart the process, or take another port for it")
		}
	}
	return nil
}

// door is the one that runs under key.
func (r *renewal) door(key string) *door {
	for _, d := range r.w.doors {
		if d.key == key {
			return d
		}
	}
	return nil
}

// undo closes what was prepared.
func (r *renewal) undo() error {
	var err error
	for _, s := range r.sites {
		before := r.w.siteNamed(s.cfg.Name)
		if s == before {
			continue
		}
		err = errors.Join(err, s.tree.Close())
		if before == nil || before.record != s.record {
			err = errors.Join(err, s.record.Close())
		}
	}
	for _, d := range r.opened {
		err = errors.Join(err, d.l.Close())
	}
	return err
}

// apply makes what was prepared what runs, and says what it did with which site.
func (r *renewal) apply(ctx context.Context) (did []string) {
	w := r.w
	old := w.current()
	for i, s := range r.sites {
		switch before := named(old, s.cfg.Name); before {
		case nil:
			did = append(did, "added "+s.cfg.Name)
		case s:
		default:
			settings := s.server.Settings
			s.server, s.leave = before.server, before.leave
			if err := s.server.Apply(settings); err != nil {
				// What is checked there was checked when the document was read.
				w.log.Error("the site keeps its settings", "site", s.cfg.Name, "err", err)
				r.sites[i] = before
				continue
			}
			before.access.Name(ruledFolders(s.cfg))
			s.access = before.access // one lock for sessions of before and after
			did = append(did, "changed "+s.cfg.Name)
		}
	}
	doors := r.openDoors(ctx)
	for _, s := range r.sites {
		switch before := named(old, s.cfg.Name); before {
		case nil:
			w.serveSite(ctx, s)
		case s:
		default:
			s.begin(ctx)
		}
	}
	w.mu.Lock()
	w.accounts, w.sites, w.doors = r.accounts, r.sites, doors
	w.parts = append(slices.DeleteFunc(w.parts, func(p api.Part) bool { return p.Kind == "site" }), partsOf(r.sites, doors)...)
	w.mu.Unlock()
	w.cfg.Sites, w.cfg.Accounts = r.doc.Sites, r.doc.Accounts
	for _, s := range old {
		now := named(r.sites, s.cfg.Name)
		if now == s {
			continue
		}
		if now == nil {
			close(s.leave)
			did = append(did, "removed "+s.cfg.Name)
		}
		w.retire(s, now)
	}
	return did
}

// openDoors lets the doors lead to the new sites, and closes those that are no more.
func (r *renewal) openDoors(ctx context.Context) []*door {
	kept := make([]*door, len(r.doors))
	for i, d := range r.doors {
		if old := r.door(d.key); old != nil {
			old.first, old.hosts = d.first, d.hosts
			d = old
		}
		kept[i] = d
		if err := d.open(r.w.log); err != nil {
			r.w.log.Error("the address keeps its sites", "address", d.addr, "err", err)
		}
	}
	for _, d := range r.opened {
		r.w.startDoor(ctx, d)
		if r.w.opts.Listening != nil {
			r.w.opts.Listening(d.names(), d.l.Addr().String())
		}
	}
	for _, d := range r.w.doors {
		if !slices.Contains(kept, d) {
			d.part.cancel()
		}
	}
	return kept
}

// retire closes what was a site's when nobody uses it any more.
func (w *world) retire(s, now *site) {
	s.end()
	w.retired.Go(func() {
		s.uses.Wait()
		err := s.tree.Close()
		if now == nil || now.record != s.record {
			err = errors.Join(err, s.record.Close())
		}
		if err != nil {
			s.log.Warn("close what the site had before", "err", err)
		}
	})
}
