package flow

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"sync"

	"sallyport.dev/internal/fault"
)

// bufferSize is the size of the buffers that bodies pass through, in bytes.
const bufferSize = 128 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// Copy copies src to dst through one buffer of 128 KiB. Adapters use it, so that
// bodies of any size take the same memory.
func Copy(dst io.Writer, src io.Reader) (int64, error) {
	b, _ := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	// Hidden behind plain interfaces, since ReadFrom and WriteTo bring buffers of their own.
	return io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, *b)
}

// write brings the file under its temporary names, verifies it, and records the
// intent to publish it.
func (l *lane) write(ctx context.Context, t *Transfer) error {
	todo, err := l.wanted(ctx, t)
	if err != nil {
		return err
	}
	if len(todo) == 0 {
		return l.deliver(ctx, t)
	}
	Arrow("begun", t.ID)
	body, err := l.f.Source.Open(ctx, t.File)
	if fault.KindOf(err) == fault.NotFound {
		return l.void(ctx, t, Vanished)
	}
	if err != nil {
		return fault.As(err, "open %q", t.File.Path)
	}
	Arrow("opened", t.ID)
	s := stream{l: l, t: t, p: l.progressOf(t.ID), todo: todo}
	if err := s.run(ctx, body); err != nil {
		if ctx.Err() == nil {
			l.discard(ctx, t)
		}
		return err
	}
	Arrow("written", t.ID)
	ended, err := l.verifySource(ctx, t, s.raw)
	if err != nil || ended {
		return err
	}
	Arrow("verified", t.ID)
	t.Size, t.Hash, t.State = s.size, s.hash, Intent
	if err := l.update(ctx, t); err != nil {
		return err
	}
	Arrow("intent", t.ID)
	return nil
}

// wanted returns the outputs that are to be written. The look at the final name
// saves a useless upload; what decides is Publish.
func (l *lane) wanted(ctx context.Context, t *Transfer) ([]int, error) {
	var todo []int
	for i := range t.Outputs {
		o := &t.Outputs[i]
		if o.Delivered || o.Ignored {
			continue
		}
		if o.Existing != Replace && !l.sink(i).Properties().Blind {
			look, err := l.sink(i).Look(ctx, o.Final, false)
			if err != nil {
				return nil, fault.As(err, "look at %q", o.Final)
			}
			if look.There && o.Existing == Fail {
				return nil, fault.New(fault.Exists, "%q is already at %s", o.Final, o.Sink).
					WithHint("take that file away and retry, or set existing: replace or existing: ignore")
			}
			if look.There {
				o.Ignored, o.Temp = true, ""
				continue
			}
		}
		todo = append(todo, i)
	}
	return todo, nil
}

// verifySource asks whether what was read is the file that was claimed. If it is
// not, the transfer ends here: the newer file is a transfer of its own.
func (l *lane) verifySource(ctx context.Context, t *Transfer, read int64) (ended bool, err error) {
	same, err := l.f.Source.Unchanged(ctx, t.File)
	gone := fault.KindOf(err) == fault.NotFound
	whole := t.File.Size < 0 || t.File.Size == read
	switch {
	case err != nil && !gone:
		return false, fault.As(err, "look at %q again", t.File.Path)
	case gone && whole:
		return false, nil // taken away meanwhile, but we have it whole
	case gone:
		l.discard(ctx, t)
		return true, l.void(ctx, t, Vanished)
	case !same:
		l.discard(ctx, t)
		return true, l.void(ctx, t, Superseded)
	case !whole:
		l.discard(ctx, t)
		return false, fault.New(fault.Unreachable, "read %d of %d bytes of %q", read, t.File.Size, t.File.Path)
	}
	return false, nil
}

// stream is one body on its way to the sinks.
type stream struct {
	l    *lane
	t    *Transfer
	p    *progress
	todo []int

	raw  int64 // bytes read from the source
	size int64 // bytes that came out of the steps
	hash Hash  // SHA-256 of those
}

func (s *stream) run(ctx context.Context, body io.ReadCloser) (err error) {
	src := &whole{r: body, p: s.p}
	defer func() {
		if cerr := src.close(); err == nil && cerr != nil {
			err = fault.As(cerr, "end reading %q", s.t.File.Path)
		}
	}()
	var r io.Reader = src
	for _, step := range s.l.f.Steps {
		if r, err = step(ctx, s.t.File, r); err != nil {
			return fault.As(err, "begin a step for %q", s.t.File.Path)
		}
	}
	sum := sha256.New()
	counted := &counting{r: io.TeeReader(r, sum)}
	written := make([]Written, len(s.todo))
	if len(s.todo) == 1 {
		written[0], err = s.writeTo(ctx, 0, counted)
	} else {
		err = s.fanOut(ctx, counted, written)
	}
	if err != nil {
		return err
	}
	if !src.ended {
		return fault.New(fault.Internal, "a sink or step took %q for finished before its end", s.t.File.Path)
	}
	s.raw, s.size, s.hash = src.n, counted.n, sum.Sum(nil)
	for i, w := range written {
		if w.Size >= 0 && w.Size != s.size {
			return fault.New(fault.Unreachable, "%s holds %d of %d bytes of %q", s.output(i).Sink, w.Size, s.size, s.output(i).Temp)
		}
		if w.Hash != nil && string(w.Hash) != string(s.hash) {
			return fault.New(fault.Unreachable, "%s holds other bytes than were sent for %q", s.output(i).Sink, s.output(i).Temp)
		}
	}
	return nil
}

func (s *stream) output(i int) *Output { return &s.t.Outputs[s.todo[i]] }

func (s *stream) writeTo(ctx context.Context, i int, r io.Reader) (Written, error) {
	o := s.output(i)
	w, err := s.l.sink(s.todo[i]).Write(ctx, o.Temp, r)
	if err != nil {
		return w, fault.As(err, "write %q for %q", o.Temp, o.Final)
	}
	return w, nil
}

// errOther ends the writing to a sink because another one has failed.
var errOther = errors.New("another sink has failed")

// fanOut writes one body to several sinks at the pace of the slowest.
func (s *stream) fanOut(ctx context.Context, r io.Reader, written []Written) error {
	errs := make([]error, len(s.todo))
	pipes := make([]*io.PipeWriter, len(s.todo))
	outs := make([]io.Writer, len(s.todo))
	var wg sync.WaitGroup
	for i := range s.todo {
		pr, pw := io.Pipe()
		pipes[i], outs[i] = pw, pw
		wg.Go(func() {
			written[i], errs[i] = s.writeTo(ctx, i, pr)
			pr.CloseWithError(errOther) // nobody reads on; an unfinished copy ends here
		})
	}
	_, err := Copy(io.MultiWriter(outs...), r)
	for _, pw := range pipes {
		switch {
		case err == nil:
			pw.CloseWithError(io.EOF)
		case errors.Is(err, errOther):
			pw.CloseWithError(errOther)
		default:
			pw.CloseWithError(err)
		}
	}
	wg.Wait()
	for _, werr := range errs {
		if werr != nil && !errors.Is(werr, errOther) {
			return werr
		}
	}
	return err
}

// whole reads a source's body and gives the end of file only when closing the body
// has confirmed it: no sink completes what was cut.
type whole struct {
	r      io.ReadCloser
	p      *progress
	n      int64
	ended  bool // the end was seen and confirmed
	closed bool
	err    error
}

func (w *whole) Read(b []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.r.Read(b)
	w.n += int64(n)
	w.p.bytes.Store(w.n)
	if err == nil {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		if cerr := w.close(); cerr != nil {
			err = cerr
		} else {
			w.ended, err = true, io.EOF
		}
	}
	w.err = err
	if n > 0 {
		return n, nil // the error comes with the next call
	}
	return 0, err
}

func (w *whole) close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	err := w.r.Close()
	if w.err != nil {
		return nil // already failed: that is what counts
	}
	return err
}

// counting counts what passes.
type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
