package filetree

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// StaleAfter is how old a part must be for nobody to come back to it: an upload
// that moves no byte is cut long before.
const StaleAfter = 24 * time.Hour

// maxSweepErrors bounds what one sweep tells of folders that it may not read.
const maxSweepErrors = 8

// Sweep removes the parts that a crash has left behind anywhere in the tree, and
// returns how many: regular files whose names are those of parts (see [IsPart]),
// last written more than age ago, and held by no upload of whatever process. It
// follows no links. Folders that it may not read are left out and told.
func (t *Tree) Sweep(ctx context.Context, age time.Duration) (removed int, err error) {
	s := &sweeper{tree: t, before: time.Now().Add(-age), folders: []string{"."}}
	for len(s.folders) > 0 {
		if err := ctx.Err(); err != nil {
			return s.removed, errors.Join(append(s.errs, context.Cause(ctx))...)
		}
		last := len(s.folders) - 1
		rel := s.folders[last]
		s.folders = s.folders[:last]
		s.note(s.folder(rel))
	}
	return s.removed, errors.Join(s.errs...)
}

type sweeper struct {
	tree    *Tree
	before  time.Time // what was written later stays
	folders []string  // to look at, below the root
	removed int
	errs    []error
}

// note keeps err, but for what vanished meanwhile.
func (s *sweeper) note(err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) && len(s.errs) < maxSweepErrors {
		s.errs = append(s.errs, err)
	}
}

func (s *sweeper) folder(rel string) error {
	// What was a folder a moment ago may be a link by now, which leads to a folder
	// that is looked at anyway, or round in a circle.
	if info, err := s.tree.root.Lstat(rel); err != nil || !info.IsDir() {
		return err
	}
	d, err := s.tree.root.OpenFile(rel, os.O_RDONLY|nonblock|directory, 0)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // only read
	for {
		entries, err := d.ReadDir(dirBatch)
		for _, e := range entries {
			name := filepath.Join(rel, e.Name())
			switch {
			case e.IsDir():
				s.folders = append(s.folders, name)
			case e.Type().IsRegular() && IsPart(e.Name()) && e.Name() == strings.ToLower(e.Name()): // as we write them
				s.note(s.part(name))
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// part removes one if it is stale.
func (s *sweeper) part(rel string) error {
	f, err := s.tree.root.OpenFile(rel, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // nothing was written through it
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || !info.ModTime().Before(s.before) {
		return err
	}
	if taken, _ := lock(f); taken {
		return nil // an upload that runs; where nothing can be locked its age tells it apart
	}
	if err := s.tree.root.Remove(rel); err != nil {
		return err
	}
	s.removed++
	return nil
}
