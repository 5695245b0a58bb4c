package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/mirror"
)

func newPut(say *speaker) *cobra.Command {
	o := &carrying{}
	cmd := &cobra.Command{
		Use:   "put LOCAL... URL",
		Short: "Send files to an FTP server",
		Long: `Put sends files. A single one goes into the folder that the URL names, or gets
that name if there is no such folder; several go into the folder, which is made.
"-" is standard input, and the URL then names the file. With --recursive, what is
in a single folder goes into the URL's, or into one of its own name there if the
URL ends in a slash; several folders each go into one of their own names.

A file appears under its name when it is whole, with the size and time it has
here, as far as the server sets times. Until then it is NAME.sallyport-….part; the
same command goes on with that, if the file has not changed and the server has
kept it. What is there already is not sent again.`,
		Example: `  sallyport put a.xml ftp://erp@ftp.example.com/in/
  sallyport put *.xml ftpes://erp@ftp.example.com/in
  sallyport put --recursive orders ftp://erp@ftp.example.com/in/orders
  tar cz . | sallyport put - ftp://erp@ftp.example.com/backup.tgz`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return exactly(2, "what to send, and a URL")(cmd, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			last := len(args) - 1
			return runPut(cmd.Context(), say, o, args[:last], args[last])
		},
	}
	cmd.Flags().BoolVarP(&o.recursive, "recursive", "r", false, "send folders with what is in them")
	o.flags(cmd)
	stateFlag(cmd, &o.reach.state)
	return cmd
}

func runPut(ctx context.Context, say *speaker, o *carrying, locals []string, arg string) error {
	if err := o.check(); err != nil {
		return err
	}
	if isURL(locals[0]) && !isURL(arg) {
		return usagef("sallyport get fetches: get URL LOCAL", "the URL comes last")
	}
	u, err := urlArg(arg)
	if err != nil {
		return err
	}
	p := &putter{ctx: ctx, o: o}
	if err := p.look(locals); err != nil {
		return err
	}
	store, end, err := o.reach.connect(ctx, say, u, o.parallel)
	if err != nil {
		return err
	}
	defer end()
	p.store = store
	o.voice.open(say)
	if locals[0] == "-" {
		err = p.stdin(say)
	} else {
		err = p.all()
	}
	return o.voice.finish(p.sum, err)
}

// putter sends what the command line names.
type putter struct {
	ctx     context.Context // of the command
	o       *carrying
	store   *mirror.FTP
	files   []string
	folders []string
	sum     mirror.Summary
}

// look finds out what the arguments are, before anybody is asked for a password.
func (p *putter) look(locals []string) error {
	for _, arg := range locals {
		if arg == "-" {
			if len(locals) > 1 {
				return usagef("send it by itself", "standard input is one file among several")
			}
			return nil
		}
		names := []string{arg}
		if _, err := os.Lstat(arg); err != nil && mirror.IsPattern(arg) {
			// Shells that leave patterns alone.
			if found, err := filepath.Glob(arg); err == nil && len(found) > 0 {
				names = found
			}
		}
		for _, name := range names {
			info, err := os.Stat(name)
			switch {
			case err != nil:
				return fault.As(err, "look at %q", name)
			case info.IsDir() && !p.o.recursive:
				return usagef("add --recursive to send what is in it", "%q is a folder", name)
			case info.IsDir():
				p.folders = append(p.folders, name)
			case !info.Mode().IsRegular():
				return usagef("standard input is written as -", "%q is neither file nor folder", name)
			default:
				p.files = append(p.files, name)
			}
		}
	}
	return nil
}

// all sends everything.
func (p *putter) all() error {
	slash := strings.HasSuffix(p.store.URL.Path, "/") || p.store.URL.Path == ""
	switch {
	case len(p.files)+len(p.folders) > 1:
		return p.many()
	case len(p.folders) == 1 && slash && ownName(p.folders[0]) != "":
		return p.folder(p.folders[0], below(p.store, ownName(p.folders[0])))
	case len(p.folders) == 1:
		return p.folder(p.folders[0], p.store)
	}
	file := p.files[0]
	if slash {
		return p.many()
	}
	e, err := p.store.Stat(p.ctx, "")
	switch {
	case err == nil && e.Kind == mirror.Folder:
		return p.file(file, p.store, filepath.Base(file))
	case err != nil && fault.KindOf(err) != fault.NotFound:
		return err
	}
	dir, name := splitURL(p.store.URL)
	return p.file(file, &mirror.FTP{Pool: p.store.Pool, URL: dir}, name)
}

// ownName is the name of a folder on the command line; "." has none.
func ownName(dir string) string {
	if name := filepath.Base(filepath.Clean(dir)); name != "." && name != ".." && !os.IsPathSeparator(name[0]) {
		return name
	}
	return ""
}

// many sends files and folders under their own names.
func (p *putter) many() error {
	if err := p.store.MakeFolder(p.ctx, ""); err != nil {
		return err
	}
	for dir, names := range byFolder(p.files) {
		if err := p.some(dir, names); err != nil {
			return err
		}
	}
	for _, dir := range p.folders {
		name := ownName(dir)
		if name == "" {
			return usagef("send it by itself", "%q has no name of its own", dir)
		}
		if err := p.folder(dir, below(p.store, name)); err != nil {
			return err
		}
	}
	return nil
}

// byFolder gives files that stand in one folder together, in the order given.
func byFolder(files []string) func(func(string, []string) bool) {
	return func(yield func(string, []string) bool) {
		for len(files) > 0 {
			dir, n := filepath.Dir(files[0]), 1
			for n < len(files) && filepath.Dir(files[n]) == dir {
				n++
			}
			if !yield(dir, files[:n]) {
				return
			}
			files = files[n:]
		}
	}
}

// some sends files of one folder.
func (p *putter) some(dir string, files []string) (err error) {
	from, err := mirror.OpenLocal(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	sum, err := p.o.engine(from, p.store).Copy(p.ctx, func(yield func(mirror.Pair, error) bool) {
		for _, f := range files {
			name := filepath.Base(f)
			e, err := from.Stat(p.ctx, name)
			if !yield(mirror.Pair{Src: e, From: name, To: name}, err) {
				return
			}
		}
	})
	p.sum.Add(sum)
	return err
}

func (p *putter) file(file string, to *mirror.FTP, name string) (err error) {
	from, err := mirror.OpenLocal(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	e, err := from.Stat(p.ctx, filepath.Base(file))
	if err != nil {
		return err
	}
	sum, err := p.o.engine(from, to).Copy(p.ctx, once(mirror.Pair{Src: e, From: e.Name, To: name}))
	p.sum.Add(sum)
	return err
}

func (p *putter) folder(dir string, to *mirror.FTP) (err error) {
	from, err := mirror.OpenLocal(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	sum, err := p.o.engine(from, to).Run(p.ctx)
	p.sum.Add(sum)
	return err
}

// stdin sends what comes on standard input.
func (p *putter) stdin(say *speaker) error {
	dir, name := splitURL(p.store.URL)
	if name == "" {
		return usagef("as in: sallyport put - ftp://HOST/backup.tgz", "the URL does not say how to call what comes on standard input")
	}
	to := &mirror.FTP{Pool: p.store.Pool, URL: dir}
	in := &interruptible{ctx: p.ctx, r: say.in}
	n, err := p.o.engine(mirror.Nowhere("-"), to).Receive(p.ctx, to, name, in)
	if err != nil {
		return err
	}
	p.sum = mirror.Summary{Copied: 1, Bytes: n}
	p.o.voice.Event(mirror.Event{Action: mirror.Copy, Path: name, Size: n})
	return nil
}
