package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/mirror"
)

type syncOptions struct {
	carrying
	delete    bool
	maxDelete int64
	checksum  bool
	dst       reach // of DST, where SRC is a URL, too
}

func newSync(say *speaker) *cobra.Command {
	o := &syncOptions{}
	cmd := &cobra.Command{
		Use:   "sync SRC DST",
		Short: "Make what is in one folder be in another, one way",
		Long: `Sync carries what is in the folder SRC into the folder DST, with the folders below
it; DST is made if it is not there. Each is a URL or a path; a slash at the end
means nothing. Nothing ever changes in SRC.

Files whose size and time are the same are left alone; the times are compared as
exactly as the listings give them. Where a server does not set times, a file that
came there after it last changed is taken for the same. --checksum compares what
is in files instead, by reading both, which takes as long as carrying them.

--delete removes from DST what is not in SRC, at the end, and only if everything
could be listed and carried: with a single fault nothing is removed. What the
globs leave out is not removed either. --max-delete N removes nothing if that
would be more than N files and folders. An empty SRC empties DST only with it.

A glob without a slash is about names anywhere, one with a slash about paths from
the top, and ** stands for any folders. Links are followed to files within SRC,
and never to folders.

The flags that say how a server is reached are for the one URL, or for SRC where
both are URLs; DST then has flags of its own, --dst-….`,
		Example: `  sallyport sync ftp://erp@ftp.example.com/out /data/orders
  sallyport sync --delete --dry-run /data/site ftpes://web@ftp.example.com/htdocs
  sallyport sync ftp://erp@10.0.0.5/out ftp://ftp.example.com/in --location plant1 --exclude '*.tmp'`,
		Args: exactly(2, "a source and a destination"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSync(cmd.Context(), say, o, args[0], args[1])
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.delete, "delete", false, "remove from DST what is not in SRC, if nothing went wrong")
	f.Int64Var(&o.maxDelete, "max-delete", -1, "with --delete: remove nothing if it would be more than this; -1 is no limit")
	f.BoolVarP(&o.voice.dryRun, "dry-run", "n", false, "print what would be done, and do nothing")
	f.BoolVar(&o.checksum, "checksum", false, "compare what is in files, by reading both, instead of times")
	f.StringVar(&o.dst.location, "dst-location", "", "location of DST, where SRC is a URL, too")
	f.StringVar(&o.dst.proxy, "dst-proxy", "", "SOCKS5 proxy to DST, where SRC is a URL, too")
	f.StringVar(&o.dst.proxyPasswordFile, "dst-proxy-password-file", "", "file with that proxy user's password")
	f.StringVar(&o.dst.passwordFile, "dst-password-file", "", "file with the password at DST; without it $"+dstPasswordVariable+", or a prompt")
	f.StringVar(&o.dst.caFile, "dst-ca-file", "", "PEM file of the authorities for DST")
	f.StringVar(&o.dst.pin, "dst-pin", "", "SHA-256 of DST's certificate")
	f.BoolVar(&o.dst.noVerify, "dst-no-verify", false, "believe any certificate of DST")
	o.carrying.flags(cmd)
	stateFlag(cmd, &o.reach.state)
	return cmd
}

// dstPasswordVariable is where the password at DST may be, where both are URLs.
const dstPasswordVariable = "SALLYPORT_DST_PASSWORD" //nolint:gosec // its name, not a password

func (o *syncOptions) check() error {
	switch {
	case o.maxDelete >= 0 && !o.delete:
		return usagef("add --delete", "--max-delete says how much --delete may remove")
	case o.maxDelete < -1:
		return usagef("-1 is no limit", "--max-delete %d is below -1", o.maxDelete)
	}
	return o.carrying.check()
}

func runSync(ctx context.Context, say *speaker, o *syncOptions, src, dst string) error {
	if err := o.check(); err != nil {
		return err
	}
	if err := apart(src, dst); err != nil {
		return err
	}
	dstReach := &o.reach
	if isURL(src) && isURL(dst) {
		o.dst.state, o.dst.active, o.dst.variable = o.reach.state, o.reach.active, dstPasswordVariable
		dstReach = &o.dst
	} else if o.dst != (reach{}) {
		return usagef("leave dst- out: the flags are for the one URL", "--dst-… is for a DST whose SRC is a URL, too")
	}
	from, endFrom, err := o.source(ctx, say, src)
	if err != nil {
		return err
	}
	defer endFrom()
	to, endTo, err := o.destination(ctx, say, dst, dstReach)
	if err != nil {
		return err
	}
	defer endTo()
	s := o.engine(from, to)
	s.Delete, s.MaxDelete, s.DryRun, s.Checksum = o.delete, o.maxDelete, o.voice.dryRun, o.checksum
	o.voice.open(say)
	sum, err := s.Run(ctx)
	return o.voice.finish(sum, err)
}

func (o *syncOptions) source(ctx context.Context, say *speaker, src string) (mirror.Store, func(), error) {
	if isURL(src) {
		u, err := urlArg(src)
		if err != nil {
			return nil, nil, err
		}
		return store(o.reach.connect(ctx, say, u, o.parallel))
	}
	l, err := mirror.OpenLocal(src)
	if err != nil {
		return nil, nil, err
	}
	return l, func() { _ = l.Close() }, nil // it was read alone
}

func (o *syncOptions) destination(ctx context.Context, say *speaker, dst string, r *reach) (mirror.Store, func(), error) {
	if isURL(dst) {
		u, err := urlArg(dst)
		if err != nil {
			return nil, nil, err
		}
		return store(r.connect(ctx, say, u, o.parallel))
	}
	if o.voice.dryRun {
		if _, err := os.Stat(dst); os.IsNotExist(err) {
			return mirror.Nowhere(dst), func() {}, nil
		}
	}
	l, err := openFolder(dst)
	if err != nil {
		return nil, nil, err
	}
	return l, func() { _ = l.Close() }, nil // files in it are closed one by one
}

func store(f *mirror.FTP, end func(), err error) (mirror.Store, func(), error) {
	if err != nil {
		return nil, nil, err
	}
	return f, end, nil
}

// apart refuses folders of which one is in the other: what is carried would be
// carried again.
func apart(src, dst string) error {
	a, b, err := places(src, dst)
	if err != nil || a == "" {
		return err
	}
	if a == b || strings.HasPrefix(b, strings.TrimSuffix(a, "/")+"/") || strings.HasPrefix(a, strings.TrimSuffix(b, "/")+"/") {
		return usagef("choose two that lie side by side", "SRC and DST are the same folder, or one is in the other")
	}
	return nil
}

// places spells two arguments of one kind so that they can be compared; "" if they
// are not of one kind.
func places(src, dst string) (a, b string, err error) {
	if isURL(src) != isURL(dst) {
		return "", "", nil
	}
	if isURL(src) {
		return urlPlaces(src, dst)
	}
	if a, err = realPath(src); err == nil {
		b, err = realPath(dst)
	}
	return filepath.ToSlash(a), filepath.ToSlash(b), err
}

func urlPlaces(src, dst string) (string, string, error) {
	u, err := urlArg(src)
	if err != nil {
		return "", "", err
	}
	v, err := urlArg(dst)
	if err != nil {
		return "", "", err
	}
	if u.Addr() != v.Addr() || u.User != v.User || strings.HasPrefix(u.Path, "/") != strings.HasPrefix(v.Path, "/") {
		return "", "", nil
	}
	a, err := ftp.JoinPath("/", u.Path)
	if err != nil {
		return "", "", &usageError{err}
	}
	b, err := ftp.JoinPath("/", v.Path)
	if err != nil {
		return "", "", &usageError{err}
	}
	return a, b, nil
}

// realPath resolves links as far as a path exists.
func realPath(p string) (string, error) {
	full, err := filepath.Abs(p)
	if err != nil {
		return "", fault.As(err, "find folder %q", p)
	}
	for rest, up := "", full; ; {
		if real, err := filepath.EvalSymlinks(up); err == nil {
			return filepath.Join(real, rest), nil
		}
		parent := filepath.Dir(up)
		if parent == up {
			return full, nil
		}
		rest, up = filepath.Join(filepath.Base(up), rest), parent
	}
}
