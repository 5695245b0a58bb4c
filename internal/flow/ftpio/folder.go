package ftpio

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/rounds"
)

// folderSync syncs folders, so that names in them survive a power cut. Calls for
// one folder that come while it is being synced share the next sync. Its zero value
// is ready to use.
type folderSync struct {
	mu      sync.Mutex // guards the following
	folders map[string]*folderRounds
}

type folderRounds struct {
	rounds.Rounds
	users int // calls that have it
}

// folder syncs one folder, "" being the root.
func (s *folderSync) folder(root *os.Root, dir string) error {
	s.mu.Lock()
	if s.folders == nil {
		s.folders = make(map[string]*folderRounds)
	}
	r := s.folders[dir]
	if r == nil {
		r = &folderRounds{}
		s.folders[dir] = r
	}
	r.users++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.users--; r.users == 0 {
			delete(s.folders, dir)
		}
	}()
	return r.Do(func() error { return syncFolder(root, dir) })
}

// makeFolders makes a folder and those above it, and syncs where it made one.
func (s *folderSync) makeFolders(root *os.Root, dir string) error {
	if dir == "" {
		return nil
	}
	if info, err := root.Stat(local(flow.Path(dir))); err == nil && info.IsDir() {
		return nil
	}
	parent := ""
	for e := range strings.SplitSeq(dir, "/") {
		sub := e
		if parent != "" {
			sub = parent + "/" + e
		}
		err := root.Mkdir(local(flow.Path(sub)), 0o777)
		switch {
		case err == nil:
			if err := s.folder(root, parent); err != nil {
				return err
			}
		case !errors.Is(err, fs.ErrExist):
			return fault.As(err, "make folder %q", sub)
		}
		parent = sub
	}
	return nil
}

// renameLinked renames by a second name, which cannot replace anything, where the
// system has no rename that would not. A crash in the middle leaves both names; the
// next call sees that they are one file and takes the first away.
func renameLinked(root *os.Root, from, to flow.Path) error {
	err := root.Link(local(from), local(to))
	if errors.Is(err, fs.ErrExist) {
		a, aerr := root.Lstat(local(from))
		b, berr := root.Lstat(local(to))
		if aerr != nil || berr != nil || !os.SameFile(a, b) {
			return err
		}
		err = nil
	}
	if err == nil {
		return root.Remove(local(from))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// A file system without links: look, then rename, and hope that nobody else
	// makes the name between the two.
	if _, lerr := root.Lstat(local(to)); lerr == nil {
		return fs.ErrExist
	} else if !errors.Is(lerr, fs.ErrNotExist) {
		return lerr
	}
	return root.Rename(local(from), local(to))
}
