package mirror

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"strings"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpclient"
)

// FTP is a folder on an FTP server.
type FTP struct {
	Pool *ftpclient.Pool
	// URL names the folder. Its Path is where the folder is, its password is not used.
	URL ftp.URL
}

// String implements [Store].
func (f *FTP) String() string { return f.URL.String() }

// path returns what the server calls name.
func (f *FTP) path(name string) string {
	dir := f.URL.Path
	if dir != "/" {
		dir = strings.TrimRight(dir, "/")
		if dir == "" && f.URL.Path != "" {
			dir = "/"
		}
	}
	switch {
	case name == "":
		return dir
	case dir == "/":
		return "/" + name
	default:
		return join(dir, name)
	}
}

// with runs do with a connection.
func (f *FTP) with(ctx context.Context, do func(*ftpclient.Conn) error) error {
	c, err := f.Pool.Get(ctx)
	if err != nil {
		return err
	}
	defer f.Pool.Put(c)
	return do(c)
}

// Habits implements [Store]. Whether names fold, no server tells.
func (f *FTP) Habits(ctx context.Context) (h Habits, err error) {
	err = f.with(ctx, func(c *ftpclient.Conn) error {
		h.KeepsTimes = c.Features().MFMT
		return nil
	})
	return h, err
}

// Hold implements [Store].
func (f *FTP) Hold(name string) error { return ftp.CheckName(name) }

// List implements [Store].
func (f *FTP) List(ctx context.Context, dir string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		c, err := f.Pool.Get(ctx)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer f.Pool.Put(c)
		for e, err := range c.List(ctx, f.path(dir)) {
			if !yield(ftpEntry(e), err) || err != nil {
				return
			}
		}
	}
}

func ftpEntry(e ftp.Entry) Entry {
	out := Entry{Name: e.Name, Kind: Other, Size: e.Size, Time: e.Time, Precision: e.TimePrecision}
	switch e.Type {
	case ftp.File:
		out.Kind = File
	case ftp.Dir, ftp.CurrentDir, ftp.ParentDir:
		out.Kind, out.Size = Folder, -1
	case ftp.Link:
		out.Kind = Link
	case ftp.Other:
	}
	return out
}

// Stat implements [Store].
func (f *FTP) Stat(ctx context.Context, name string) (out Entry, err error) {
	if f.path(name) == "" || f.path(name) == "/" {
		return Entry{Name: name, Kind: Folder, Size: -1}, nil
	}
	err = f.with(ctx, func(c *ftpclient.Conn) error {
		e, err := c.Stat(ctx, f.path(name))
		out = ftpEntry(e)
		out.Name = name
		return err
	})
	return out, err
}

// size asks with one command where Stat may need several.
func (f *FTP) size(ctx context.Context, name string) (n int64, err error) {
	err = f.with(ctx, func(c *ftpclient.Conn) error {
		n, err = c.Size(ctx, f.path(name))
		return err
	})
	var re *ftp.ReplyError
	if err != nil && errors.As(err, &re) { // a server without SIZE
		e, serr := f.Stat(ctx, name)
		return e.Size, serr
	}
	return n, err
}

// Open implements [Store].
func (f *FTP) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	c, err := f.Pool.Get(ctx)
	if err != nil {
		return nil, err
	}
	d, err := c.Retr(ctx, f.path(name), offset)
	if err != nil {
		f.Pool.Put(c)
		return nil, err
	}
	return &ftpReader{d, c, f.Pool}, nil
}

// ftpReader is a download that gives its connection back.
type ftpReader struct {
	*ftpclient.Download
	c    *ftpclient.Conn
	pool *ftpclient.Pool
}

// WriteTo implements [io.WriterTo], through the kernel where that can be.
func (r *ftpReader) WriteTo(w io.Writer) (int64, error) {
	if l, ok := w.(*localWriter); ok {
		return r.Download.WriteTo(l.File)
	}
	return r.Download.WriteTo(struct{ io.Writer }{w})
}

// Close implements [io.Closer].
func (r *ftpReader) Close() error {
	err := r.Download.Close()
	r.pool.Put(r.c)
	return err
}

// Create implements [Store].
func (f *FTP) Create(ctx context.Context, name string, offset int64) (Writer, error) {
	c, err := f.Pool.Get(ctx)
	if err != nil {
		return nil, err
	}
	u, err := c.Stor(ctx, f.path(name), offset)
	if err != nil {
		f.Pool.Put(c)
		return nil, err
	}
	return &ftpWriter{Upload: u, ctx: ctx, c: c, f: f, name: name, offset: offset}, nil
}

// ftpWriter is an upload that gives its connection back.
type ftpWriter struct {
	*ftpclient.Upload
	ctx    context.Context // of the upload, which has no other owner to be passed by
	c      *ftpclient.Conn
	f      *FTP
	name   string
	offset int64
}

// ReadFrom implements [io.ReaderFrom], through the kernel where that can be.
func (w *ftpWriter) ReadFrom(r io.Reader) (int64, error) {
	if file, ok := r.(*os.File); ok {
		return w.Upload.ReadFrom(file)
	}
	return w.Upload.ReadFrom(struct{ io.Reader }{r})
}

// Commit implements [Writer]. Where the server's last word was lost, the size that
// another connection is told decides.
func (w *ftpWriter) Commit() error {
	err := w.Upload.Commit()
	want := w.offset + w.N()
	w.f.Pool.Put(w.c)
	if err == nil || !errors.Is(err, ftpclient.ErrUnconfirmed) || w.ctx.Err() != nil {
		return err
	}
	if e, serr := w.f.Stat(w.ctx, w.name); serr != nil || e.Size != want {
		return errors.Join(err, serr)
	}
	return nil
}

// Abort implements [Writer].
func (w *ftpWriter) Abort() error {
	err := w.Upload.Abort()
	w.f.Pool.Put(w.c)
	return err
}

// Rename implements [Store]. Some servers rename onto nothing that is there: then
// the name is free for a moment, in which a crash leaves the part.
func (f *FTP) Rename(ctx context.Context, from, to string) error {
	return f.with(ctx, func(c *ftpclient.Conn) error {
		err := c.Rename(ctx, f.path(from), f.path(to))
		var re *ftp.ReplyError
		if err == nil || !errors.As(err, &re) {
			return err
		}
		old, serr := c.Stat(ctx, f.path(to))
		if serr != nil || old.Type != ftp.File {
			return err
		}
		if _, serr := c.Stat(ctx, f.path(from)); serr != nil {
			return errors.Join(err, serr) // nothing to put in its place
		}
		if err := c.Delete(ctx, f.path(to)); err != nil {
			return err
		}
		return c.Rename(ctx, f.path(from), f.path(to))
	})
}

// Remove implements [Store].
func (f *FTP) Remove(ctx context.Context, name string) error {
	return f.with(ctx, func(c *ftpclient.Conn) error { return c.Delete(ctx, f.path(name)) })
}

// RemoveFolder implements [Store].
func (f *FTP) RemoveFolder(ctx context.Context, name string) error {
	return f.with(ctx, func(c *ftpclient.Conn) error { return c.RemoveDir(ctx, f.path(name)) })
}

// MakeFolder implements [Store].
func (f *FTP) MakeFolder(ctx context.Context, name string) error {
	full := f.path(name)
	return f.with(ctx, func(c *ftpclient.Conn) error {
		if full == "" || full == "/" {
			return nil
		}
		return f.make(ctx, c, full, maxDepth)
	})
}

// make makes the folder at full after those above it that are not there.
func (f *FTP) make(ctx context.Context, c *ftpclient.Conn, full string, depth int) error {
	err := c.MakeDir(ctx, full)
	var re *ftp.ReplyError
	if err == nil || !errors.As(err, &re) {
		return err
	}
	if e, serr := c.Stat(ctx, full); serr == nil {
		if e.Type == ftp.Dir {
			return nil
		}
		return err
	}
	up := dirOf(full)
	if up == "" || depth == 0 {
		return err
	}
	if uerr := f.make(ctx, c, up, depth-1); uerr != nil {
		return err // the one that was asked for
	}
	return c.MakeDir(ctx, full)
}

// SetTime implements [Store].
func (f *FTP) SetTime(ctx context.Context, name string, t time.Time) error {
	return f.with(ctx, func(c *ftpclient.Conn) error { return c.SetModTime(ctx, f.path(name), t) })
}

var errChanged = fault.New(fault.Unreachable, "it changed while it was read")
