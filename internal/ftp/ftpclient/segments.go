package ftpclient

import (
	"context"
	"io"
	"sync"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// minSegment is the least that is worth a connection of its own, in bytes.
const minSegment = 1 << 20

// RetrRange opens the n bytes of the file at path from offset on. The [Download] ends
// there, with io.EOF, and the rest is given up, which costs the server a broken
// transfer in its log; a file that is shorter gives io.ErrUnexpectedEOF.
func (c *Conn) RetrRange(ctx context.Context, path string, offset, n int64) (*Download, error) {
	if n < 0 {
		return nil, c.wrap(fault.New(fault.Invalid, "%d bytes from %d on are no range", n, offset), "read "+quote(path))
	}
	d, err := c.Retr(ctx, path, offset)
	if err != nil {
		return nil, err
	}
	d.ranged, d.left = true, n
	return d, nil
}

// RetrSegments reads the file at path into w, in up to segments parts at a time, each
// over a connection of its own, and returns its size. It is whole only if each of
// them is, and if the file's size and time afterwards are what they were before. A
// part whose connection is lost goes on where it was. Small files, and those of
// servers without REST, are read in one part.
func (p *Pool) RetrSegments(ctx context.Context, path string, segments int, w io.WriterAt) (int64, error) {
	s := &segmented{pool: p, path: path, w: w}
	before, rest, err := s.look(ctx)
	if err != nil {
		return 0, err
	}
	size := before.Size
	n := min(int64(max(segments, 1)), max(size/minSegment, 1))
	if !rest {
		n = 1
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for i := range n {
		from, to := size/n*i, size/n*(i+1)
		if i == n-1 {
			to = size
		}
		wg.Go(func() {
			if err := s.part(ctx, from, to, i == n-1); err != nil {
				cancel(err) // the first one stays
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	after, _, err := s.look(ctx)
	if err != nil {
		return 0, err
	}
	if after.Size != before.Size || !after.Time.Equal(before.Time) {
		return 0, s.changed()
	}
	return size, nil
}

// segmented is one file that is read in parts.
type segmented struct {
	pool *Pool
	path string
	w    io.WriterAt
}

func (s *segmented) changed() error {
	return fault.New(fault.Busy, "read %s from %s: the file changed while it was read", quote(s.path), s.pool.Config.Addr).
		WithHint("somebody is writing it; try again when it is complete")
}

// look asks for the file's size and time, and whether reading may begin in its middle.
func (s *segmented) look(ctx context.Context) (ftp.Entry, bool, error) {
	c, err := s.pool.Get(ctx)
	if err != nil {
		return ftp.Entry{}, false, err
	}
	defer s.pool.Put(c)
	e, err := c.Stat(ctx, s.path)
	if err == nil && (e.Type != ftp.File || e.Size < 0) {
		err = c.wrap(fault.New(fault.Invalid, "it is no file whose size is known"), "read "+quote(s.path))
	}
	return e, c.Features().RestStream, err
}

// part reads what lies between from and to. A connection that is lost costs what was
// under way, and a try if nothing came over it.
func (s *segmented) part(ctx context.Context, from, to int64, last bool) error {
	for tries := 0; ; {
		n, err := s.try(ctx, from, to, last)
		if from += n; n > 0 {
			tries = 0
		}
		tries++
		if err == nil || ctx.Err() != nil || tries == attempts || !fault.KindOf(err).Temporary() || from > to {
			return err
		}
	}
}

// try reads from..to over one connection, and returns how much of it is written.
func (s *segmented) try(ctx context.Context, from, to int64, last bool) (int64, error) {
	c, err := s.pool.Get(ctx)
	if err != nil {
		return 0, err
	}
	defer s.pool.Put(c)
	d, err := c.RetrRange(ctx, s.path, from, to-from)
	if err != nil {
		return 0, err
	}
	d.ranged = !last // the last part has to end with the file
	n, err := d.WriteTo(io.NewOffsetWriter(s.w, from))
	if err == nil && n != to-from {
		err = s.changed()
	}
	return n, err
}
