package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/mirror"
)

func newGet(say *speaker) *cobra.Command {
	o := &carrying{}
	cmd := &cobra.Command{
		Use:   "get URL [LOCAL]",
		Short: "Fetch files from an FTP server",
		Long: `Get fetches the file that the URL names, or those that match it: in the last name
* and [a-z] stand for any, and ? does when it is written %3F. A file goes into
LOCAL if that is a folder, else it gets that name; "-" is standard output. With
--recursive, what is in a folder goes into LOCAL, or into LOCAL/NAME if LOCAL ends
in a slash; without LOCAL, into a folder of its own name here.

A file appears under its name when it is whole, with the size and time it has on
the server. Until then it is NAME.sallyport-….part; the same command goes on with
that, if the file has not changed. What is there already is not fetched again.`,
		Example: `  sallyport get ftp://erp@ftp.example.com/out/a.xml
  sallyport get 'ftp://erp@ftp.example.com/out/*.xml' inbox/
  sallyport get --recursive ftpes://erp@ftp.example.com/out orders
  sallyport get ftp://ftp.example.com/list.gz - | zcat`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 2 {
				return exactly(1, "one URL, and where to put it")(cmd, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			local := ""
			if len(args) == 2 {
				if local = args[1]; local == "" {
					return usagef("a dot is this folder", "the second argument is empty")
				}
			}
			return runGet(cmd.Context(), say, o, args[0], local)
		},
	}
	cmd.Flags().BoolVarP(&o.recursive, "recursive", "r", false, "fetch folders with what is in them")
	o.flags(cmd)
	stateFlag(cmd, &o.reach.state)
	return cmd
}

func runGet(ctx context.Context, say *speaker, o *carrying, arg, local string) error {
	if err := o.check(); err != nil {
		return err
	}
	u, err := urlArg(arg)
	if err != nil {
		return err
	}
	if isURL(local) {
		return usagef("sallyport sync goes from URL to URL", "LOCAL is a path and no URL")
	}
	store, end, err := o.reach.connect(ctx, say, u, o.parallel)
	if err != nil {
		return err
	}
	defer end()
	o.voice.say = say
	if local == "-" {
		return getToStdout(ctx, say, o, store)
	}
	o.voice.open(say)
	sum, err := get(ctx, o, store, local)
	return o.voice.finish(sum, err)
}

// get finds out what the URL means.
func get(ctx context.Context, o *carrying, store *mirror.FTP, local string) (sum mirror.Summary, err error) {
	u := store.URL
	dir, name := splitURL(u)
	if name == "" {
		return getFolder(ctx, o, store, local)
	}
	e, err := store.Stat(ctx, "")
	switch {
	case err == nil && e.Kind == mirror.Folder:
		return getFolder(ctx, o, store, local)
	case err == nil:
		e.Name = name
		return getFile(ctx, o, &mirror.FTP{Pool: store.Pool, URL: dir}, e, local)
	case fault.KindOf(err) != fault.NotFound || !mirror.IsPattern(name):
		return sum, err
	}
	return getMatching(ctx, o, &mirror.FTP{Pool: store.Pool, URL: dir}, name, local)
}

func getFile(ctx context.Context, o *carrying, from *mirror.FTP, e mirror.Entry, local string) (sum mirror.Summary, err error) {
	target := into(local, e.Name)
	to, err := openFolder(filepath.Dir(target))
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	return o.engine(from, to).Copy(ctx, once(mirror.Pair{Src: e, From: e.Name, To: filepath.Base(target)}))
}

func getFolder(ctx context.Context, o *carrying, from *mirror.FTP, local string) (sum mirror.Summary, err error) {
	if !o.recursive {
		return sum, usagef("add --recursive to fetch what is in it, or /*", "%s is a folder", from)
	}
	u := from.URL
	u.Path = strings.TrimRight(u.Path, "/")
	_, name := splitURL(u)
	switch {
	case name == "" && local == "":
		return sum, usagef("say where to put it; a dot is this folder", "the login directory has no name to call a folder by")
	case local == "":
		local = name
	case name != "" && os.IsPathSeparator(local[len(local)-1]):
		local = filepath.Join(local, name)
	}
	if err := ftp.CheckName(filepath.Base(local)); err != nil && local == name {
		return sum, usagef("say where to put it; a dot is this folder", "%q can be no folder's name", name)
	}
	to, err := openFolder(local)
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	return o.engine(from, to).Run(ctx)
}

// getMatching fetches what matches a pattern.
func getMatching(ctx context.Context, o *carrying, from *mirror.FTP, pattern, local string) (sum mirror.Summary, err error) {
	if err := (mirror.Filter{Include: []string{pattern}}).Check(); err != nil {
		return sum, &usageError{err}
	}
	if local == "" {
		local = "."
	}
	// Read to its end first: it would keep a connection from those who carry.
	all := mirror.NewSorted(lsOrders["name"])
	defer func() { err = errors.Join(err, all.Close()) }()
	found := false
	for e, err := range from.List(ctx, "") {
		if err != nil {
			return sum, err
		}
		if mirror.Match(pattern, e.Name) && !mirror.IsPart(e.Name) && ftp.CheckName(e.Name) == nil {
			found = true
			if err := all.Add(&e); err != nil {
				return sum, err
			}
		}
	}
	if !found {
		return sum, fault.New(fault.NotFound, "nothing in %s matches %q", from, pattern)
	}
	to, err := openFolder(local)
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	var folders []string
	sum, err = o.engine(from, to).Copy(ctx, func(yield func(mirror.Pair, error) bool) {
		for e, err := range all.All() {
			if err == nil && e.Kind == mirror.Link {
				name := e.Name
				if e, err = from.Stat(ctx, name); err != nil {
					o.voice.Event(mirror.Event{Action: mirror.Skip, Path: name, Why: "it is a link that leads to nothing"})
					continue
				}
				e.Name = name
			}
			if err == nil && e.Kind != mirror.File {
				if e.Kind == mirror.Folder && o.recursive {
					folders = append(folders, e.Name)
				} else {
					o.voice.Event(mirror.Event{Action: mirror.Skip, Path: e.Name, Why: "it is a " + e.Kind.String() + " (--recursive fetches folders)"})
				}
				continue
			}
			if !yield(mirror.Pair{Src: e, From: e.Name, To: e.Name}, err) {
				return
			}
		}
	})
	for _, name := range folders {
		if err != nil {
			break
		}
		var more mirror.Summary
		more, err = getFolder(ctx, o, below(from, name), filepath.Join(local, name))
		sum.Add(more)
	}
	return sum, err
}

func getToStdout(ctx context.Context, say *speaker, o *carrying, store *mirror.FTP) error {
	dir, name := splitURL(store.URL)
	if name == "" {
		return usagef("name one file", "a folder cannot go to standard output")
	}
	o.voice.json, o.voice.quiet = false, true
	if isTerminal(say.out) {
		o.voice.dryRun = true // no bars between the lines
	}
	o.voice.open(say)
	from := &mirror.FTP{Pool: store.Pool, URL: dir}
	_, err := o.engine(from, mirror.Nowhere("-")).Send(ctx, from, name, say.out)
	o.voice.close()
	return err
}
