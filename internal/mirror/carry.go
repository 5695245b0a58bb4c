package mirror

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
)

// job is one file to carry.
type job struct {
	from, to string
	src      Entry
	known    bool  // part says how long the part is; otherwise the store is asked
	part     int64 // bytes
	old      []string
}

// carry brings one file over, whole or not at all, trying again where that can help.
func (s *Sync) carry(ctx context.Context, j job) {
	if s.DryRun {
		s.tell(Event{Action: Copy, Path: j.to, Size: j.src.Size})
		return
	}
	var size, resumed int64
	first := true
	err := s.again(ctx, func() error {
		if !first { // it may have changed, and the part grown
			e, err := s.From.Stat(ctx, j.from)
			if err != nil {
				return err
			}
			e.Precision = max(e.Precision, j.src.Precision)
			if !e.Time.Truncate(e.Precision).Equal(j.src.Time.Truncate(e.Precision)) || e.Size != j.src.Size {
				j.src = e
			}
			j.known = false
		}
		first = false
		var err error
		size, resumed, err = s.attempt(ctx, j)
		return err
	})
	if err != nil {
		s.fail(ctx, j.to, err)
		return
	}
	s.tell(Event{Action: Copy, Path: j.to, Size: size, Resumed: resumed})
	for _, part := range j.old { // of what the file was earlier; not worth failing for
		if part != partName(j.to, s.source(j.from), j.src) {
			_ = s.To.Remove(ctx, part)
		}
	}
}

// source names the file for the name of its part.
func (s *Sync) source(from string) string { return s.From.String() + "\x00" + from }

// attempt brings one file over, going on with its part if there is one.
func (s *Sync) attempt(ctx context.Context, j job) (size, resumed int64, err error) {
	part := partName(j.to, s.source(j.from), j.src)
	if !resumable(j.src) {
		part = oncePartName(j.to)
		defer func() {
			if err != nil { // nothing could go on with it
				err = errors.Join(err, s.giveUp(ctx, s.To, part, nil))
			}
		}()
	}
	offset, err := s.begun(ctx, j, part)
	if err != nil {
		return 0, 0, err
	}
	size = offset
	if offset == 0 || offset < j.src.Size {
		n, err := s.bytes(ctx, j, part, offset)
		if err != nil {
			return 0, 0, err
		}
		size += n
	}
	has, err := sizeOf(ctx, s.To, part)
	switch {
	case err != nil:
		return 0, 0, fault.As(err, "look at what was written")
	case has >= 0 && has != size:
		return 0, 0, fault.New(fault.Unreachable, "%q has %d of %d bytes", part, has, size)
	}
	if !j.src.Time.IsZero() && s.to.KeepsTimes {
		if err := s.To.SetTime(ctx, part, j.src.Time); err != nil && (fault.KindOf(err).Temporary() || ctx.Err() != nil) {
			return 0, 0, err
		} // a server that does not set times may go on
	}
	return size, offset, s.publish(ctx, part, j.to, size)
}

// sizer is a store that tells sizes more quickly than by Stat.
type sizer interface {
	size(ctx context.Context, name string) (int64, error)
}

// sizeOf returns how long a file is, -1 if the store does not tell.
func sizeOf(ctx context.Context, st Store, name string) (int64, error) {
	if q, ok := st.(sizer); ok {
		return q.size(ctx, name)
	}
	e, err := st.Stat(ctx, name)
	return e.Size, err
}

// begun returns how much of the file there is already.
func (s *Sync) begun(ctx context.Context, j job, part string) (int64, error) {
	switch {
	case !resumable(j.src):
		return 0, nil
	case !j.known:
		e, err := s.To.Stat(ctx, part)
		switch {
		case err == nil && e.Kind == File:
			j.part = e.Size
		case err == nil || notThere(err):
			j.part = 0
		default:
			return 0, err
		}
	}
	if j.part < 0 || j.part > j.src.Size {
		return 0, nil
	}
	return j.part, nil
}

// bytes copies the file from offset on into its part and returns how many bytes.
func (s *Sync) bytes(ctx context.Context, j job, part string, offset int64) (n int64, err error) {
	r, err := s.From.Open(ctx, j.from, offset)
	if err != nil {
		return 0, err
	}
	defer func() {
		// After an error what closing says adds nothing, and after the end it says nothing.
		_ = r.Close()
	}()
	w, err := s.To.Create(ctx, part, offset)
	if err != nil {
		return 0, err
	}
	n, err = s.pump(w, r, j, offset)
	if err == nil && j.src.Size >= 0 && offset+n != j.src.Size {
		err = fault.As(errChanged, "%d of %d bytes were read", offset+n, j.src.Size)
	}
	if err != nil {
		_ = w.Abort() // err is what matters
		return 0, err
	}
	return n, w.Commit()
}

// pump copies, and counts if somebody wants to see it.
func (s *Sync) pump(w io.Writer, r io.Reader, j job, offset int64) (int64, error) {
	tick := s.Report.Begin(j.to, j.src.Size, offset)
	if tick == nil {
		return Pump(w, r, nil)
	}
	defer tick(-1)
	return Pump(w, r, tick)
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// Pump copies r to w. With count, every piece is counted and passes through this
// process; without, it may go through the kernel.
func Pump(w io.Writer, r io.Reader, count func(int64)) (int64, error) {
	if count == nil {
		if to, ok := r.(io.WriterTo); ok {
			if _, local := w.(*localWriter); local {
				return to.WriteTo(w)
			}
		}
		if from, ok := w.(io.ReaderFrom); ok {
			return from.ReadFrom(r)
		}
	}
	buf, _ := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	var total int64
	for {
		n, err := r.Read(*buf)
		if n > 0 {
			if m, werr := w.Write((*buf)[:n]); werr != nil {
				return total + int64(m), werr
			}
			total += int64(n)
			if count != nil {
				count(int64(n))
			}
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// publish gives the part the file's name. If the answer to that was lost, what is
// there decides.
func (s *Sync) publish(ctx context.Context, part, name string, size int64) error {
	err := s.To.Rename(ctx, part, name)
	if err == nil || !fault.KindOf(err).Temporary() || ctx.Err() != nil {
		return err
	}
	if _, perr := s.To.Stat(ctx, part); !notThere(perr) {
		return err
	}
	if e, nerr := s.To.Stat(ctx, name); nerr != nil || e.Kind != File || e.Size >= 0 && e.Size != size {
		return err
	}
	return nil
}

// again does something that may be done twice until it goes well, the pauses between
// growing, or trying again cannot help.
func (s *Sync) again(ctx context.Context, do func() error) error {
	wait := s.Pause
	if wait <= 0 {
		wait = time.Second
	}
	for left := s.Retries; ; left-- {
		err := do()
		if err == nil || left <= 0 || !fault.KindOf(err).Temporary() || ctx.Err() != nil {
			return err
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
		wait = min(2*wait, 30*time.Second)
	}
}
