package ftpio

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
)

// LocalSource takes files from a folder of this machine. Regular files alone are
// taken: links and pipes are passed over.
type LocalSource struct {
	// Path is the folder. It has to be there.
	Path string
	// Match is a pattern for names, see [CheckMatch]. Empty matches all.
	Match string

	sync folderSync
}

// LocalSink puts files into a folder of this machine. A file is synced before it
// is published, and its folder after.
type LocalSink struct {
	// Path is the folder. It has to be there; folders below it are made.
	Path string

	sync folderSync
}

var (
	_ flow.Source = (*LocalSource)(nil)
	_ flow.Sink   = (*LocalSink)(nil)
)

// listBatch is how many names of a folder are read at once.
const listBatch = 512

func identity(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return "file:" + filepath.ToSlash(path)
}

func openRoot(path string) (*os.Root, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		e := fault.As(err, "open folder %q", path)
		if e.Kind == fault.NotFound {
			e.Hint = "make the folder, or correct the path; a disk that is not mounted looks the same"
		}
		return nil, e
	}
	return root, nil
}

// Properties implements [flow.Source].
func (s *LocalSource) Properties() flow.SourceProperties {
	return flow.SourceProperties{Identity: identity(s.Path)}
}

// List implements [flow.Source].
func (s *LocalSource) List(ctx context.Context) iter.Seq2[flow.File, error] {
	return func(yield func(flow.File, error) bool) {
		fail := func(err error) { yield(flow.File{}, fault.As(err, "list folder %q", s.Path)) }
		root, err := openRoot(s.Path)
		if err != nil {
			fail(err)
			return
		}
		defer root.Close()
		dir, err := root.Open(".")
		if err != nil {
			fail(err)
			return
		}
		defer dir.Close()
		for {
			if err := ctx.Err(); err != nil {
				fail(err)
				return
			}
			entries, err := dir.ReadDir(listBatch)
			for _, e := range entries {
				f, ok, err := s.entry(root, e)
				if err != nil {
					fail(err)
					return
				}
				if ok && !yield(f, nil) {
					return
				}
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				fail(err)
				return
			}
		}
	}
}

func (s *LocalSource) entry(root *os.Root, e fs.DirEntry) (flow.File, bool, error) {
	if !e.Type().IsRegular() || !takes(s.Match, e.Name()) {
		return flow.File{}, false, nil
	}
	info, err := root.Lstat(e.Name())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return flow.File{}, false, nil // gone or replaced since the folder was read
	}
	if err != nil {
		return flow.File{}, false, err
	}
	return flow.File{Path: flow.Path(e.Name()), Size: info.Size(), Time: info.ModTime().UTC()}, true, nil
}

// Open implements [flow.Source].
func (s *LocalSource) Open(_ context.Context, f flow.File) (io.ReadCloser, error) {
	root, err := openRoot(s.Path)
	if err != nil {
		return nil, unrooted(err)
	}
	defer root.Close()
	file, _, err := openRegular(root, f.Path)
	return file, err
}

// unrooted keeps a folder that is not there apart from a file that is not there:
// the first is trouble, the second may be an answer.
func unrooted(err error) error {
	if fault.KindOf(err) == fault.NotFound {
		return fault.Wrap(fault.Unreachable, err, "reach the folder")
	}
	return err
}

func openRegular(root *os.Root, name flow.Path) (*os.File, fs.FileInfo, error) {
	file, err := root.OpenFile(local(name), os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, nil, fault.As(err, "open %q", name)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fault.New(fault.Denied, "%q is not a regular file", name)
	}
	if err != nil {
		return nil, nil, errors.Join(fault.As(err, "open %q", name), file.Close())
	}
	return file, info, nil
}

// local spells a path for this system.
func local(p flow.Path) string {
	if p == "" {
		return "."
	}
	return filepath.FromSlash(string(p))
}

// Unchanged implements [flow.Source].
func (s *LocalSource) Unchanged(_ context.Context, f flow.File) (bool, error) {
	root, err := openRoot(s.Path)
	if err != nil {
		return false, unrooted(err)
	}
	defer root.Close()
	return unchanged(root, f)
}

func unchanged(root *os.Root, f flow.File) (bool, error) {
	info, err := root.Lstat(local(f.Path))
	if err != nil {
		return false, fault.As(err, "look at %q", f.Path)
	}
	return info.Mode().IsRegular() && info.Size() == f.Size && info.ModTime().Equal(f.Time), nil
}

// Delete implements [flow.Source].
func (s *LocalSource) Delete(_ context.Context, f flow.File) error {
	root, err := openRoot(s.Path)
	if err != nil {
		return unrooted(err)
	}
	defer root.Close()
	if err := root.Remove(local(f.Path)); err != nil {
		return fault.As(err, "delete %q", f.Path)
	}
	// Before the transfer is called done: a file that a power cut brought back
	// would travel again.
	return s.sync.folder(root, f.Path.Dir())
}

// Move implements [flow.Source].
func (s *LocalSource) Move(_ context.Context, f flow.File, to flow.Path) error {
	root, err := openRoot(s.Path)
	if err != nil {
		return unrooted(err)
	}
	defer root.Close()
	if _, err := root.Lstat(local(f.Path)); err != nil {
		return fault.As(err, "move %q", f.Path)
	}
	if err := s.sync.makeFolders(root, to.Dir()); err != nil {
		return err
	}
	if err := renameNew(root, f.Path, to); err != nil {
		return fault.As(err, "move %q to %q", f.Path, to)
	}
	if err := s.sync.folder(root, to.Dir()); err != nil {
		return err
	}
	if to.Dir() == f.Path.Dir() {
		return nil
	}
	return s.sync.folder(root, f.Path.Dir())
}

// Properties implements [flow.Sink].
func (s *LocalSink) Properties() flow.SinkProperties {
	return flow.SinkProperties{Identity: identity(s.Path)}
}

// Write implements [flow.Sink].
func (s *LocalSink) Write(ctx context.Context, temp flow.Path, body io.Reader) (w flow.Written, err error) {
	root, err := openRoot(s.Path)
	if err != nil {
		return w, err
	}
	defer root.Close()
	file, err := s.create(root, temp)
	if err != nil {
		return w, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
			_ = root.Remove(local(temp)) // the engine removes it later if this does not
		}
	}()
	if _, err := flow.Copy(file, &interruptible{ctx, body}); err != nil {
		return w, s.room(fault.As(err, "write %q", temp))
	}
	if err := file.Sync(); err != nil {
		return w, s.room(fault.As(err, "sync %q", temp))
	}
	info, err := file.Stat()
	if err != nil {
		return w, fault.As(err, "look at %q", temp)
	}
	if err := file.Close(); err != nil {
		return w, fault.As(err, "close %q", temp)
	}
	return flow.Written{Size: info.Size()}, nil
}

// create makes a file that was not there. What an earlier journal has left under
// the name goes.
func (s *LocalSink) create(root *os.Root, name flow.Path) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	file, err := root.OpenFile(local(name), flags, 0o666)
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.sync.makeFolders(root, name.Dir()); err != nil {
			return nil, err
		}
		file, err = root.OpenFile(local(name), flags, 0o666)
	}
	if errors.Is(err, fs.ErrExist) {
		if err := root.Remove(local(name)); err != nil {
			return nil, fault.As(err, "remove leftover %q", name)
		}
		file, err = root.OpenFile(local(name), flags, 0o666)
	}
	if err != nil {
		return nil, s.room(fault.As(err, "make %q in %q", name, s.Path))
	}
	return file, nil
}

// room says what to do about a full disk.
func (s *LocalSink) room(err *fault.Error) error {
	if err.Kind == fault.Full && fault.HintOf(err) == "" {
		return err.WithHint("make room on the disk of %s; the file is tried again by itself", s.Path)
	}
	return err
}

// interruptible ends reading when ctx ends.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptible) Read(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(b)
}

// Publish implements [flow.Sink].
func (s *LocalSink) Publish(_ context.Context, temp, final flow.Path, replace bool) error {
	root, err := openRoot(s.Path)
	if err != nil {
		return err
	}
	defer root.Close()
	if replace {
		err = root.Rename(local(temp), local(final))
	} else {
		err = renameNew(root, temp, final)
	}
	if err != nil {
		return fault.As(err, "rename %q to %q", temp, final)
	}
	return s.sync.folder(root, final.Dir())
}

// Look implements [flow.Sink].
func (s *LocalSink) Look(ctx context.Context, name flow.Path, hash bool) (flow.Look, error) {
	root, err := openRoot(s.Path)
	if err != nil {
		return flow.Look{}, err
	}
	defer root.Close()
	info, err := root.Lstat(local(name))
	if errors.Is(err, fs.ErrNotExist) {
		return flow.Look{}, nil
	}
	if err != nil {
		return flow.Look{}, fault.As(err, "look at %q", name)
	}
	if !info.Mode().IsRegular() {
		return flow.Look{}, fault.New(fault.Exists, "%q is taken by something that is not a file", name).
			WithHint("take it away, or choose another name")
	}
	l := flow.Look{There: true, Size: info.Size()}
	if !hash {
		return l, nil
	}
	file, _, err := openRegular(root, name)
	if err != nil {
		return l, err
	}
	defer file.Close()
	sum := sha256.New()
	if l.Size, err = flow.Copy(sum, &interruptible{ctx, file}); err != nil {
		return l, fault.As(err, "read %q", name)
	}
	l.Hash = sum.Sum(nil)
	// What is called delivered on the strength of this must survive a power cut.
	return l, s.sync.folder(root, name.Dir())
}

// Discard implements [flow.Sink].
func (s *LocalSink) Discard(_ context.Context, temp flow.Path) error {
	root, err := openRoot(s.Path)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Remove(local(temp)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.As(err, "remove %q", temp)
	}
	return nil
}
