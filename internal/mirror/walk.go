package mirror

import (
	"cmp"
	"context"
	"iter"
	"strings"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// key is what names of both stores are compared by.
func (s *Sync) key(name string) string {
	if s.to.Folds {
		return strings.ToLower(name)
	}
	return name
}

func (s *Sync) compare(a, b *Entry) int { return cmp.Compare(s.key(a.Name), s.key(b.Name)) }

// folder is the comparison of one folder.
type folder struct {
	s     *Sync
	dir   string
	depth int
	parts map[string][]Entry // in To, by the stem of the file's name
}

// maxParts bounds the parts that are remembered of one folder.
const maxParts = 4096

// walk compares a folder, which is there in To or not, and what is below it.
func (s *Sync) walk(ctx context.Context, dir string, there bool, depth int) {
	if ctx.Err() != nil {
		return
	}
	if depth > maxDepth {
		s.unlist(ctx, dir, errDeep)
		return
	}
	f := &folder{s: s, dir: dir, depth: depth, parts: map[string][]Entry{}}
	src, err := s.list(ctx, s.From, dir, func(e *Entry) bool {
		return !IsPart(e.Name) && s.Filter.takes(join(dir, e.Name), e.Kind != File)
	})
	if err != nil {
		s.unlist(ctx, dir, fault.As(err, "list %s", s.From))
		return
	}
	defer func() { _ = src.Close() }() // nothing is lost with it
	dst := NewSorted(s.compare)
	if there {
		if dst, err = s.list(ctx, s.To, dir, f.take); err != nil {
			s.unlist(ctx, dir, fault.As(err, "list %s", s.To))
			return
		}
	}
	defer func() { _ = dst.Close() }() // as above
	if depth == 0 && s.Delete && s.MaxDelete < 0 && dir == "" && nothing(src) && !nothing(dst) {
		s.unlist(ctx, dir, fault.New(fault.Denied, "%s is empty, and --delete would remove everything", s.From).
			WithHint("if that is meant, say how much may be removed: --max-delete N"))
		return
	}
	f.merge(ctx, src, dst)
}

// nothing reports whether a listing has no entries.
func nothing(l *Sorted) bool { return l.disk == nil && len(l.held) == 0 }

// take says which entries of To are compared, and remembers parts.
func (f *folder) take(e *Entry) bool {
	if of := partOf(e.Name); of != "" {
		if len(f.parts) < maxParts {
			f.parts[of] = append(f.parts[of], *e)
		}
		return false
	}
	// A name that cannot be sent back is not ours to touch.
	return ftp.CheckName(e.Name) == nil && f.s.Filter.takes(join(f.dir, e.Name), e.Kind != File)
}

// unlist tells of a folder that was not compared. After that nothing is removed.
func (s *Sync) unlist(ctx context.Context, dir string, err error) {
	s.mu.Lock()
	s.unlisted = true
	s.mu.Unlock()
	s.fail(ctx, dir, err)
}

// merge goes through both listings side by side.
func (f *folder) merge(ctx context.Context, src, dst *Sorted) {
	nextSrc, stopSrc := iter.Pull2(src.All())
	defer stopSrc()
	nextDst, stopDst := iter.Pull2(dst.All())
	defer stopDst()
	a, aerr, aok := nextSrc()
	b, berr, bok := nextDst()
	for (aok || bok) && ctx.Err() == nil {
		if aok && aerr != nil || bok && berr != nil {
			f.s.unlist(ctx, f.dir, cmp.Or(aerr, berr))
			return
		}
		switch c := f.order(&a, &b, aok, bok); {
		case c < 0:
			e := a
			a, aerr, aok = nextSrc()
			if aok && aerr == nil && f.s.compare(&a, &e) == 0 {
				a, aerr, aok = f.collide(ctx, e, a, nextSrc)
				continue
			}
			f.entry(ctx, e, nil)
		case c > 0:
			// Links were taken whatever the filter includes, to be seen above.
			if f.s.Delete && f.s.Filter.takes(join(f.dir, b.Name), b.Kind == Folder) {
				f.s.doom(ctx, join(f.dir, b.Name), b, f.depth)
			}
			b, berr, bok = nextDst()
		default:
			e, d := a, b
			a, aerr, aok = nextSrc()
			b, berr, bok = nextDst()
			if aok && aerr == nil && f.s.compare(&a, &e) == 0 {
				a, aerr, aok = f.collide(ctx, e, a, nextSrc)
				continue
			}
			f.entry(ctx, e, &d)
		}
	}
}

// order says which of the two heads comes first.
func (f *folder) order(a, b *Entry, aok, bok bool) int {
	switch {
	case !aok:
		return 1
	case !bok:
		return -1
	default:
		return f.s.compare(a, b)
	}
}

// collide refuses names of the source that are one name in To, and returns the
// entry after them.
func (f *folder) collide(ctx context.Context, first, second Entry, next func() (Entry, error, bool)) (Entry, error, bool) {
	refuse := func(e, other Entry) {
		f.s.fail(ctx, join(f.dir, e.Name), fault.New(fault.Exists, "%q and %q would be one name in %s", e.Name, other.Name, f.s.To).
			WithHint("rename one of them at the source, or leave one out with --exclude"))
	}
	refuse(first, second)
	for {
		refuse(second, first)
		e, err, ok := next()
		if !ok || err != nil || f.s.compare(&e, &first) != 0 {
			return e, err, ok
		}
		second = e
	}
}

// entry sees to one name of the source; dst is what To has under it, or nil.
func (f *folder) entry(ctx context.Context, src Entry, dst *Entry) {
	s, name := f.s, join(f.dir, src.Name)
	err := ftp.CheckName(src.Name)
	if err == nil {
		err = s.To.Hold(src.Name)
	}
	if err != nil {
		s.fail(ctx, name, err)
		return
	}
	if src.Kind == Link {
		e, err := s.From.Stat(ctx, name)
		switch {
		case err != nil && fault.KindOf(err).Temporary():
			s.unlist(ctx, name, err)
			return
		case err != nil:
			s.tell(Event{Action: Skip, Path: name, Why: "it is a link that leads to nothing within the source"})
			return
		case e.Kind == Folder:
			s.tell(Event{Action: Skip, Path: name, Why: "it is a link to a folder"})
			return
		}
		e.Name = src.Name
		src = e
		if !s.Filter.takes(name, false) {
			return
		}
	}
	switch src.Kind {
	case File:
		f.file(ctx, src, dst)
	case Folder:
		f.folder(ctx, src, dst)
	default:
		s.tell(Event{Action: Skip, Path: name, Why: "it is neither file nor folder"})
	}
}

func (f *folder) file(ctx context.Context, src Entry, dst *Entry) {
	s, name := f.s, join(f.dir, src.Name)
	j := job{from: name, to: name, src: src, known: true}
	if dst != nil {
		j.to = join(f.dir, dst.Name) // which may differ in case
		switch {
		case dst.Kind == Folder || dst.Kind == Other:
			f.block(ctx, src, dst)
			return
		case dst.Kind == Link: // replaced, not written through
		default:
			same, err := s.identical(ctx, name, j.to, src, *dst)
			if err != nil {
				s.fail(ctx, name, err)
				return
			}
			if same {
				s.tell(Event{Action: Same, Path: name, Size: src.Size})
				return
			}
		}
	}
	want := base(partName(j.to, s.source(j.from), src))
	for _, p := range f.parts[stem(base(j.to))] {
		if p.Name == want {
			j.part = p.Size
		} else {
			j.old = append(j.old, join(f.dir, p.Name))
		}
	}
	if len(f.parts) == maxParts {
		j.known = false
	}
	s.give(ctx, j)
}

func (f *folder) folder(ctx context.Context, src Entry, dst *Entry) {
	s, name := f.s, join(f.dir, src.Name)
	switch {
	case dst == nil:
		if !s.DryRun {
			if err := s.again(ctx, func() error { return s.To.MakeFolder(ctx, name) }); err != nil {
				s.unlist(ctx, name, err)
				return
			}
		}
		s.tell(Event{Action: Make, Path: name, Folder: true})
		s.walk(ctx, name, false, f.depth+1)
	case dst.Kind == Folder && dst.Name == src.Name:
		s.walk(ctx, name, true, f.depth+1)
	case dst.Kind == Folder:
		s.unlist(ctx, name, fault.New(fault.Exists, "the folder is called %q in %s", dst.Name, s.To).
			WithHint("rename it there"))
	default:
		f.block(ctx, src, dst)
	}
}

// block sees to a name that is taken by something of another kind.
func (f *folder) block(ctx context.Context, src Entry, dst *Entry) {
	s, name := f.s, join(f.dir, src.Name)
	if !s.Delete || dst.Kind == Other {
		s.unlist(ctx, name, fault.New(fault.Exists, "it is a %s, and a %s in %s", src.Kind, dst.Kind, s.To).
			WithHint("take it away there, or let --delete do that"))
		return
	}
	s.doom(ctx, join(f.dir, dst.Name), *dst, f.depth)
	s.mu.Lock()
	defer s.mu.Unlock()
	src.Name = name
	s.blocked = append(s.blocked, src)
}
