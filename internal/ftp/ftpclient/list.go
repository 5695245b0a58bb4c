package ftpclient

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"iter"
	"path"
	"strings"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// maxListingLine bounds one line of a listing, in bytes: a path and its facts.
const maxListingLine = 16 << 10

// List lists the directory dir, "" being the login directory: by MLSD where the
// server offers it, else by LIST. Entries come as the server sends them, the
// directory itself and its parent left out. A listing that fails ends with an
// error, also when it was empty until then; entries before it are right, and not
// all. Names are the server's bytes, or decoded by [Config.Charset]; see [ftp.CheckName] before one becomes part
// of a local path.
//
// The loop may be left at any time. While it runs the connection has a transfer
// open.
func (c *Conn) List(ctx context.Context, dir string) iter.Seq2[ftp.Entry, error] {
	return func(yield func(ftp.Entry, error) bool) {
		what := "list " + quote(dir)
		more := true
		err := c.list(ctx, what, dir, func(e ftp.Entry) bool {
			more = yield(e, nil)
			return more
		})
		if more && err != nil {
			yield(ftp.Entry{}, err)
		}
	}
}

// list calls each for every entry until it returns false.
func (c *Conn) list(ctx context.Context, what, dir string, each func(ftp.Entry) bool) error {
	if c.feat.MLST && !c.noMLSD {
		err := c.listing(ctx, what, ftp.Command{Verb: "MLSD", Arg: dir}, mlsxParser{}, each)
		r, refused := refusal(err)
		if !refused || c.broken != nil || (r.Code != ftp.CodeUnknownCommand && r.Code != ftp.CodeNotImplemented) {
			return err
		}
		c.noMLSD = true // offered, not served
	}
	return c.listByLIST(ctx, what, dir, each)
}

// listByLIST finds its way around what servers do with LIST of a path that is no
// directory they can read: they send nothing, or the one line for the path itself,
// and call that a success.
func (c *Conn) listByLIST(ctx context.Context, what, dir string, each func(ftp.Entry) bool) error {
	if err := c.askSystem(ctx); err != nil {
		return c.wrap(err, what)
	}
	arg := dir
	if strings.HasPrefix(dir, "-") {
		arg = "./" + dir // or it would be taken for options of ls
	}
	cmd := ftp.Command{Verb: "LIST", Arg: arg}
	var held ftp.Entry // the first entry, while it may be the path itself
	n, more := 0, true
	err := c.listLIST(ctx, what, dir, cmd, func(e ftp.Entry) bool {
		n++
		if n == 1 && dir != "" && (e.Name == dir || e.Name == path.Base(dir)) {
			held = e
			return true
		}
		if n == 2 && held.Name != "" {
			more = each(held)
		}
		more = more && each(e)
		return more
	})
	switch {
	case err != nil || !more || dir == "":
		return err
	case n == 0:
		return c.wrap(c.enter(ctx, dir), what)
	case n == 1 && held.Name != "":
		return c.listInside(ctx, what, arg, each)
	default:
		return nil
	}
}

// listLIST runs one LIST of dir, and learns the server's time zone first where that
// is wanted.
func (c *Conn) listLIST(ctx context.Context, what, dir string, cmd ftp.Command, each func(ftp.Entry) bool) error {
	if c.cfg.Location == nil && !c.cfg.Habits.clock.fresh() {
		return c.listLearning(ctx, what, dir, cmd, each)
	}
	return c.listing(ctx, what, cmd, c.listParser(), each)
}

// listInside lists what is within arg, where LIST of arg itself gave a single entry
// of the same name: with a slash behind it, it can mean nothing but a directory.
func (c *Conn) listInside(ctx context.Context, what, arg string, each func(ftp.Entry) bool) error {
	n := 0
	inside := strings.TrimRight(arg, "/") + "/"
	err := c.listLIST(ctx, what, inside, ftp.Command{Verb: "LIST", Arg: inside}, func(e ftp.Entry) bool {
		n++
		return each(e)
	})
	if err == nil && n == 0 {
		err = c.wrap(fault.New(fault.Denied, "the server shows the path itself and nothing in it").
			WithHint("is it a directory, and may this user read it?"), what)
	}
	return err
}

// lineParser makes entries of the lines of one listing. [ftp.ErrSkip] means that a
// line gives none.
type lineParser interface {
	Parse(line string) (ftp.Entry, error)
	End() error
}

// mlsxParser is the parser of MLSD.
type mlsxParser struct{}

func (mlsxParser) Parse(line string) (ftp.Entry, error) {
	if line == "" {
		return ftp.Entry{}, ftp.ErrSkip
	}
	return ftp.ParseMLSx(line)
}

func (mlsxParser) End() error { return nil }

// listing runs one listing command.
func (c *Conn) listing(ctx context.Context, what string, cmd ftp.Command, parse lineParser, each func(ftp.Entry) bool) error {
	t, err := c.start(ctx, what, cmd, 0)
	if err != nil {
		return err
	}
	d := &Download{t: t}
	// A loop body that panics must not leave the connection in mid-transfer.
	defer func() {
		if !t.over {
			_ = d.abandon() // the connection has noted it, if it cannot be used any more
		}
	}()
	lines := ftp.NewReader(bufio.NewReaderSize(d, 32<<10), maxListingLine)
	for {
		line, err := lines.ReadLine()
		if isEOF(err) {
			return c.wrap(cmp.Or(listed(t), parse.End()), what)
		}
		if t.over && t.result != nil {
			return t.result
		}
		var e ftp.Entry
		skip := false
		if err == nil {
			e, skip, err = c.ownEntry(parse.Parse(string(line)))
		}
		switch {
		case err != nil:
			return c.wrap(errors.Join(fault.As(err, "reading the listing"), d.abandon()), what)
		case !skip && !each(e):
			return nil
		}
	}
}

// listed looks at the final reply of a listing that was read to its end.
func listed(t *transfer) error {
	if t.result != nil {
		return t.result
	}
	// vsftpd says 226 when it could not open the directory.
	if text := strings.ToLower(t.last.Text()); strings.Contains(text, "failed to open directory") {
		return fault.New(fault.Denied, "the server answered %d %.100q", t.last.Code, t.last.Text()).
			WithHint("does it exist, and may this user read it?")
	}
	return nil
}

// ownEntry passes over what is nothing of the directory's own, and decodes names.
func (c *Conn) ownEntry(e ftp.Entry, err error) (_ ftp.Entry, skip bool, _ error) {
	switch {
	case errors.Is(err, ftp.ErrSkip):
		return ftp.Entry{}, true, nil
	case err != nil:
		return ftp.Entry{}, false, err
	case e.Type == ftp.CurrentDir, e.Type == ftp.ParentDir, e.Name == ".", e.Name == "..":
		return ftp.Entry{}, true, nil
	}
	e.Name, e.Target = c.cfg.Charset.Decode(e.Name), c.cfg.Charset.Decode(e.Target)
	if strings.Contains(e.Name, "/") {
		return ftp.Entry{}, false, &ftp.SyntaxError{What: "name in a listing", Line: e.Name, Want: "a name without slashes"}
	}
	return e, false, nil
}

// enter finds out whether dir is a directory, by going there and back.
func (c *Conn) enter(ctx context.Context, dir string) error {
	end, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	return c.enterAndReturn(ctx, dir)
}

func (c *Conn) enterAndReturn(ctx context.Context, dir string) error {
	home, err := c.pwd(ctx)
	if err != nil {
		return err
	}
	if _, err := c.do(ctx, ftp.Command{Verb: "CWD", Arg: dir}, ftp.CodeFileOK, ftp.CodeOK); err != nil {
		return err
	}
	if _, err := c.do(ctx, ftp.Command{Verb: "CWD", Arg: home}, ftp.CodeFileOK, ftp.CodeOK); err != nil {
		// Everything relative would be taken from the wrong place.
		return c.fail(fault.As(err, "going back to %q", home))
	}
	return nil
}
