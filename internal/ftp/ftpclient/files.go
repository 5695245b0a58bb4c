package ftpclient

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// Rename renames from to to. Whether it replaces what is there is up to the server.
func (c *Conn) Rename(ctx context.Context, from, to string) error {
	what := "rename " + quote(from) + " to " + quote(to)
	end, err := c.begin(ctx)
	if err != nil {
		return c.wrap(err, what)
	}
	defer end()
	target := ftp.Command{Verb: "RNTO", Arg: to}
	if _, err := target.Append(nil); err != nil { // before the server waits for it
		return c.wrap(err, what)
	}
	if _, err = c.do(ctx, ftp.Command{Verb: "RNFR", Arg: from}, ftp.CodePending); err == nil {
		_, err = c.do(ctx, target, ftp.CodeFileOK, ftp.CodeOK)
	}
	return c.wrap(err, what)
}

// Delete removes the file at path.
func (c *Conn) Delete(ctx context.Context, path string) error {
	_, err := c.simple(ctx, "delete "+quote(path), ftp.Command{Verb: "DELE", Arg: path}, ftp.CodeFileOK, ftp.CodeOK)
	return err
}

// MakeDir makes the directory at path, whose parent must be there.
func (c *Conn) MakeDir(ctx context.Context, path string) error {
	_, err := c.simple(ctx, "make directory "+quote(path), ftp.Command{Verb: "MKD", Arg: path}, ftp.CodePath, ftp.CodeFileOK, ftp.CodeOK)
	return err
}

// RemoveDir removes the empty directory at path.
func (c *Conn) RemoveDir(ctx context.Context, path string) error {
	_, err := c.simple(ctx, "remove directory "+quote(path), ftp.Command{Verb: "RMD", Arg: path}, ftp.CodeFileOK, ftp.CodeOK)
	return err
}

// Size returns the size of the file at path in bytes (RFC 3659 section 4).
func (c *Conn) Size(ctx context.Context, path string) (int64, error) {
	what := "ask the size of " + quote(path)
	r, err := c.simple(ctx, what, ftp.Command{Verb: "SIZE", Arg: path}, ftp.CodeFileStatus)
	if err != nil {
		return 0, err
	}
	n, err := parseSize(r)
	return n, c.wrap(err, what)
}

func parseSize(r ftp.Reply) (int64, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(r.Text()), 10, 63)
	if err != nil {
		return 0, &ftp.SyntaxError{What: "reply to SIZE", Line: r.Text(), Want: "213 and a number of bytes"}
	}
	return int64(n), nil
}

// ModTime returns the modification time of the file at path (RFC 3659 section 3).
func (c *Conn) ModTime(ctx context.Context, path string) (time.Time, error) {
	what := "ask the time of " + quote(path)
	r, err := c.simple(ctx, what, ftp.Command{Verb: "MDTM", Arg: path}, ftp.CodeFileStatus)
	if err != nil {
		return time.Time{}, err
	}
	t, err := ftp.ParseTime(strings.TrimSpace(r.Text()))
	return t, c.wrap(err, what)
}

// SetModTime sets the modification time of the file at path, to the second. A
// server that does not offer MFMT gives a fault of kind Unsupported.
func (c *Conn) SetModTime(ctx context.Context, path string, t time.Time) error {
	what := "set the time of " + quote(path)
	if !c.feat.MFMT {
		return c.wrap(fault.New(fault.Unsupported, "the server does not offer MFMT"), what)
	}
	arg := ftp.FormatTime(t.Truncate(time.Second)) + " " + path
	_, err := c.simple(ctx, what, ftp.Command{Verb: "MFMT", Arg: arg}, ftp.CodeFileStatus, ftp.CodeFileOK, ftp.CodeOK)
	return err
}

// Pwd returns the login directory.
func (c *Conn) Pwd(ctx context.Context) (string, error) {
	const what = "ask the working directory"
	end, err := c.begin(ctx)
	if err != nil {
		return "", c.wrap(err, what)
	}
	defer end()
	dir, err := c.pwd(ctx)
	return dir, c.wrap(err, what)
}

func (c *Conn) pwd(ctx context.Context) (string, error) {
	if c.home != "" {
		return c.home, nil
	}
	r, err := c.do(ctx, ftp.Command{Verb: "PWD"}, ftp.CodePath)
	if err != nil {
		return "", err
	}
	dir, err := ftp.ParseQuotedPath(r.Text())
	if err != nil {
		return "", err
	}
	dir = c.cfg.Charset.Decode(dir)
	c.home = dir
	return dir, nil
}

// Noop asks for a sign of life.
func (c *Conn) Noop(ctx context.Context) error {
	_, err := c.simple(ctx, "ask for a sign of life", ftp.Command{Verb: "NOOP"}, ftp.CodeOK, ftp.CodeFileOK)
	return err
}

// Stat returns what the server tells about path: by MLST where it offers that,
// else a file by SIZE and MDTM and a directory by entering it. The entry's Name is
// path as given.
func (c *Conn) Stat(ctx context.Context, path string) (ftp.Entry, error) {
	what := "look at " + quote(path)
	end, err := c.begin(ctx)
	if err != nil {
		return ftp.Entry{}, c.wrap(err, what)
	}
	defer end()
	var e ftp.Entry
	if c.feat.MLST && !c.noMLSD {
		e, err = c.mlst(ctx, path)
	} else {
		e, err = c.statByParts(ctx, path)
	}
	if err != nil {
		return ftp.Entry{}, c.wrap(err, what)
	}
	e.Name = path
	return e, nil
}

// mlst reads the one entry of an MLST reply: the line in the middle (RFC 3659
// section 7.2).
func (c *Conn) mlst(ctx context.Context, path string) (ftp.Entry, error) {
	r, err := c.do(ctx, ftp.Command{Verb: "MLST", Arg: path}, ftp.CodeFileOK)
	if err != nil {
		return ftp.Entry{}, err
	}
	if len(r.Lines) != 3 {
		return ftp.Entry{}, &ftp.SyntaxError{What: "reply to MLST", Line: r.Text(), Want: "three lines, the entry in the middle"}
	}
	e, err := ftp.ParseMLSx(r.Lines[1])
	if e.Type == ftp.CurrentDir || e.Type == ftp.ParentDir {
		e.Type = ftp.Dir
	}
	return e, err
}

// statByParts makes an entry without MLST.
func (c *Conn) statByParts(ctx context.Context, path string) (ftp.Entry, error) {
	e := ftp.Entry{Type: ftp.File, Size: -1}
	var sizeErr, timeErr error
	size := ftp.Command{Verb: "SIZE", Arg: path}
	want := []ftp.Code{ftp.CodeFileStatus}
	err := c.exchanges(ctx,
		exchange{size, want, func(r ftp.Reply, err error) error {
			if sizeErr = err; err == nil {
				e.Size, err = parseSize(r)
			}
			return err
		}},
		exchange{ftp.Command{Verb: "MDTM", Arg: path}, want, func(r ftp.Reply, err error) error {
			if timeErr = err; err != nil || sizeErr != nil {
				return nil
			}
			e.Time, err = ftp.ParseTime(strings.TrimSpace(r.Text()))
			e.TimePrecision = time.Second
			return err
		}})
	switch {
	case c.broken != nil:
		return e, err
	case sizeErr != nil:
		e.Type = ftp.Dir
		if err := c.enterAndReturn(ctx, path); err != nil {
			if c.broken != nil {
				return e, err
			}
			return e, sizeErr
		}
		return e, nil
	case err != nil:
		return e, err
	case replied(timeErr, ftp.CodeFileUnavailable):
		// A server without MDTM, or the file has gone since it told the size. That one
		// must not pass for a file without a time.
		_, err := c.do(ctx, size, want...)
		return e, err
	default: // perhaps a server without MDTM: the time stays unknown
		return e, nil
	}
}

// replied reports whether err is a reply with that code.
func replied(err error, code ftp.Code) bool {
	var re *ftp.ReplyError
	return errors.As(err, &re) && re.Reply.Code == code
}

// Exists reports whether there is something at path, telling "not there" from
// "cannot tell".
func (c *Conn) Exists(ctx context.Context, path string) (bool, error) {
	_, err := c.Stat(ctx, path)
	var re *ftp.ReplyError
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &re) && fault.KindOf(err) == fault.NotFound:
		return false, nil
	default:
		return false, err
	}
}
