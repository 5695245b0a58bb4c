package ftpio

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpclient"
)

// FTPSink puts files into a directory on an FTP server. A file is verified by its
// size; how durable the server makes it, the server alone knows.
type FTPSink struct{ FTPServer }

var _ flow.Sink = (*FTPSink)(nil)

// Properties implements [flow.Sink].
func (s *FTPSink) Properties() flow.SinkProperties {
	return flow.SinkProperties{Identity: s.identity()}
}

// Write implements [flow.Sink].
func (s *FTPSink) Write(ctx context.Context, temp flow.Path, body io.Reader) (w flow.Written, err error) {
	lost := false
	err = s.with(ctx, func(c *ftpclient.Conn) error {
		w.Size, err = s.store(ctx, c, temp, body)
		if lost = errors.Is(err, ftpclient.ErrUnconfirmed); lost || err != nil {
			return err
		}
		return s.verify(ctx, c, temp, w.Size)
	})
	if !lost {
		return w, err
	}
	// Everything was sent and the answer was lost: another connection can tell.
	verr := s.with(ctx, func(c *ftpclient.Conn) error { return s.verify(ctx, c, temp, w.Size) })
	if verr != nil {
		return w, errors.Join(err, verr)
	}
	return w, nil
}

// store sends the body and returns its size.
func (s *FTPSink) store(ctx context.Context, c *ftpclient.Conn, temp flow.Path, body io.Reader) (int64, error) {
	var u *ftpclient.Upload
	err := s.withFolders(ctx, c, temp, func() (err error) {
		u, err = c.Stor(ctx, s.path(temp), 0)
		return err
	})
	if err != nil {
		return 0, err
	}
	n, err := flow.Copy(u, body)
	if err != nil {
		// What the abort says is worth less than why there is one.
		return n, errors.Join(err, ignore(u.Abort()))
	}
	return n, u.Commit()
}

// ignore drops an error that adds nothing to another one.
func ignore(error) error { return nil }

// verify asks the server for the size it has.
func (s *FTPSink) verify(ctx context.Context, c *ftpclient.Conn, p flow.Path, want int64) error {
	e, there, err := s.stat(ctx, c, p)
	switch {
	case err != nil:
		return err
	case !there:
		return fault.New(fault.Unreachable, "%q was sent and is not there", p).
			WithHint("a server may hide what is uploaded from its users: allow them to look")
	case e.Size >= 0 && e.Size != want:
		return fault.New(fault.Unreachable, "%q has %d of %d bytes", p, e.Size, want)
	}
	return nil
}

// Publish implements [flow.Sink].
func (s *FTPSink) Publish(ctx context.Context, temp, final flow.Path, replace bool) error {
	return s.with(ctx, func(c *ftpclient.Conn) error {
		if !replace {
			return s.renameNew(ctx, c, temp, final)
		}
		err := s.withFolders(ctx, c, final, func() error { return c.Rename(ctx, s.path(temp), s.path(final)) })
		if err == nil || !refused(err) {
			return err
		}
		// Some servers rename onto nothing that is there. Between the two commands
		// the name is free; a crash there leaves the temporary file to be published.
		e, there, serr := s.stat(ctx, c, final)
		if serr != nil || !there || e.Type != ftp.File {
			return errors.Join(err, serr)
		}
		if _, there, serr := s.stat(ctx, c, temp); serr != nil || !there {
			return errors.Join(err, serr) // nothing to put in its place
		}
		if err := c.Delete(ctx, s.path(final)); err != nil {
			return err
		}
		return c.Rename(ctx, s.path(temp), s.path(final))
	})
}

// Look implements [flow.Sink]. The hash is had by reading the file back; a server
// that does not allow that leaves the size.
func (s *FTPSink) Look(ctx context.Context, name flow.Path, hash bool) (l flow.Look, err error) {
	err = s.with(ctx, func(c *ftpclient.Conn) error {
		e, there, err := s.stat(ctx, c, name)
		if err != nil || !there {
			return err
		}
		if e.Type != ftp.File {
			return fault.New(fault.Exists, "%q is taken by something that is not a file", name).
				WithHint("take it away, or choose another name")
		}
		l = flow.Look{There: true, Size: e.Size}
		if !hash {
			return nil
		}
		return s.hash(ctx, c, name, &l)
	})
	return l, err
}

func (s *FTPSink) hash(ctx context.Context, c *ftpclient.Conn, name flow.Path, l *flow.Look) error {
	d, err := c.Retr(ctx, s.path(name), 0)
	if err != nil {
		if refused(err) {
			return nil // it may not be read: the size has to do
		}
		return err
	}
	sum := sha256.New()
	n, err := flow.Copy(sum, d)
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	l.Size, l.Hash = n, sum.Sum(nil)
	return nil
}

// Discard implements [flow.Sink].
func (s *FTPSink) Discard(ctx context.Context, temp flow.Path) error {
	return s.with(ctx, func(c *ftpclient.Conn) error {
		err := c.Delete(ctx, s.path(temp))
		if err == nil || !refused(err) {
			return err
		}
		if _, there, serr := s.stat(ctx, c, temp); serr != nil || there {
			return errors.Join(err, serr)
		}
		return nil
	})
}
