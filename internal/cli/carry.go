package cli

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/mirror"
)

// carrying is what get, put and sync have in common.
type carrying struct {
	reach     reach
	voice     voice
	recursive bool
	force     bool
	parallel  int
	retries   int
	filter    mirror.Filter
}

func (c *carrying) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&c.force, "force", false, "carry also what is there with the same size and time")
	f.IntVarP(&c.parallel, "parallel", "P", 4, "files carried at once, each on a connection of its own")
	f.IntVar(&c.retries, "retries", 5, "how often a fault that can pass is tried again, for each file")
	f.StringArrayVar(&c.filter.Include, "include", nil, "only files that match this glob; may be given several times")
	f.StringArrayVar(&c.filter.Exclude, "exclude", nil, "no files and folders that match this glob; may be given several times")
	f.StringVar(&c.reach.charset, "charset", "", "character set of the server's names, such as latin1 or shift-jis; without it UTF-8")
	f.BoolVar(&c.reach.active, "active", false, "let the server open the data connections")
	c.voice.flags(cmd)
	c.reach.flags(cmd)
}

func (c *carrying) check() error {
	if c.parallel < 1 || c.parallel > 256 {
		return usagef("many servers take no more than ten connections of one client", "--parallel %d is not from 1 to 256", c.parallel)
	}
	if c.retries < 0 {
		return usagef("0 tries once", "--retries %d is below 0", c.retries)
	}
	if err := c.filter.Check(); err != nil {
		return &usageError{err}
	}
	return nil
}

// engine returns the engine between two stores.
func (c *carrying) engine(from, to mirror.Store) *mirror.Sync {
	return &mirror.Sync{
		From: from, To: to, Filter: c.filter, Force: c.force,
		Parallel: c.parallel, Retries: c.retries, Report: &c.voice, MaxDelete: -1,
	}
}

// openFolder opens a folder on this machine, after making it.
func openFolder(dir string) (*mirror.Local, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil { //nolint:gosec // the umask decides, as with mkdir
		return nil, fault.As(err, "make folder %q", dir)
	}
	return mirror.OpenLocal(dir)
}

// isFolder reports whether a path of this machine is a folder, or is written as one.
func isFolder(path string) bool {
	if path == "" {
		return false
	}
	if os.IsPathSeparator(path[len(path)-1]) {
		return true
	}
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// once gives a single pair.
func once(p mirror.Pair) func(func(mirror.Pair, error) bool) {
	return func(yield func(mirror.Pair, error) bool) { yield(p, nil) }
}

// interruptible makes reads end with ctx. What is read from a terminal or a pipe
// cannot be stopped: it is left behind, and the process ends soon.
type interruptible struct {
	ctx  context.Context // of the command
	r    io.Reader
	buf  []byte
	held []byte
	got  chan int
	err  error
}

func (i *interruptible) Read(p []byte) (int, error) {
	if len(i.held) == 0 {
		if i.err != nil {
			return 0, i.err
		}
		if i.buf == nil {
			i.buf, i.got = make([]byte, 64<<10), make(chan int, 1)
		}
		go func() {
			n, err := i.r.Read(i.buf)
			i.err = err
			i.got <- n
		}()
		select {
		case n := <-i.got:
			i.held = i.buf[:n]
		case <-i.ctx.Done():
			return 0, context.Cause(i.ctx)
		}
	}
	n := copy(p, i.held)
	i.held = i.held[n:]
	return n, nil
}

// into says where in the folder or under which path a file goes: its own name in a
// folder, otherwise the path itself.
func into(local, name string) string {
	switch {
	case local == "":
		return name
	case isFolder(local):
		return filepath.Join(local, name)
	default:
		return local
	}
}
