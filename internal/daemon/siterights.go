package daemon

import (
	"slices"

	"sallyport.dev/internal/access"
	"sallyport.dev/internal/account"
	"sallyport.dev/internal/config"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/filetree"
	"sallyport.dev/internal/ftp/ftpserver"
)

var (
	_ access.Tree    = (*filetree.Tree)(nil)
	_ ftpserver.Tree = (*access.Guard)(nil)
)

// rightsOf draws what the account called name, "" for the anonymous, may do from a
// site's rules. Without rules every account may read and write everything, and the
// anonymous may read.
func rightsOf(cfg config.Site, accounts *account.Store, name string) access.Rights {
	if len(cfg.Authorization) == 0 {
		what := access.Read | access.Write
		if name == "" {
			what = access.Read
		}
		return access.New(access.Rule{Path: "/", Allow: true, What: what})
	}
	var rules []access.Rule
	for _, r := range cfg.Authorization {
		rule := access.Rule{Path: r.Path, What: permissions(r.Permissions)}
		if rule.Path == "" {
			rule.Path = "/"
		}
		switch {
		case accounts.Allows(r.Allow, name):
			rule.Allow = true
		case accounts.Allows(r.Deny, name), slices.Contains(r.Deny, "*"): // the anonymous are somebody
		default:
			continue
		}
		rules = append(rules, rule)
	}
	return access.New(rules...)
}

func permissions(written []config.Permission) access.Permission {
	var p access.Permission
	if slices.Contains(written, config.Read) {
		p |= access.Read
	}
	if slices.Contains(written, config.Write) {
		p |= access.Write
	}
	return p
}

// ruledFolders are the folders below the top that rules of a site are about.
func ruledFolders(cfg config.Site) (folders []string) {
	for _, r := range cfg.Authorization {
		if r.Path != "" && r.Path != "/" {
			folders = append(folders, r.Path)
		}
	}
	return folders
}

// account is what the account called name, "" for the anonymous, sees of the site.
func (s *site) account(accounts *account.Store, name string) (ftpserver.Account, error) {
	rights := rightsOf(s.cfg, accounts, name)
	top, dir, err := s.home(name)
	if err != nil {
		return ftpserver.Account{}, err
	}
	if !rights.Anywhere(top, access.Read) && !rights.Anywhere(top, access.Write) {
		return ftpserver.Account{}, fault.New(fault.Denied, "this account may not use this site")
	}
	a := ftpserver.Account{Name: name, Dir: dir, ReadOnly: s.cfg.ReadOnly || !rights.Anywhere(top, access.Write)}
	if name == "" {
		a.Name = "anonymous"
	}
	tree := s.tree
	if top != "/" {
		if tree, err = s.tree.Sub(top, s.cfg.Homes.Create); err != nil {
			s.log.Warn("no home", "user", a.Name, "folder", top, "err", err)
			return ftpserver.Account{}, fault.Wrap(fault.Denied, err, "this account has no folder at this site")
		}
		a.Release = func() { _ = tree.Close() } // nothing was written through it
	}
	a.Tree = tree
	if len(ruledFolders(s.cfg)) > 0 || !rights.May("/", access.Read) {
		a.Tree = s.access.Guard(tree, top, rights)
	}
	return a, nil
}

// home is the top of what the account called name sees of the site, and the folder
// beneath that in which it starts; "" is the top.
func (s *site) home(name string) (top, dir string, err error) {
	h := s.cfg.Homes
	if h == nil {
		return "/", "", nil
	}
	home := h.Home(name)
	switch {
	case home == "":
		return "", "", fault.New(fault.Denied, "this account can have no folder at this site")
	case h.Isolated():
		return home, "", nil
	}
	return "/", s.startIn(home, h.Create), nil
}

// startIn is home if it is there, made if it is to be, and else the top.
func (s *site) startIn(home string, create bool) string {
	tree, err := s.tree.Sub(home, create)
	if err != nil {
		s.log.Warn("no home to start in", "folder", home, "err", err)
		return ""
	}
	_ = tree.Close() // nothing was written through it
	return home
}
