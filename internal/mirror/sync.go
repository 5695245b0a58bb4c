package mirror

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
)

// maxDepth bounds folders within folders: a link may make a ring of them.
const maxDepth = 128

// Sync makes what is in From be in To. Its fields must not change once it runs; it
// runs once.
type Sync struct {
	From, To Store
	Filter   Filter
	// Delete removes from To what is not in From, after everything else, and only if
	// all of that went well.
	Delete bool
	// MaxDelete is the most that Delete may remove, files and folders counted; more,
	// and nothing is removed. Below 0: any number, but not everything because From is
	// empty.
	MaxDelete int64
	// DryRun tells what would be done and does nothing.
	DryRun bool
	// Force carries files, too, whose size and time are the same.
	Force bool
	// Checksum compares files by what is in them rather than by their times.
	Checksum bool
	// Parallel is how many files are carried at once. Zero means 1.
	Parallel int
	// Retries is how often a fault that can pass is tried again, for each file and
	// listing.
	Retries int
	// Pause is before the first of them; the others are longer. Zero means 1 s.
	Pause  time.Duration
	Report Reporter

	from, to Habits
	jobs     chan job

	mu       sync.Mutex // guards the following
	sum      Summary
	doomed   *spool  // what Delete removes, folders after what is in them
	blocked  []Entry // that go to To once something else was removed there
	unlisted bool    // a folder was not compared
}

// Run compares the two stores and carries what differs. The error is one that let
// nothing begin, or that ended everything; faults of single files are in the summary
// and have been reported.
func (s *Sync) Run(ctx context.Context) (Summary, error) {
	if err := s.Filter.Check(); err != nil {
		return s.sum, err
	}
	there := true
	begin := func() (err error) {
		if s.from, err = s.From.Habits(ctx); err != nil {
			return err
		}
		if s.to, err = s.To.Habits(ctx); err != nil {
			return err
		}
		there, err = s.top(ctx)
		return err
	}
	if err := s.again(ctx, begin); err != nil {
		return s.sum, err
	}
	defer func() {
		if s.doomed != nil {
			_ = s.doomed.close() // nothing is lost with it
		}
	}()
	s.work(ctx, func() { s.walk(ctx, "", there, 0) })
	if ctx.Err() == nil && s.Delete {
		s.remove(ctx)
	}
	return s.end(ctx)
}

func (s *Sync) end(ctx context.Context) (Summary, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return s.sum, fault.As(context.Cause(ctx), "carrying files")
	}
	return s.sum, nil
}

// Pair is a file of From and its name in To.
type Pair struct {
	Src  Entry
	From string
	To   string
}

// Copy carries the given files alone, those that are the same left out. The folders
// they go to must be there.
func (s *Sync) Copy(ctx context.Context, pairs iter.Seq2[Pair, error]) (Summary, error) {
	var err error
	if s.from, err = s.From.Habits(ctx); err != nil {
		return s.sum, err
	}
	if s.to, err = s.To.Habits(ctx); err != nil {
		return s.sum, err
	}
	s.work(ctx, func() {
		for p, perr := range pairs {
			if perr != nil {
				err = perr
				return
			}
			if ctx.Err() != nil {
				return
			}
			s.pair(ctx, p)
		}
	})
	if err != nil {
		return s.sum, err
	}
	return s.end(ctx)
}

func (s *Sync) pair(ctx context.Context, p Pair) {
	if err := s.To.Hold(base(p.To)); err != nil {
		s.fail(ctx, p.To, err)
		return
	}
	var dst Entry
	err := s.again(ctx, func() (err error) { dst, err = s.To.Stat(ctx, p.To); return err })
	switch {
	case notThere(err):
	case err != nil:
		s.fail(ctx, p.To, err)
		return
	case dst.Kind != File:
		s.fail(ctx, p.To, fault.New(fault.Exists, "there is a %s of that name", dst.Kind))
		return
	case !s.Force && s.same(p.Src, dst):
		s.tell(Event{Action: Same, Path: p.To, Size: p.Src.Size})
		return
	}
	s.give(ctx, job{from: p.From, to: p.To, src: p.Src})
}

// work runs do, which gives out jobs, beside those who do them.
func (s *Sync) work(ctx context.Context, do func()) {
	s.jobs = make(chan job)
	var wg sync.WaitGroup
	for range max(s.Parallel, 1) {
		wg.Go(func() {
			for j := range s.jobs {
				s.carry(ctx, j)
			}
		})
	}
	do()
	close(s.jobs)
	wg.Wait()
}

func (s *Sync) give(ctx context.Context, j job) {
	select {
	case s.jobs <- j:
	case <-ctx.Done():
	}
}

// top makes sure of the two folders themselves, and reports whether To's is there.
func (s *Sync) top(ctx context.Context) (bool, error) {
	e, err := s.From.Stat(ctx, "")
	if err == nil && e.Kind != Folder {
		err = fault.New(fault.Invalid, "it is a %s and no folder", e.Kind).WithHint("use get or put for single files")
	}
	if err != nil {
		return false, fault.As(err, "look at %s", s.From)
	}
	e, err = s.To.Stat(ctx, "")
	switch {
	case err == nil && e.Kind == Folder:
		return true, nil
	case err == nil:
		return false, fault.New(fault.Exists, "%s is a %s and no folder", s.To, e.Kind)
	case !notThere(err):
		return false, fault.As(err, "look at %s", s.To)
	case s.DryRun:
		return false, nil
	}
	return true, s.To.MakeFolder(ctx, "")
}

func (s *Sync) tell(e Event) {
	s.mu.Lock()
	s.sum.count(e)
	s.mu.Unlock()
	s.Report.Event(e)
}

// fail tells of a fault. What an interruption caused is none.
func (s *Sync) fail(ctx context.Context, path string, err error) {
	if ctx.Err() != nil {
		return
	}
	s.tell(Event{Action: Fail, Path: path, Err: err})
}

// same reports whether two files need not be told apart: their sizes are the same,
// and their times as far as both are known.
func (s *Sync) same(src, dst Entry) bool {
	if src.Size < 0 || src.Size != dst.Size {
		return false
	}
	if src.Time.IsZero() || dst.Time.IsZero() {
		return true
	}
	tolerance := max(src.Precision, dst.Precision, time.Second)
	diff := dst.Time.Sub(src.Time)
	if !s.to.KeepsTimes { // then it is the time at which it came there
		return diff > -tolerance
	}
	return diff <= tolerance && diff >= -tolerance
}

var errDeep = fault.New(fault.Invalid, "there are more than %d folders within one another", maxDepth).
	WithHint("a link that leads back makes a ring: leave it out with --exclude")

// list reads a whole folder, sorted by key.
func (s *Sync) list(ctx context.Context, st Store, dir string, take func(*Entry) bool) (*Sorted, error) {
	var out *Sorted
	err := s.again(ctx, func() error {
		if out != nil {
			_ = out.Close() // of an attempt that failed
		}
		out = NewSorted(s.compare)
		for e, err := range st.List(ctx, dir) {
			if err != nil {
				return err
			}
			if take(&e) {
				if err := out.Add(&e); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return out, nil
}
