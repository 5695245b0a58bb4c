package access

import (
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
)

// Tree is the files of a site. Names are virtual paths. See ftpserver.Tree, which
// it is, but for Real.
type Tree interface {
	Stat(name string) (fs.FileInfo, error)
	ReadDir(name string) (Dir, error)
	Open(name string) (*os.File, error)
	Create(name string) (Upload, error)
	Resume(name string, offset int64) (Upload, error)
	Mkdir(name string) error
	Rmdir(name string) error
	Remove(name string) error
	Rename(oldname, newname string) error
	SetTime(name string, modified time.Time) error
	SetMode(name string, mode fs.FileMode) error
	Free(name string) (uint64, error)
	// Real returns the path of what name leads to, without links in it. The last
	// element need not be there.
	Real(name string) (string, error)
}

// Dir is a folder being listed.
type Dir = interface {
	Next() ([]fs.FileInfo, error)
	Close() error
}

// Upload is a file being written.
type Upload = interface {
	File() *os.File
	Commit() error
	Abort() error
}

// Site is what the rights of all accounts of one site have in common.
type Site struct {
	// Folders are those that rules of the site name, whomever they concern.
	Folders []string
	// moving is held to move something, and shared by everything that looks where
	// a path leads and then goes there: no client can put a link in between.
	moving sync.RWMutex
}

// Name makes folders those that rules name, while clients are at work.
func (s *Site) Name(folders []string) {
	s.moving.Lock()
	defer s.moving.Unlock()
	s.Folders = folders
}

// Guard is a tree as far as rights go. Its methods are those of the tree; one that
// is added there is missing here until somebody has thought about it.
type Guard struct {
	site   *Site
	tree   Tree
	base   string // where the tree's top is in the site
	rights Rights
}

// Guard guards tree, whose top is the folder base of the site.
func (s *Site) Guard(tree Tree, base string, rights Rights) *Guard {
	return &Guard{site: s, tree: tree, base: base, rights: rights}
}

// full is where name is in the site.
func (g *Guard) full(name string) string { return path.Join(g.base, name) }

// errDenied has no more in it than the client said itself.
func errDenied(name string, p Permission) error {
	return fault.New(fault.Denied, "you may not %s %q", p, name)
}

// lead is what a path leads to, for operations that follow a link at its end.
func (g *Guard) lead(name string) (string, error) { return g.tree.Real(name) }

// spot is the place of name itself, for operations that replace or remove a link at
// its end.
func (g *Guard) spot(name string) (string, error) {
	if name == "/" {
		return name, nil
	}
	folder, err := g.tree.Real(path.Dir(name))
	return path.Join(folder, path.Base(name)), err
}

// ask asks ok about a path as it is written and as it is meant, and returns where in
// the site that is. What is not allowed as written is refused before the disk is
// asked: nobody learns what is there.
func (g *Guard) ask(name string, p Permission, means func(string) (string, error), ok func(full string) bool) (string, error) {
	if !ok(g.full(name)) || runtime.GOOS == "windows" && short(name) {
		return "", errDenied(name, p)
	}
	real, err := means(name)
	if err != nil {
		return "", err
	}
	full := g.full(real)
	if real != name && !ok(full) || g.aliased(full) {
		return "", errDenied(name, p)
	}
	return full, nil
}

func (g *Guard) may(p Permission) func(string) bool {
	return func(full string) bool { return g.rights.may(full, p) }
}

// follow does something to what name leads to.
func (g *Guard) follow(name string, p Permission, do func() error) error {
	g.site.moving.RLock()
	defer g.site.moving.RUnlock()
	if _, err := g.ask(name, p, g.lead, g.may(p)); err != nil {
		return err
	}
	return do()
}

// replace does something to name itself.
func (g *Guard) replace(name string, do func(string) error) error {
	g.site.moving.RLock()
	defer g.site.moving.RUnlock()
	if _, err := g.ask(name, Write, g.spot, g.may(Write)); err != nil {
		return err
	}
	return do(name)
}

// seen reports whether somebody may know of what is at full.
func (g *Guard) seen(full string) bool { return g.rights.Shown(full) || g.rights.may(full, Write) }

// Stat describes what is shown, and what may be written.
func (g *Guard) Stat(name string) (fs.FileInfo, error) {
	g.site.moving.RLock()
	defer g.site.moving.RUnlock()
	if _, err := g.ask(name, Read, g.lead, g.seen); err != nil {
		return nil, err
	}
	return g.tree.Stat(name)
}

// ReadDir lists what is shown of a folder.
func (g *Guard) ReadDir(name string) (Dir, error) {
	g.site.moving.RLock()
	defer g.site.moving.RUnlock()
	full, err := g.ask(name, Read, g.lead, g.seen)
	if err != nil {
		return nil, err
	}
	d, err := g.tree.ReadDir(name)
	if err != nil || g.rights.may(full, Read) && g.rights.whole(full) {
		return d, err
	}
	return &dir{Dir: d, folder: full, rights: g.rights}, nil
}

// dir leaves out what is not shown.
type dir struct {
	Dir
	folder string
	rights Rights
}

// Next returns the next entries that are shown.
func (d *dir) Next() ([]fs.FileInfo, error) {
	for {
		infos, err := d.Dir.Next()
		infos = slices.DeleteFunc(infos, func(i fs.FileInfo) bool { return !d.rights.Shown(path.Join(d.folder, i.Name())) })
		if err != nil || len(infos) > 0 {
			return infos, err
		}
	}
}

// Open opens a file that may be read.
func (g *Guard) Open(name string) (f *os.File, err error) {
	err = g.follow(name, Read, func() error {
		var err error
		f, err = g.tree.Open(name)
		return err
	})
	return f, err
}

// Create starts an upload where it may be written.
func (g *Guard) Create(name string) (u Upload, err error) {
	err = g.replace(name, func(string) error {
		var err error
		u, err = g.tree.Create(name)
		return err
	})
	return u, err
}

// Resume goes on with a file that may be written.
func (g *Guard) Resume(name string, offset int64) (u Upload, err error) {
	err = g.follow(name, Write, func() error {
		var err error
		u, err = g.tree.Resume(name, offset)
		return err
	})
	return u, err
}

// Mkdir makes a folder where it may be written.
func (g *Guard) Mkdir(name string) error { return g.replace(name, g.tree.Mkdir) }

// Rmdir removes a folder that may be written.
func (g *Guard) Rmdir(name string) error { return g.replace(name, g.tree.Rmdir) }

// Remove removes a file that may be written.
func (g *Guard) Remove(name string) error { return g.replace(name, g.tree.Remove) }

// SetTime changes what may be written.
func (g *Guard) SetTime(name string, modified time.Time) error {
	return g.follow(name, Write, func() error { return g.tree.SetTime(name, modified) })
}

// SetMode changes what may be written.
func (g *Guard) SetMode(name string, mode fs.FileMode) error {
	return g.follow(name, Write, func() error { return g.tree.SetMode(name, mode) })
}

// Free tells the room in a folder that is shown or may be written.
func (g *Guard) Free(name string) (uint64, error) {
	if _, err := g.Stat(name); err != nil {
		return 0, err
	}
	return g.tree.Free(name)
}

// Rename moves what may be written to where it may be written.
func (g *Guard) Rename(oldname, newname string) error {
	g.site.moving.Lock()
	defer g.site.moving.Unlock()
	names := [2]string{oldname, newname}
	var full [2]string
	for i, name := range names {
		var err error
		if full[i], err = g.ask(name, Write, g.spot, g.may(Write)); err != nil {
			return err
		}
		if !g.loose(g.full(name)) || !g.loose(full[i]) {
			return fault.New(fault.Denied, "%q may not be moved: rules of this site name it, or a folder in it", name)
		}
	}
	if g.reads(newname, full[1]) && !g.reads(oldname, full[0]) {
		return fault.New(fault.Denied, "%q may not be moved to where it could be read", oldname)
	}
	return g.tree.Rename(oldname, newname)
}

func (g *Guard) reads(name, full string) bool {
	return g.rights.may(g.full(name), Read) && g.rights.may(full, Read)
}

// loose reports whether no rule of the site, whomever it concerns, is about full or
// a folder in it.
func (g *Guard) loose(full string) bool {
	return !slices.ContainsFunc(g.site.Folders, func(folder string) bool {
		return folder != "/" && within(full, folder, true)
	})
}
