package mirror

import (
	"context"
	"errors"
	"io"

	"sallyport.dev/internal/fault"
)

// Send writes the file name of from to w, and goes on where it was cut. Retries and
// Report of s are used, and nothing else.
func (s *Sync) Send(ctx context.Context, from Store, name string, w io.Writer) (int64, error) {
	var sent int64
	var werr error
	e, err := from.Stat(ctx, name)
	if err != nil {
		e.Size = -1 // what cannot be looked at may be read all the same
	}
	err = s.again(ctx, func() error {
		r, err := from.Open(ctx, name, sent)
		if err != nil {
			return err
		}
		n, err := s.pump(&failing{w, &werr}, r, job{to: name, src: e}, sent)
		sent += n
		if cerr := r.Close(); err == nil {
			err = cerr
		}
		if werr != nil { // nobody is left to read
			return fault.Wrap(fault.Invalid, werr, "write %q out", name)
		}
		return err
	})
	if err == nil && e.Size >= 0 && sent != e.Size {
		err = fault.New(fault.Unreachable, "%q had %d bytes and %d came", name, e.Size, sent)
	}
	return sent, err
}

// failing keeps the error of a writer apart from those of a reader.
type failing struct {
	w   io.Writer
	err *error
}

func (f *failing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err != nil {
		*f.err = err
	}
	return n, err
}

// Receive makes the file name in to of what r gives. It appears when it is whole; a
// part of it, which nothing could go on with, does not stay.
func (s *Sync) Receive(ctx context.Context, to Store, name string, r io.Reader) (int64, error) {
	part := oncePartName(name)
	w, err := to.Create(ctx, part, 0)
	if err != nil {
		return 0, err
	}
	n, err := s.pump(w, r, job{to: name, src: Entry{Size: -1}}, 0)
	if err != nil {
		return 0, errors.Join(err, s.giveUp(ctx, to, part, w.Abort()))
	}
	if err = w.Commit(); err == nil {
		var e Entry
		if e, err = to.Stat(ctx, part); err == nil && e.Size >= 0 && e.Size != n {
			err = fault.New(fault.Unreachable, "%q has %d of %d bytes", part, e.Size, n)
		}
	}
	if err == nil {
		err = to.Rename(ctx, part, name)
	}
	if err != nil {
		return 0, errors.Join(err, s.giveUp(ctx, to, part, nil))
	}
	return n, nil
}

// giveUp removes a part. An interruption leaves it where it is; what the abort says
// is worth less than why there is one.
func (*Sync) giveUp(ctx context.Context, to Store, part string, _ error) error {
	if ctx.Err() != nil {
		return nil
	}
	if err := to.Remove(ctx, part); err != nil && !notThere(err) {
		return err
	}
	return nil
}
