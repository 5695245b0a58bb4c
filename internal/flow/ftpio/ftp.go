package ftpio

import (
	"context"
	"errors"
	"strings"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpclient"
)

// FTPServer is a directory on an FTP server, as source and sink share it.
type FTPServer struct {
	// Pool gives connections to the server. It belongs to this source or sink
	// alone: two that share one could wait for each other. A source needs one
	// connection for each transfer at a time and one more for its polls, a sink one
	// for each transfer.
	Pool *ftpclient.Pool
	// Name says which server and login it is, without secrets, such as
	// "ftp://svc-erp@ftp-erp:21". It becomes part of what files are claimed under.
	Name string
	// Directory is relative to the login directory, or absolute. Empty is the login
	// directory itself. A sink makes it if it is not there.
	Directory string
}

// identity names the place.
func (s *FTPServer) identity() string {
	return s.Name + "/" + strings.TrimSuffix(s.Directory, "/")
}

// path spells a path for the server.
func (s *FTPServer) path(p flow.Path) string { return join(s.Directory, string(p)) }

func join(dir, name string) string {
	switch {
	case dir == "":
		return name
	case name == "":
		return dir
	case strings.HasSuffix(dir, "/"):
		return dir + name
	default:
		return dir + "/" + name
	}
}

// with lends a connection to f.
func (s *FTPServer) with(ctx context.Context, f func(c *ftpclient.Conn) error) error {
	c, err := s.Pool.Get(ctx)
	if err != nil {
		return err
	}
	defer s.Pool.Put(c)
	return f(c)
}

// refused reports whether the server understood and said no.
func refused(err error) bool {
	var re *ftp.ReplyError
	return errors.As(err, &re) && re.Reply.Code.Permanent()
}

// makeFolders makes the folders of a path, the directory among them. What is there
// already is refused like what may not be made; whether it helped, the next command
// tells.
func (s *FTPServer) makeFolders(ctx context.Context, c *ftpclient.Conn, p flow.Path) error {
	dir := join(s.Directory, p.Dir())
	for i := 1; i <= len(dir); i++ { // from 1: "/" is there
		if i < len(dir) && dir[i] != '/' {
			continue
		}
		if err := c.MakeDir(ctx, dir[:i]); err != nil && !answered(err) {
			return err
		}
	}
	return nil
}

// answered reports whether the server answered, whatever it said.
func answered(err error) bool {
	var re *ftp.ReplyError
	return errors.As(err, &re)
}

// withFolders runs a command that needs p's folder; if it is refused, in whatever
// words, it makes the folders and runs it again.
func (s *FTPServer) withFolders(ctx context.Context, c *ftpclient.Conn, p flow.Path, run func() error) error {
	err := run()
	if err == nil || join(s.Directory, p.Dir()) == "" || !answered(err) {
		return err
	}
	if err := s.makeFolders(ctx, c, p); err != nil {
		return err
	}
	return run()
}

// stat looks at a name. One that is not there is no error.
func (s *FTPServer) stat(ctx context.Context, c *ftpclient.Conn, p flow.Path) (e ftp.Entry, there bool, err error) {
	e, err = c.Stat(ctx, s.path(p))
	if err != nil && refused(err) && fault.KindOf(err) == fault.NotFound {
		return e, false, nil
	}
	return e, err == nil, err
}

// renameNew renames unless the new name is taken. FTP has no such command; between
// the look and the rename somebody else may take the name.
func (s *FTPServer) renameNew(ctx context.Context, c *ftpclient.Conn, from, to flow.Path) error {
	_, there, err := s.stat(ctx, c, to)
	if err != nil {
		return err
	}
	if there {
		return fault.New(fault.Exists, "%q is taken", to)
	}
	return s.withFolders(ctx, c, to, func() error { return c.Rename(ctx, s.path(from), s.path(to)) })
}
