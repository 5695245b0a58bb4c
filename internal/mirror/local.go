package mirror

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sallyport.dev/internal/fault"
)

// Local is a folder on this machine. No name and no link leads out of it.
type Local struct {
	root  *os.Root
	folds bool
}

// OpenLocal opens the folder dir. It must be closed.
func OpenLocal(dir string) (*Local, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.As(err, "open folder %q", dir)
	}
	return &Local{root: root, folds: folds(root)}, nil
}

// folds finds out whether names that differ only in case are one here: by looking
// for the folder itself under the other case, or what is in it.
func folds(root *os.Root) bool {
	other := func(name string) string {
		if up := strings.ToUpper(name); up != name {
			return up
		}
		return strings.ToLower(name)
	}
	dir, err := filepath.Abs(root.Name())
	if err != nil {
		return false
	}
	name := filepath.Base(dir)
	if other(name) == name {
		return foldsInside(root, other)
	}
	is, err := os.Lstat(dir)
	if err != nil {
		return false
	}
	too, err := os.Lstat(filepath.Join(filepath.Dir(dir), other(name)))
	return err == nil && os.SameFile(is, too)
}

// foldsInside looks at what is in the folder.
func foldsInside(root *os.Root, other func(string) string) bool {
	d, err := root.Open(".")
	if err != nil {
		return false
	}
	defer d.Close()
	names, _ := d.Readdirnames(64) // what cannot be read is asked nothing
	for _, name := range names {
		if other(name) == name {
			continue
		}
		is, err := root.Lstat(name)
		if err != nil {
			continue
		}
		too, err := root.Lstat(other(name))
		return err == nil && os.SameFile(is, too)
	}
	return false
}

// Close closes the folder.
func (l *Local) Close() error { return l.root.Close() }

// String implements [Store].
func (l *Local) String() string { return l.root.Name() }

// Habits implements [Store].
func (l *Local) Habits(context.Context) (Habits, error) {
	return Habits{KeepsTimes: true, Folds: l.folds}, nil
}

// Hold implements [Store].
func (l *Local) Hold(name string) error { return holdLocal(name) }

func at(name string) string {
	if name == "" {
		return "."
	}
	return filepath.FromSlash(name)
}

// List implements [Store].
func (l *Local) List(ctx context.Context, dir string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		d, err := l.root.Open(at(dir))
		if err != nil {
			yield(Entry{}, fault.As(err, "list folder %q", dir))
			return
		}
		defer d.Close()
		for {
			if ctx.Err() != nil {
				yield(Entry{}, context.Cause(ctx))
				return
			}
			names, err := d.Readdirnames(1024)
			for _, name := range names {
				info, err := l.root.Lstat(at(join(dir, name)))
				if errors.Is(err, fs.ErrNotExist) {
					continue // it has gone meanwhile
				}
				if err != nil {
					yield(Entry{}, fault.As(err, "list folder %q", dir))
					return
				}
				if !yield(localEntry(name, info), nil) {
					return
				}
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Entry{}, fault.As(err, "list folder %q", dir))
				return
			}
		}
	}
}

func localEntry(name string, info fs.FileInfo) Entry {
	e := Entry{Name: name, Kind: Other, Size: info.Size(), Time: info.ModTime(), Precision: time.Microsecond}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		e.Kind = File
	case mode.IsDir():
		e.Kind, e.Size = Folder, -1
	case mode&fs.ModeSymlink != 0:
		e.Kind = Link
	}
	return e
}

// Stat implements [Store].
func (l *Local) Stat(_ context.Context, name string) (Entry, error) {
	info, err := l.root.Stat(at(name))
	if err != nil {
		return Entry{}, fault.As(err, "look at %q", name)
	}
	return localEntry(name, info), nil
}

// Open implements [Store].
func (l *Local) Open(_ context.Context, name string, offset int64) (io.ReadCloser, error) {
	// A pipe would keep an open waiting for ever.
	f, err := l.root.OpenFile(at(name), os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, fault.As(err, "open %q", name)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fault.New(fault.Invalid, "it is no file")
	}
	if err == nil && offset > 0 {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		_ = f.Close() // nothing was read
		return nil, fault.As(err, "open %q", name)
	}
	return f, nil
}

// Create implements [Store].
func (l *Local) Create(_ context.Context, name string, offset int64) (Writer, error) {
	flags := os.O_WRONLY | openFlags
	if offset == 0 {
		flags |= os.O_CREATE
	}
	if info, err := l.root.Lstat(at(name)); err == nil && !info.Mode().IsRegular() {
		return nil, fault.New(fault.Exists, "write %q: it is there and no file", name)
	}
	f, err := l.root.OpenFile(at(name), flags, 0o666)
	if err != nil {
		return nil, fault.As(err, "write %q", name)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fault.New(fault.Exists, "it is no file")
	case info.Size() < offset:
		err = fault.New(fault.Unreachable, "it has become shorter than %d bytes", offset)
	default:
		if err = own(f); err == nil {
			err = f.Truncate(offset)
		}
		if err == nil {
			_, err = f.Seek(offset, io.SeekStart)
		}
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, fault.As(err, "write %q", name)
	}
	return &localWriter{f, name}, nil
}

// localWriter is a file being written. What it is a part of gets its name only after
// the bytes are on disk.
type localWriter struct {
	*os.File
	name string
}

// Commit implements [Writer].
func (w *localWriter) Commit() error {
	if err := errors.Join(w.Sync(), w.Close()); err != nil {
		return fault.As(err, "write %q", w.name)
	}
	return nil
}

// Abort implements [Writer].
func (w *localWriter) Abort() error { return w.Close() }

// Rename implements [Store].
func (l *Local) Rename(_ context.Context, from, to string) error {
	if err := l.root.Rename(at(from), at(to)); err != nil {
		return fault.As(err, "rename %q to %q", from, to)
	}
	return nil
}

// Remove implements [Store].
func (l *Local) Remove(_ context.Context, name string) error {
	info, err := l.root.Lstat(at(name))
	if err == nil && info.IsDir() {
		err = fault.New(fault.Exists, "it has become a folder")
	}
	if err == nil {
		err = l.root.Remove(at(name))
	}
	if err != nil {
		return fault.As(err, "remove %q", name)
	}
	return nil
}

// RemoveFolder implements [Store].
func (l *Local) RemoveFolder(_ context.Context, name string) error {
	info, err := l.root.Lstat(at(name))
	if err == nil && !info.IsDir() {
		err = fault.New(fault.Exists, "it is no folder any more")
	}
	if err == nil {
		err = l.root.Remove(at(name))
	}
	if err != nil {
		return fault.As(err, "remove folder %q", name)
	}
	return nil
}

// MakeFolder implements [Store].
func (l *Local) MakeFolder(_ context.Context, name string) error {
	if err := l.root.MkdirAll(at(name), 0o777); err != nil {
		return fault.As(err, "make folder %q", name)
	}
	return nil
}

// SetTime implements [Store].
func (l *Local) SetTime(_ context.Context, name string, t time.Time) error {
	if err := l.root.Chtimes(at(name), t, t); err != nil {
		return fault.As(err, "set the time of %q", name)
	}
	return nil
}
