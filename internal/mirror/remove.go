package mirror

import (
	"context"
	"errors"
	"io"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// doom notes that something is to be removed from To, and everything in it before.
// It reports whether that leaves nothing of it. A folder with something in it that
// the filter leaves out stays.
func (s *Sync) doom(ctx context.Context, name string, e Entry, depth int) bool {
	if e.Kind == Folder {
		if depth >= maxDepth {
			s.unlist(ctx, name, errDeep)
			return false
		}
		if !s.doomInside(ctx, name, depth) {
			return false
		}
	}
	if s.doomed == nil {
		var err error
		if s.doomed, err = newSpool(); err != nil {
			s.unlist(ctx, name, err)
			return false
		}
	}
	if err := s.doomed.add(&Entry{Name: name, Kind: e.Kind, Size: e.Size}); err != nil {
		s.unlist(ctx, name, err)
		return false
	}
	return true
}

func (s *Sync) doomInside(ctx context.Context, dir string, depth int) bool {
	all := true
	inside, err := s.list(ctx, s.To, dir, func(e *Entry) bool {
		if ftp.CheckName(e.Name) != nil || !IsPart(e.Name) && !s.Filter.takes(join(dir, e.Name), e.Kind != File) {
			all = false
			return false
		}
		return true
	})
	if err != nil {
		s.unlist(ctx, dir, fault.As(err, "list %s", s.To))
		return false
	}
	defer func() { _ = inside.Close() }() // nothing is lost with it
	for e, err := range inside.All() {
		if err != nil {
			s.unlist(ctx, dir, err)
			return false
		}
		if !s.doom(ctx, join(dir, e.Name), e, depth+1) {
			all = false
		}
	}
	return all
}

// remove removes what is doomed, if everything before went well.
func (s *Sync) remove(ctx context.Context) {
	if s.doomed == nil {
		return
	}
	n := s.doomed.n
	switch {
	case s.unlisted || s.sum.Failed > 0:
		s.fail(ctx, "", fault.New(fault.Denied, "of %d to be deleted nothing was, because of the faults above", n).
			WithHint("run it again when they are mended"))
		return
	case s.MaxDelete >= 0 && n > s.MaxDelete:
		s.fail(ctx, "", fault.New(fault.Denied, "%d would be deleted, more than the %d of --max-delete: nothing was", n, s.MaxDelete).
			WithHint("look with --dry-run, then allow as many"))
		return
	}
	if err := s.doomed.flush(); err != nil {
		s.fail(ctx, "", err)
		return
	}
	next := s.doomed.read(0, s.doomed.size, 64<<10)
	for ctx.Err() == nil {
		e, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			s.fail(ctx, "", err)
			return
		}
		s.removeOne(ctx, e)
	}
	s.unblock(ctx)
}

func (s *Sync) removeOne(ctx context.Context, e Entry) {
	if !s.DryRun {
		err := s.again(ctx, func() error {
			if e.Kind == Folder {
				return s.To.RemoveFolder(ctx, e.Name)
			}
			return s.To.Remove(ctx, e.Name)
		})
		if err != nil && !notThere(err) { // then somebody else has
			s.fail(ctx, e.Name, err)
			return
		}
	}
	s.tell(Event{Action: Delete, Path: e.Name, Folder: e.Kind == Folder, Size: e.Size})
}

// unblock carries what had something of another kind in its place.
func (s *Sync) unblock(ctx context.Context) {
	if len(s.blocked) == 0 || s.sum.Failed > 0 {
		return
	}
	blocked := s.blocked
	s.work(ctx, func() {
		for _, src := range blocked {
			f := &folder{s: s, dir: dirOf(src.Name), depth: 0}
			src.Name = base(src.Name)
			f.entry(ctx, src, nil)
		}
	})
}
