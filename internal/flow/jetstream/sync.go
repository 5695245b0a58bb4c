package jetstream

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/rounds"
)

// The server writes each message to its stream's newest block file before it
// answers, which survives the end of the process. To survive the end of the
// machine a file must be synced. The server can do that for each message, one at a
// time; here the files are synced from outside, one sync for all the messages of a
// moment.
//
// What makes that safe: a record is changed again only after its last change was
// synced, and the stream keeps the last two of each, so that whatever the server
// removes meanwhile, the synced one is somewhere in a synced file. That file is kept
// when the server replaces it; see spare.go.
type syncer struct {
	dir    string // of the stream's blocks
	spares string // of their second names
	rounds rounds.Rounds

	// Of the running round alone.
	known  map[string]fs.FileInfo // blocks as they were when they were last synced
	newest *os.File               // kept open, since it is the one that changes
	broken error
}

const blockSuffix = ".blk"

// blocksOf returns where a server over dir keeps the blocks of a stream.
func blocksOf(dir, stream string) string {
	return filepath.Join(dir, "jetstream", "$G", "streams", stream, "msgs")
}

// newSyncer returns what syncs the blocks of a stream. It refuses a store that is
// not laid out as it expects.
func newSyncer(dir, stream string) (*syncer, error) {
	s := &syncer{dir: blocksOf(dir, stream), spares: sparesOf(dir, stream), known: make(map[string]fs.FileInfo)}
	if info, err := os.Stat(s.dir); err != nil || !info.IsDir() {
		return nil, fault.New(fault.Internal, "the journal in %q has no folder %q", dir, s.dir).
			WithHint("this is a defect: the journal's server keeps its files elsewhere than this version expects")
	}
	if err := os.MkdirAll(s.spares, 0o700); err != nil {
		return nil, fault.As(err, "make a folder of the journal")
	}
	return s, errors.Join(syncDir(filepath.Dir(s.spares)), syncDir(dir))
}

// sync returns when everything that was stored before the call is on disk. After an
// error nothing can be known of what is on disk, so every later call fails too.
func (s *syncer) sync() error {
	return s.rounds.Do(func() error {
		if s.broken == nil {
			if err := s.round(); err != nil {
				s.broken = fault.As(err, "sync the journal")
			}
		}
		return s.broken
	})
}

func (s *syncer) round() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	now := make(map[string]fs.FileInfo, len(s.known))
	var last string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), blockSuffix) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // what was in it has been replaced since
		}
		if err != nil {
			return err
		}
		now[e.Name()] = info
		if last == "" || s.newer(info, now[last]) {
			last = e.Name()
		}
	}
	if last == "" {
		return fault.New(fault.Internal, "%q holds no block", s.dir)
	}
	names := len(now) != len(s.known)
	var fresh []string // blocks that were not there at the last round or are other files now
	for name, info := range now {
		old := s.known[name]
		if old != nil && os.SameFile(old, info) {
			if old.Size() == info.Size() {
				continue
			}
			synced, err := s.syncNewest(info)
			if err != nil {
				return err
			}
			if synced {
				continue
			}
		}
		f, info, err := s.secure(name)
		if errors.Is(err, fs.ErrNotExist) {
			delete(now, name) // gone since
			continue
		}
		if err != nil {
			return err
		}
		now[name] = info
		fresh = append(fresh, name)
		if err := s.keep(f, name == last); err != nil {
			return err
		}
	}
	if names || len(fresh) > 0 {
		if err := syncDir(s.dir); err != nil {
			return err
		}
		if err := s.settle(fresh, now); err != nil {
			return err
		}
	}
	s.known = now
	return nil
}

func (*syncer) newer(a, b fs.FileInfo) bool { return a.ModTime().After(b.ModTime()) }

// syncNewest syncs the block that is kept open, if that is the one.
func (s *syncer) syncNewest(info fs.FileInfo) (synced bool, err error) {
	if s.newest == nil {
		return false, nil
	}
	if open, err := s.newest.Stat(); err != nil || !os.SameFile(open, info) {
		return false, err
	}
	return true, s.newest.Sync()
}

// keep keeps the newest block open instead of the one before, and closes another.
func (s *syncer) keep(f *os.File, newest bool) error {
	if !newest {
		return f.Close()
	}
	old := s.newest
	s.newest = f
	if old != nil {
		return old.Close()
	}
	return nil
}

// close gives the open file back. No sync may be running or follow.
func (s *syncer) close() error {
	if s.newest == nil {
		return nil
	}
	err := s.newest.Close()
	s.newest = nil
	return err
}

// syncTree syncs every file and folder below dir.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // the server removes what it no longer needs
		case err != nil:
			return err
		case e.IsDir():
			return syncDir(path)
		case !e.Type().IsRegular():
			return nil
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
