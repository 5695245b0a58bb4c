package ftpio

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpclient"
)

// FTPSource takes files from a directory on an FTP server.
type FTPSource struct {
	FTPServer
	// Match is a pattern for names, see [CheckMatch]. Empty matches all.
	Match string

	times exactTimes
}

var _ flow.Source = (*FTPSource)(nil)

// Properties implements [flow.Source].
func (s *FTPSource) Properties() flow.SourceProperties {
	return flow.SourceProperties{Identity: s.identity()}
}

// List implements [flow.Source]. Times that the listing gives to the minute only
// are asked for one by one: no file is claimed under such a time, which changes its
// form as the file gets older.
func (s *FTPSource) List(ctx context.Context) iter.Seq2[flow.File, error] {
	return func(yield func(flow.File, error) bool) {
		left := false
		err := s.with(ctx, func(c *ftpclient.Conn) error {
			var coarse []ftp.Entry
			for e, err := range c.List(ctx, s.Directory) {
				if err != nil {
					return err
				}
				switch {
				case e.Type != ftp.File || ftp.CheckName(e.Name) != nil || !takes(s.Match, e.Name):
				case e.TimePrecision > time.Second || e.TimePrecision == 0 || e.Size < 0:
					if coarse = append(coarse, e); len(coarse) > maxCoarse {
						return fault.New(fault.Full, "directory lists over %d files without exact times", maxCoarse).
							WithHint("narrow match:, or spread the files over several directories")
					}
				default:
					if left = !yield(file(e), nil); left {
						return nil
					}
				}
			}
			s.times.begin()
			defer s.times.end()
			for _, e := range coarse {
				f, there, err := s.exact(ctx, c, e)
				if err != nil {
					return err
				}
				if there {
					if left = !yield(f, nil); left {
						return nil
					}
				}
			}
			return nil
		})
		if err != nil && !left {
			yield(flow.File{}, fault.As(err, "list %q at %s", s.Directory, s.Name))
		}
	}
}

// maxCoarse bounds the entries of one listing that wait for their exact times.
const maxCoarse = 500_000

func file(e ftp.Entry) flow.File {
	return flow.File{Path: flow.Path(e.Name), Size: e.Size, Time: e.Time.UTC()}
}

// exact asks for an entry's exact time, unless it is known.
func (s *FTPSource) exact(ctx context.Context, c *ftpclient.Conn, e ftp.Entry) (flow.File, bool, error) {
	f := file(e)
	if t, ok := s.times.get(e); ok {
		f.Time = t
		return f, true, nil
	}
	got, there, err := s.stat(ctx, c, f.Path)
	if err != nil || !there {
		return f, false, err
	}
	if got.Size >= 0 {
		f.Size = got.Size
	}
	// A server that does not tell exact times tells none when asked for one file
	// either: then the size has to do, here and in Unchanged.
	f.Time = got.Time.UTC()
	if got.Time.IsZero() {
		f.Time = time.Time{}
	}
	if f.Size == e.Size {
		s.times.put(e, f.Time)
	}
	return f, true, nil
}

// Open implements [flow.Source].
func (s *FTPSource) Open(ctx context.Context, f flow.File) (io.ReadCloser, error) {
	c, err := s.Pool.Get(ctx)
	if err != nil {
		return nil, notGone(err)
	}
	d, err := c.Retr(ctx, s.path(f.Path), 0)
	if err != nil {
		defer s.Pool.Put(c)
		if !refused(err) {
			return nil, notGone(err)
		}
		// "550" to RETR has many reasons; ask whether the file is there.
		if _, there, serr := s.stat(ctx, c, f.Path); serr == nil && there && fault.KindOf(err) == fault.NotFound {
			return nil, fault.Wrap(fault.Denied, err, "read a file that is there")
		}
		return nil, err
	}
	return &download{d, s.Pool, c}, nil
}

// notGone keeps trouble with the connection apart from a file that is not there.
func notGone(err error) error {
	if fault.KindOf(err) == fault.NotFound {
		return fault.Wrap(fault.Unreachable, err, "reach the server")
	}
	return err
}

// download gives its connection back when it is closed.
type download struct {
	*ftpclient.Download
	pool *ftpclient.Pool
	c    *ftpclient.Conn
}

func (d *download) Close() error {
	if d.c == nil {
		return nil
	}
	err := d.Download.Close()
	d.pool.Put(d.c)
	d.c = nil
	return err
}

// Unchanged implements [flow.Source].
func (s *FTPSource) Unchanged(ctx context.Context, f flow.File) (same bool, err error) {
	err = s.with(ctx, func(c *ftpclient.Conn) error {
		e, there, err := s.stat(ctx, c, f.Path)
		if err != nil {
			return notGone(err)
		}
		if !there {
			return gone(f)
		}
		same = e.Type == ftp.File && (f.Size < 0 || e.Size < 0 || e.Size == f.Size) && (f.Time.IsZero() || e.Time.IsZero() || e.Time.Equal(f.Time))
		return nil
	})
	if err == nil && !same {
		s.times.forget(string(f.Path))
	}
	return same, err
}

func gone(f flow.File) error { return fault.New(fault.NotFound, "%q is not there any more", f.Path) }

// Delete implements [flow.Source].
func (s *FTPSource) Delete(ctx context.Context, f flow.File) error {
	return s.with(ctx, func(c *ftpclient.Conn) error {
		return s.orGone(ctx, c, f, c.Delete(ctx, s.path(f.Path)))
	})
}

// Move implements [flow.Source].
func (s *FTPSource) Move(ctx context.Context, f flow.File, to flow.Path) error {
	return s.with(ctx, func(c *ftpclient.Conn) error {
		return s.orGone(ctx, c, f, s.renameNew(ctx, c, f.Path, to))
	})
}

// orGone finds out what a refusal means: servers say 550 to everything.
func (s *FTPSource) orGone(ctx context.Context, c *ftpclient.Conn, f flow.File, err error) error {
	if err == nil || !refused(err) {
		return err
	}
	_, there, serr := s.stat(ctx, c, f.Path)
	switch {
	case serr != nil:
		return errors.Join(err, serr)
	case !there:
		return gone(f)
	case fault.KindOf(err) == fault.NotFound:
		return fault.Wrap(fault.Denied, err, "change a file that is there")
	}
	return err
}

// exactTimes remembers times that were asked for one by one. A remembered time is
// believed only if it was asked for when the listed minute was surely over: then
// whatever changes the file later changes the listing.
type exactTimes struct {
	mu    sync.Mutex // guards the following
	gen   int
	times map[string]exactTime
}

type exactTime struct {
	listed  ftp.Entry
	exact   time.Time
	first   time.Time // when it was first asked for, by our own clock
	settled bool
	gen     int
}

// settle is longer than the minute that listings tell.
const settle = 2 * time.Minute

func (x *exactTimes) begin() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.gen++
}

// end forgets what was not listed any more.
func (x *exactTimes) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for n, t := range x.times {
		if t.gen != x.gen {
			delete(x.times, n)
		}
	}
}

func (x *exactTimes) get(e ftp.Entry) (time.Time, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	t, ok := x.times[e.Name]
	if !ok || t.listed.Size != e.Size || !t.listed.Time.Equal(e.Time) || !t.settled {
		return time.Time{}, false
	}
	t.gen = x.gen
	x.times[e.Name] = t
	return t.exact, true
}

func (x *exactTimes) put(e ftp.Entry, exact time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.times == nil {
		x.times = make(map[string]exactTime)
	}
	now := time.Now()
	t, ok := x.times[e.Name]
	if !ok || t.listed.Size != e.Size || !t.listed.Time.Equal(e.Time) {
		t = exactTime{listed: e, first: now}
	}
	t.exact, t.gen = exact, x.gen
	t.settled = now.Sub(t.first) > settle
	x.times[e.Name] = t
}

func (x *exactTimes) forget(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.times, name)
}
