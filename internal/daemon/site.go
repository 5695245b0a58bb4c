package daemon

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"

	"sallyport.dev/internal/access"
	"sallyport.dev/internal/account"
	"sallyport.dev/internal/config"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/filetree"
	"sallyport.dev/internal/ftp/ftplog"
	"sallyport.dev/internal/ftp/ftpserver"
)

// site is a running FTP server over a folder.
type site struct {
	cfg      config.Site
	server   *ftpserver.Server
	tree     *filetree.Tree
	access   *access.Site
	log      *slog.Logger
	external *external   // nil: PASV names the site's own address
	record   *ftplog.Log // nil: nothing is written down

	leave chan struct{}  // closed when the document no longer has the site
	uses  sync.WaitGroup // logins that use the tree
	end   func()         // stops what runs beside the server
}

// newSite prepares a site. It opens its folder and its log and nothing else. With
// before, the site of that name that runs, what both can share is taken from there.
func newSite(w *world, cfg config.Site, before *site) (*site, error) {
	tree, err := filetree.Open(cfg.Path)
	if err != nil {
		return nil, fault.As(err, "site %q", cfg.Name)
	}
	if tree.Policy, err = writing(cfg); err != nil {
		return nil, errors.Join(fault.As(err, "site %q", cfg.Name), tree.Close())
	}
	secured, err := siteTLS(w, cfg)
	if err != nil {
		return nil, errors.Join(err, tree.Close())
	}
	s := &site{cfg: cfg, tree: tree, access: &access.Site{Folders: ruledFolders(cfg)}, log: w.log.With("site", cfg.Name), leave: make(chan struct{})}
	s.external = newExternal(cfg.Passive, s.log)
	s.server = &ftpserver.Server{Settings: ftpserver.Settings{
		Name:         cfg.Banner,
		Authenticate: w.authenticator(cfg.Name),
		Known:        func(user string) bool { return w.store().Allows([]string{"*"}, user) },
		Listing:      looks(cfg),
		TLS:          secured,
	}, Network: w.opts.Network, Logger: s.log, Guard: &w.guard, IDs: &w.sessionIDs}
	s.bound(&s.server.Settings)
	tryOwner(tree, s.log)
	if before != nil && reflect.DeepEqual(before.cfg.Log, cfg.Log) {
		s.record = before.record
	} else if s.record, err = openRecord(cfg, s.log); err != nil {
		return nil, errors.Join(fault.As(err, "site %q", cfg.Name), tree.Close())
	}
	if s.record != nil {
		s.server.OnEvent = w.recorder(s)
	}
	return s, nil
}

// recorder writes events into the log that the site of that name has at the time.
func (w *world) recorder(s *site) func(ftpserver.Event) {
	return func(e ftpserver.Event) {
		record := s.record
		if now := w.siteNamed(s.cfg.Name); now != nil {
			record = now.record
		}
		if record != nil {
			record.Event(e)
		}
	}
}

// authenticator lets clients in as the document has it at the time of their login.
func (w *world) authenticator(name string) ftpserver.Authenticate {
	return func(ctx context.Context, l ftpserver.Login) (ftpserver.Account, error) {
		s, accounts := w.enter(name)
		if s == nil {
			return ftpserver.Account{}, fault.New(fault.Denied, "this site is closed")
		}
		a, err := s.authenticate(ctx, accounts, l)
		if err != nil {
			s.uses.Done()
			return a, err
		}
		release := a.Release
		a.Release = func() {
			if release != nil {
				release()
			}
			s.uses.Done()
		}
		return a, nil
	}
}

// authenticate asks the accounts, then the site's rules.
func (s *site) authenticate(ctx context.Context, accounts *account.Store, l ftpserver.Login) (ftpserver.Account, error) {
	name := l.User
	if err := certificateNames(s.cfg.TLS, l); err != nil {
		return ftpserver.Account{}, err
	}
	if s.anonymous() && (strings.EqualFold(l.User, "anonymous") || strings.EqualFold(l.User, "ftp")) {
		name = ""
	} else if err := accounts.Authenticate(ctx, l.User, l.Password); err != nil {
		return ftpserver.Account{}, err
	}
	return s.account(accounts, name)
}

// anonymous reports whether somebody without an account may log in.
func (s *site) anonymous() bool {
	if len(s.cfg.Authorization) == 0 {
		return s.cfg.Anonymous
	}
	return slices.ContainsFunc(s.cfg.Authorization, func(r config.Rule) bool { return slices.Contains(r.Allow, "?") })
}
