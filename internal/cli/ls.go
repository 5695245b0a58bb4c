package cli

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/mirror"
)

type lsOptions struct {
	reach     reach
	json      bool
	long      bool
	recursive bool
	sort      string
	parts     bool
}

func newLs(say *speaker) *cobra.Command {
	var o lsOptions
	cmd := &cobra.Command{
		Use:   "ls URL",
		Short: "List a folder on an FTP server",
		Long: `Ls lists the folder, or shows the file, that the URL names; * and [a-z] in the
last name stand for any, and ? does when it is written %3F. On a terminal it
prints a table, otherwise a name on a line, folders with a slash behind them.
Names with characters that could mislead are quoted; --json has them exactly.

The path of a URL is relative to the login directory; %2F at its beginning makes
it absolute. Sorting needs little memory however long the listing is; --sort none
prints entries as they come.`,
		Example: `  sallyport ls ftp://erp@ftp.example.com/out
  sallyport ls 'ftpes://erp@ftp.example.com/out/*.xml' --long
  sallyport ls ftp://ftp.example.com/ --recursive --json --sort none`,
		Args: exactly(1, "one URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLs(cmd.Context(), say, o, args[0])
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.json, "json", false, "print JSON, an entry a line")
	f.BoolVarP(&o.long, "long", "l", false, "print the table in a pipe, too")
	f.BoolVarP(&o.recursive, "recursive", "r", false, "also what is in the folders below")
	f.StringVar(&o.sort, "sort", "name", "name, size or time (the greatest last), or none")
	f.BoolVar(&o.parts, "parts", false, "also files that are not whole yet")
	f.StringVar(&o.reach.charset, "charset", "", "character set of the server's names, such as latin1 or shift-jis; without it UTF-8")
	f.BoolVar(&o.reach.active, "active", false, "let the server open the data connections")
	o.reach.flags(cmd)
	stateFlag(cmd, &o.reach.state)
	return cmd
}

var lsOrders = map[string]func(a, b *mirror.Entry) int{
	"name": func(a, b *mirror.Entry) int { return cmp.Compare(a.Name, b.Name) },
	"size": func(a, b *mirror.Entry) int { return cmp.Or(cmp.Compare(a.Size, b.Size), cmp.Compare(a.Name, b.Name)) },
	"time": func(a, b *mirror.Entry) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Name, b.Name)) },
	"none": nil,
}

func runLs(ctx context.Context, say *speaker, o lsOptions, arg string) error {
	order, known := lsOrders[o.sort]
	if !known {
		return usagef("--sort name, size, time or none", "there is no order %q", o.sort)
	}
	u, err := urlArg(arg)
	if err != nil {
		return err
	}
	pattern := ""
	if dir, name := splitURL(u); mirror.IsPattern(name) {
		if err := (mirror.Filter{Include: []string{name}}).Check(); err != nil {
			return &usageError{err}
		}
		u, pattern = dir, name
	}
	store, end, err := o.reach.connect(ctx, say, u, 1)
	if err != nil {
		return err
	}
	defer end()
	l := &lister{ctx: ctx, o: o, store: store, order: order, w: bufio.NewWriterSize(say.out, 64<<10)}
	l.table = o.long || isTerminal(say.out)
	return errors.Join(l.run(pattern), l.w.Flush())
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// lister prints listings.
type lister struct {
	ctx   context.Context // of the command, passed by in one place
	o     lsOptions
	store *mirror.FTP
	order func(a, b *mirror.Entry) int
	table bool
	w     *bufio.Writer
	found bool
}

// run lists the folder, or what matches the pattern in it, or shows the one file.
func (l *lister) run(pattern string) error {
	if pattern != "" {
		// A file may be called so.
		if e, err := l.store.Stat(l.ctx, pattern); err == nil && e.Kind == mirror.File {
			return l.print("", e)
		}
	} else if u := l.store.URL; u.Path != "" && !strings.HasSuffix(u.Path, "/") {
		e, err := l.store.Stat(l.ctx, "")
		switch {
		case err == nil && e.Kind != mirror.Folder:
			_, e.Name = splitURL(u)
			return l.print("", e)
		case err != nil && fault.KindOf(err) != fault.NotFound: // to look may be what is refused
		case err != nil:
			return err
		}
	}
	err := l.folder("", pattern, 0)
	if err == nil && pattern != "" && !l.found {
		return fault.New(fault.NotFound, "nothing in %s matches %q", l.store, pattern)
	}
	return err
}

// maxLsDepth bounds the folders within one another.
const maxLsDepth = 128

// folder prints a folder and, if asked for, those below it after it.
func (l *lister) folder(dir, pattern string, depth int) error {
	if depth > maxLsDepth {
		return fault.New(fault.Invalid, "list %q: there are more than %d folders within one another", dir, maxLsDepth)
	}
	below := mirror.NewSorted(lsOrders["name"])
	defer func() { _ = below.Close() }() // nothing is lost with it
	for e, err := range l.entries(dir) {
		if err != nil {
			return err
		}
		if pattern != "" && !mirror.Match(pattern, e.Name) || !l.o.parts && mirror.IsPart(e.Name) {
			continue
		}
		if err := l.print(dir, e); err != nil {
			return err
		}
		if l.o.recursive && e.Kind == mirror.Folder && ftp.CheckName(e.Name) == nil {
			if err := below.Add(&e); err != nil {
				return err
			}
		}
	}
	for e, err := range below.All() {
		if err == nil {
			err = l.folder(under(dir, e.Name), "", depth+1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func under(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// entries gives a folder's entries in order.
func (l *lister) entries(dir string) iter.Seq2[mirror.Entry, error] {
	if l.order == nil {
		return l.store.List(l.ctx, dir)
	}
	return func(yield func(mirror.Entry, error) bool) {
		all := mirror.NewSorted(l.order)
		defer func() { _ = all.Close() }() // nothing is lost with it
		for e, err := range l.store.List(l.ctx, dir) {
			if err == nil {
				err = all.Add(&e)
			}
			if err != nil {
				yield(e, err)
				return
			}
		}
		for e, err := range all.All() {
			if !yield(e, err) {
				return
			}
		}
	}
}

// lsLine is an entry as JSON.
type lsLine struct {
	Name      string     `json:"name"`                 // with the folders below the one listed
	Raw       []byte     `json:"name_bytes,omitempty"` // base64, where the name is not UTF-8
	Type      string     `json:"type"`
	Size      *int64     `json:"size,omitempty"`
	Modified  *time.Time `json:"modified,omitempty"`
	Precision string     `json:"precision,omitempty"` // of the time
}

func (l *lister) print(dir string, e mirror.Entry) error {
	l.found = true
	name := under(dir, e.Name)
	switch {
	case l.o.json:
		out := lsLine{Name: name, Type: e.Kind.String()}
		if !utf8.ValidString(name) {
			out.Raw = []byte(name)
		}
		if e.Size >= 0 {
			out.Size = &e.Size
		}
		if !e.Time.IsZero() {
			t := e.Time.UTC()
			out.Modified, out.Precision = &t, e.Precision.String()
		}
		return json.NewEncoder(l.w).Encode(out)
	case l.table:
		size, when := "-", "-"
		if e.Size >= 0 {
			size = fmt.Sprint(e.Size)
		}
		if !e.Time.IsZero() {
			when = e.Time.UTC().Format(time.DateTime)
			if e.Precision >= 24*time.Hour {
				when = when[:len(time.DateOnly)]
			} else if e.Precision >= time.Minute {
				when = when[:len("2006-01-02 15:04")]
			}
		}
		_, err := fmt.Fprintf(l.w, "%-6s  %14s  %-19s  %s\n", e.Kind, size, when, listed(name, e.Kind))
		return err
	}
	_, err := fmt.Fprintln(l.w, listed(name, e.Kind))
	return err
}

// listed is a name of a listing for the eye.
func listed(name string, k mirror.Kind) string {
	if k == mirror.Folder {
		return shown(name) + "/"
	}
	return shown(name)
}
