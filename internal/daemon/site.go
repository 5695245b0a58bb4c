package daemon

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"sallyport.dev/internal/account"
	"sallyport.dev/internal/config"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/filetree"
	"sallyport.dev/internal/ftp/ftpserver"
)

// site is a running FTP server over a folder.
type site struct {
	cfg    config.Site
	server *ftpserver.Server
	tree   *filetree.Tree
}

// newSite prepares a site. It opens its folder and nothing else.
func newSite(w *world, cfg config.Site) (*site, error) {
	tree, err := filetree.Open(cfg.Path)
	if err != nil {
		return nil, fault.As(err, "site %q", cfg.Name)
	}
	tree.Sync = cfg.Uploads.Sync != config.SyncNever
	secured, err := siteTLS(w, cfg)
	if err != nil {
		return nil, errors.Join(err, tree.Close())
	}
	s := &site{cfg: cfg, tree: tree}
	s.server = &ftpserver.Server{Settings: ftpserver.Settings{
		Name:         cfg.Banner,
		Authenticate: s.authenticator(w.accounts),
		Passive: ftpserver.Passive{
			Low: cfg.Passive.Ports.Low, High: cfg.Passive.Ports.High, ExternalIP: cfg.Passive.ExternalIP,
		},
		TLS: secured,
	}, Network: w.opts.Network, Logger: w.log.With("site", cfg.Name)}
	return s, nil
}

// authenticator asks the accounts, then the site's rules.
func (s *site) authenticator(accounts *account.Store) ftpserver.Authenticate {
	return func(ctx context.Context, l ftpserver.Login) (ftpserver.Account, error) {
		name := l.User
		if err := certificateNames(s.cfg.TLS, l); err != nil {
			return ftpserver.Account{}, err
		}
		if s.anonymous() && slices.Contains([]string{"anonymous", "ftp"}, l.User) {
			name = ""
		} else if err := accounts.Authenticate(ctx, l.User, l.Password); err != nil {
			return ftpserver.Account{}, err
		}
		read, write := s.rights(accounts, name)
		if !read {
			return ftpserver.Account{}, fault.New(fault.Denied, "this account may not use this site")
		}
		shown := name
		if shown == "" {
			shown = "anonymous"
		}
		return ftpserver.Account{Name: shown, Tree: s.tree, ReadOnly: !write}, nil
	}
}

// anonymous reports whether somebody without an account may log in.
func (s *site) anonymous() bool {
	if len(s.cfg.Authorization) == 0 {
		return s.cfg.Anonymous
	}
	return slices.ContainsFunc(s.cfg.Authorization, func(r config.Rule) bool { return slices.Contains(r.Allow, "?") })
}

// rights says what the account called name, "" for anonymous, may do. Without
// rules every account may read and write and anonymous may read; with them,
// what is not allowed is not, and a denial wins.
func (s *site) rights(accounts *account.Store, name string) (read, write bool) {
	if len(s.cfg.Authorization) == 0 {
		return true, name != "" && !s.cfg.ReadOnly
	}
	may := func(p config.Permission) bool {
		allowed := false
		for _, r := range s.cfg.Authorization {
			if !slices.Contains(r.Permissions, p) {
				continue
			}
			if accounts.Allows(r.Deny, name) {
				return false
			}
			allowed = allowed || accounts.Allows(r.Allow, name)
		}
		return allowed
	}
	read = may(config.Read)
	return read, read && may(config.Write) && !s.cfg.ReadOnly
}

// serve serves l until ctx ends.
func (s *site) serve(ctx context.Context, l net.Listener, grace time.Duration) error {
	return errors.Join(serve(ctx, s.server, l, grace, ftpserver.ErrServerClosed), s.tree.Close())
}
