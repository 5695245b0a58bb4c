package daemon

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"time"

	"sallyport.dev/internal/config"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/filetree"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/netx"
)

// writing is how the site of cfg writes what comes in.
func writing(cfg config.Site) (filetree.Policy, error) {
	u := cfg.Uploads
	p := filetree.Policy{
		Sync: u.Sync != config.SyncNever, KeepParts: u.Parts == config.PartsKeep,
		KeepExisting: u.Existing == config.FailExisting, KeepRenamed: u.RenameOver == config.FailExisting,
		FileMode: fs.FileMode(u.Mode), DirMode: fs.FileMode(u.DirectoryMode),
	}
	if u.Owner == "" && u.Group == "" {
		return p, nil
	}
	p.Owner = &filetree.Owner{UID: -1, GID: -1}
	var err error
	if u.Owner != "" {
		if p.Owner.UID, err = number("user", u.Owner, func() (string, error) {
			who, err := user.Lookup(u.Owner)
			if err != nil {
				return "", err
			}
			return who.Uid, nil
		}); err != nil {
			return p, err
		}
	}
	if u.Group != "" {
		if p.Owner.GID, err = number("group", u.Group, func() (string, error) {
			group, err := user.LookupGroup(u.Group)
			if err != nil {
				return "", err
			}
			return group.Gid, nil
		}); err != nil {
			return p, err
		}
	}
	return p, nil
}

// number is that of a user or a group: name itself, or what look finds.
func number(what, name string, look func() (string, error)) (int, error) {
	text := name
	if _, err := strconv.Atoi(name); err != nil {
		if text, err = look(); err != nil {
			return 0, fault.Wrap(fault.NotFound, err, "find the %s %q that owns uploads", what, name).
				WithHint("make it, or write another under uploads")
		}
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fault.New(fault.Unsupported, "the %s %q that owns uploads has no number here", what, name).
			WithHint("remove it: this system does not give files away in that form")
	}
	return int(n), nil
}

// tryOwner warns where files cannot be given to whom the document names, before a
// client is told. Whether they can in each folder is seen when it is written to.
func tryOwner(tree *filetree.Tree, log *slog.Logger) {
	if tree.Owner == nil {
		return
	}
	u, err := tree.Create("/.sallyport-owner")
	if err == nil {
		err = u.Abort()
	}
	if err != nil {
		log.Warn("uploads may fail: the top folder takes no file of this owner", "uid", tree.Owner.UID, "gid", tree.Owner.GID, "err", err)
	}
}

// looks is what LIST of the site of cfg looks like.
func looks(cfg config.Site) ftpserver.Listing {
	l := ftpserver.Listing{DOS: cfg.Listing.Style == config.ListDOS, HideDots: cfg.Listing.Hidden == config.HiddenHide}
	if cfg.Listing.Time == config.ListLocal {
		l.Zone = time.Local
	}
	return l
}

// sweepEvery is how often stale parts are looked for.
const sweepEvery = 24 * time.Hour

// sweep removes what crashes have left of uploads, now and then, until ctx ends.
func (s *site) sweep(ctx context.Context) {
	if s.cfg.ReadOnly {
		return // others write here
	}
	for {
		removed, err := s.tree.Sweep(ctx, filetree.StaleAfter)
		if removed > 0 {
			s.log.Info("removed stale parts of uploads", "files", removed)
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, os.ErrClosed) {
			s.log.Warn("some folders were not searched for stale parts", "err", err)
		}
		if !netx.Pause(ctx, sweepEvery) {
			return
		}
	}
}
