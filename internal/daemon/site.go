package daemon

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

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
}

// newSite prepares a site. It opens its folder and nothing else.
func newSite(w *world, cfg config.Site) (*site, error) {
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
	s := &site{cfg: cfg, tree: tree, access: accessOf(cfg), log: w.log.With("site", cfg.Name)}
	s.external = newExternal(cfg.Passive, s.log)
	s.server = &ftpserver.Server{Settings: ftpserver.Settings{
		Name:         cfg.Banner,
		Authenticate: s.authenticator(w.accounts),
		Known:        func(user string) bool { return w.accounts.Allows([]string{"*"}, user) },
		Listing:      looks(cfg),
		TLS:          secured,
	}, Network: w.opts.Network, Logger: s.log, Guard: &w.guard, IDs: &w.sessionIDs}
	s.bound(&s.server.Settings)
	tryOwner(tree, s.log)
	if s.record, err = openRecord(cfg, s.log); err != nil {
		return nil, errors.Join(fault.As(err, "site %q", cfg.Name), tree.Close())
	}
	if s.record != nil {
		s.server.OnEvent = s.record.Event
	}
	return s, nil
}

// authenticator asks the accounts, then the site's rules.
func (s *site) authenticator(accounts *account.Store) ftpserver.Authenticate {
	return func(ctx context.Context, l ftpserver.Login) (ftpserver.Account, error) {
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
}

// anonymous reports whether somebody without an account may log in.
func (s *site) anonymous() bool {
	if len(s.cfg.Authorization) == 0 {
		return s.cfg.Anonymous
	}
	return slices.ContainsFunc(s.cfg.Authorization, func(r config.Rule) bool { return slices.Contains(r.Allow, "?") })
}
