package ftpserver

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"path"
	"strings"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// offeredFacts are the facts of MLSx that can be told without asking the system
// for more than a name's own description.
const offeredFacts = ftp.FactType | ftp.FactSize | ftp.FactModify | ftp.FactPerm | ftp.FactUnixMode

// entry turns what the tree says of a name into what listings say.
func (s *session) entry(info fs.FileInfo) ftp.Entry {
	e := ftp.Entry{
		Name: info.Name(), Size: -1, Time: info.ModTime(), TimePrecision: time.Second,
		Mode: info.Mode().Perm(), Owner: "ftp", Group: "ftp", Links: 1,
	}
	writes := s.account == nil || !s.account.ReadOnly
	switch mode := info.Mode(); {
	case mode.IsDir():
		e.Type, e.Perm = ftp.Dir, "el"
		if writes {
			e.Perm = "cdeflmp"
		}
	case mode.IsRegular():
		e.Type, e.Size, e.Perm = ftp.File, info.Size(), "r"
		if writes {
			e.Perm = "adfrw"
		}
	case mode&fs.ModeSymlink != 0:
		e.Type = ftp.Link
	default:
		e.Type = ftp.Other
	}
	return e
}

// lineFunc appends one entry of a listing to b, without its line end.
type lineFunc func(b []byte, e ftp.Entry) []byte

func mlsdLine(facts ftp.Facts) lineFunc {
	return func(b []byte, e ftp.Entry) []byte { return ftp.AppendMLSx(b, e, facts) }
}

// nameLine appends names as they can be given to RETR from where the client is:
// behind prefix, which it wrote itself.
func nameLine(prefix string) lineFunc {
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return func(b []byte, e ftp.Entry) []byte {
		b = append(b, prefix...)
		at := len(b)
		b = append(b, e.Name...)
		for i := at; i < len(b); i++ {
			if b[i] == '\r' || b[i] == '\n' { // a line end would make one name into two
				b[i] = '?'
			}
		}
		return b
	}
}

func (s *session) handleLIST(arg string) {
	line := s.policy.Listing.line(time.Now())
	s.list("LIST", arg, func(string) lineFunc { return line })
}

func (s *session) handleNLST(arg string) { s.list("NLST", arg, nameLine) }

// handleMLSD lists folders only: 501 tells a client that it asked for something
// else (RFC 3659 section 7.2.1).
func (s *session) handleMLSD(arg string) {
	name, info, ok := s.stat(arg)
	switch {
	case !ok:
	case !info.IsDir():
		s.reply(ftp.CodeBadArgument, sentence(fault.Public(fault.New(fault.Invalid, "%q is not a folder", name).WithHint("use MLST"))))
	default:
		s.listDir("MLSD", name, selection{dots: true}, mlsdLine(s.facts))
	}
}

// list answers LIST and NLST: a folder, a single file under the name that the
// client wrote, or, where neither is there, a pattern in the path's last element.
// line makes the lines of what stands behind a prefix in what the client wrote.
// What is not there is refused before a data connection is opened.
func (s *session) list(verb, arg string, line func(prefix string) lineFunc) {
	which := s.selection(arg)
	arg = withoutOptions(arg)
	name, ok := s.path(arg)
	if !ok {
		return
	}
	info, err := s.account.Tree.Stat(name)
	switch {
	case err == nil && info.IsDir():
		s.listDir(verb, name, which, line(arg))
	case err == nil:
		s.startTransfer(&transfer{verb: verb, path: name, kind: "ASCII", work: func(t *transfer, conn net.Conn) error {
			w := newDataWriter(conn, t)
			defer w.release()
			e := s.entry(info)
			e.Name = arg
			return errors.Join(w.line(line(""), e), w.Flush())
		}})
	case hasGlob(arg) && !hasGlob(path.Dir(name)):
		s.listDir(verb, path.Dir(name), which.like(base(name)), line(arg[:strings.LastIndexByte(arg, '/')+1]))
	default:
		s.fail(err)
	}
}

// maxPattern bounds a pattern: what it costs to hold a name against one grows
// with the product of their lengths, and names are no longer than this.
const maxPattern = 255

// listDir streams a folder's entries as they are read, those that which selects.
func (s *session) listDir(verb, name string, which selection, line lineFunc) {
	if _, err := path.Match(which.pattern, ""); err != nil || len(which.pattern) > maxPattern {
		s.reply(ftp.CodeBadArgument, "Malformed pattern: want * ? or [a-z] in the last element, 255 bytes at most")
		return
	}
	tree := s.account.Tree
	dir, err := tree.ReadDir(name)
	if err != nil {
		s.fail(err)
		return
	}
	s.startTransfer(&transfer{
		verb: verb, path: name, kind: "ASCII",
		work: func(t *transfer, conn net.Conn) error {
			w := newDataWriter(conn, t)
			defer w.release()
			err := s.eachEntry(t.ctx, tree, dir, name, which, func(e ftp.Entry) error { return w.line(line, e) }, w.Flush)
			return errors.Join(err, w.Flush())
		},
		end: func(err error) error {
			if cerr := dir.Close(); err == nil {
				return cerr
			}
			return err
		},
	})
}

// eachEntry calls do for every entry of dir that which selects, and first after the first batch, so
// that a client sees something while the rest is read. It ends when ctx does: a
// pattern that nothing matches sends no byte that would tell it of a cut.
func (s *session) eachEntry(ctx context.Context, tree Tree, dir Dir, name string, which selection, do func(ftp.Entry) error, first func() error) error {
	for {
		infos, err := dir.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, info := range infos {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if !which.has(info.Name()) {
				continue
			}
			if err := do(s.follow(tree, name, info)); err != nil {
				return err
			}
		}
		if first != nil {
			if err := first(); err != nil {
				return err
			}
			first = nil
		}
	}
}

// follow describes what a link leads to, under the link's name. One that leads
// nowhere, or out of the tree, stays a link.
func (s *session) follow(tree Tree, name string, info fs.FileInfo) ftp.Entry {
	if info.Mode()&fs.ModeSymlink == 0 {
		return s.entry(info)
	}
	target, err := tree.Stat(path.Join(name, info.Name()))
	if err != nil {
		return s.entry(info)
	}
	e := s.entry(target)
	e.Name = info.Name()
	return e
}

// maxStatLines and maxStatBytes bound a listing over the control connection, to
// what a client may be expected to take for one reply.
const (
	maxStatLines = 500
	maxStatBytes = 48 << 10
)

var errEnough = errors.New("enough lines")

// statPath answers STAT with a path (RFC 959 section 4.1.3).
func (s *session) statPath(arg string) {
	if s.account == nil {
		s.reply(ftp.CodeNotLoggedIn, "Log in first, with USER and PASS")
		return
	}
	name, info, ok := s.stat(withoutOptions(arg))
	if !ok {
		return
	}
	lines := []string{"Status of " + shorten(ftp.QuotePath(name)) + ":"}
	line := s.policy.Listing.line(time.Now())
	if !info.IsDir() {
		e := s.entry(info)
		s.reply(ftp.CodeFileStatus, append(lines, string(line(nil, e)), "End")...)
		return
	}
	dir, err := s.account.Tree.ReadDir(name)
	if err != nil {
		s.fail(err)
		return
	}
	last, size := "End", 0
	err = s.eachEntry(s.ctx, s.account.Tree, dir, name, s.selection(arg), func(e ftp.Entry) error {
		text := string(line(nil, e))
		if size += len(text); len(lines) > maxStatLines || size > maxStatBytes {
			last = "There are more; use LIST"
			return errEnough
		}
		lines = append(lines, text)
		return nil
	}, nil)
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err = errors.Join(err, dir.Close()); err != nil {
		s.fail(err)
		return
	}
	s.reply(ftp.CodeDirStatus, append(lines, last)...)
}

// withoutOptions drops what clients add for ls: "-la dir" is "dir". A file whose
// name begins with a hyphen is "./-name".
func withoutOptions(arg string) string {
	for strings.HasPrefix(arg, "-") {
		option, rest, _ := strings.Cut(arg, " ")
		if strings.Trim(option[1:], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1") != "" {
			return arg
		}
		arg = strings.TrimLeft(rest, " ")
	}
	return arg
}

func hasGlob(name string) bool { return strings.ContainsAny(name, "*?[") }

// dataWriter buffers lines for a data connection.
type dataWriter struct {
	*bufio.Writer
	scratch []byte
}

var dataWriters = sync.Pool{New: func() any { return &dataWriter{Writer: bufio.NewWriterSize(nil, 32<<10)} }}

func newDataWriter(conn net.Conn, t *transfer) *dataWriter {
	w, _ := dataWriters.Get().(*dataWriter)
	w.Reset(&stallWriter{conn: conn, t: t})
	return w
}

func (w *dataWriter) release() {
	w.Reset(nil)
	dataWriters.Put(w)
}

func (w *dataWriter) line(line lineFunc, e ftp.Entry) error {
	w.scratch = append(line(w.scratch[:0], e), '\r', '\n')
	_, err := w.Write(w.scratch)
	return err
}
