// Package filetree gives a folder of this machine to a server that speaks of
// virtual paths: absolute, separated by "/", already cleaned.
//
// A [Tree] is rooted in an [os.Root], so that neither ".." nor a symbolic link,
// swapped in at whatever moment, leads out of the folder. Only folders and
// regular files are served: pipes, sockets and devices are refused without ever
// blocking on them. What is read or written is a bare [os.File], so that the
// kernel can move the bytes by itself.
//
// An [Upload] is written beside its final place under a hidden name (see
// [IsPart]) and published by a rename when it is whole; one that is broken off
// leaves nothing behind. Parts are neither listed nor reachable by their names.
//
// The package knows no protocol and no user. Its errors are of package fault:
// their public text quotes the virtual path and never shows a path of this machine.
package filetree

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"sallyport.dev/internal/fault"
)

// Tree is one folder and everything beneath it. Its methods may be called by
// many goroutines at once.
type Tree struct {
	// Policy is how it writes. Set it before the first use.
	Policy

	root *os.Root
}

// Open opens the folder dir of this machine. The caller closes the tree.
func Open(dir string) (*Tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.As(err, "opening folder %q", dir).WithHint("make the folder, or name one that this user may read")
	}
	return &Tree{root: root}, nil
}

// Sub opens the folder name as a tree of its own, whose walls are as high, with the
// settings of t. With create it is made when it is missing, and so are those above
// it. The caller closes the tree.
func (t *Tree) Sub(name string, create bool) (*Tree, error) {
	rel, err := inner(name)
	if err != nil {
		return nil, err
	}
	if create {
		if err := t.mkdirAll(rel, name); err != nil {
			return nil, err
		}
	}
	root, err := t.root.OpenRoot(rel)
	if err != nil {
		return nil, explain(err, name)
	}
	return &Tree{Policy: t.Policy, root: root}, nil
}

// Close releases the folder. Files that are open stay open.
func (t *Tree) Close() error { return t.root.Close() }

// Stat describes what name leads to. A symbolic link that stays within the tree
// is followed.
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	rel, err := local(name)
	if err != nil {
		return nil, err
	}
	info, err := t.root.Stat(rel)
	if err != nil {
		return nil, explain(err, name)
	}
	return info, nil
}

// Open opens the regular file name for reading.
func (t *Tree) Open(name string) (*os.File, error) {
	rel, err := local(name)
	if err != nil {
		return nil, err
	}
	f, err := t.root.OpenFile(rel, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, explain(err, name)
	}
	if _, err := regular(f, name); err != nil {
		return nil, err
	}
	return f, nil
}

// regular closes f and returns an error unless f is a regular file. The open
// file is asked, not its name, which may mean another file by now.
func regular(f *os.File, name string) (fs.FileInfo, error) {
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() {
		return info, nil
	}
	_ = f.Close() // nothing was written through it
	if err != nil {
		return nil, explain(err, name)
	}
	return nil, notRegular(info, name)
}

func notRegular(info fs.FileInfo, name string) error {
	if info.IsDir() {
		return fault.New(fault.Denied, "%q is a folder, not a file", name)
	}
	return fault.New(fault.Denied, "%q is not a regular file", name).
		WithHint("only files and folders are served, no pipes or devices")
}

// Rename moves oldname to newname. A file at newname is replaced, if the policy
// lets it be.
func (t *Tree) Rename(oldname, newname string) error {
	from, err := inner(oldname)
	if err != nil {
		return err
	}
	to, err := inner(newname)
	if err != nil {
		return err
	}
	// The target is looked at only to refuse what would surprise: rename(2) puts
	// a file in the place of a pipe, and a folder in the place of an empty one.
	keep := t.KeepRenamed
	switch info, err := t.root.Lstat(to); {
	case err != nil:
	case !info.Mode().IsRegular() && !info.IsDir() && info.Mode()&fs.ModeSymlink == 0:
		return notRegular(info, newname)
	default:
		same, err := t.root.Lstat(from)
		if err == nil && os.SameFile(info, same) { // its own name, or that in other letters
			keep = false
			if from == to && info.IsDir() {
				return nil // done already, as rename(2) has it; os.Root would refuse
			}
		} else if info.IsDir() {
			return fault.New(fault.Exists, "a folder %q exists already", newname)
		}
	}
	if err := rename(t.root, from, to, keep); err != nil {
		if _, lerr := t.root.Lstat(from); lerr != nil {
			return explain(lerr, oldname)
		}
		if keep && errors.Is(err, fs.ErrExist) {
			return errExists(newname)
		}
		return explain(err, newname)
	}
	return nil
}

// Remove removes the file, link, pipe or socket name, and never a folder.
func (t *Tree) Remove(name string) error {
	rel, err := inner(name)
	if err != nil {
		return err
	}
	info, err := t.root.Lstat(rel)
	if err != nil {
		return explain(err, name)
	}
	if info.IsDir() {
		return fault.New(fault.Denied, "%q is a folder, not a file", name)
	}
	if err := t.root.Remove(rel); err != nil {
		return explain(err, name)
	}
	return nil
}

// Mkdir makes the folder name, whose parent must be there.
func (t *Tree) Mkdir(name string) error {
	rel, err := inner(name)
	if err != nil {
		return err
	}
	return t.mkdir(rel, name)
}

// Rmdir removes the empty folder name, and never a file.
func (t *Tree) Rmdir(name string) error {
	rel, err := inner(name)
	if err != nil {
		return err
	}
	info, err := t.root.Lstat(rel)
	if err != nil {
		return explain(err, name)
	}
	if !info.IsDir() {
		return fault.New(fault.Denied, "%q is not a folder", name)
	}
	if err := t.root.Remove(rel); err != nil {
		return explain(err, name)
	}
	return nil
}

// SetTime sets the modification time of name.
func (t *Tree) SetTime(name string, modified time.Time) error {
	rel, err := inner(name)
	if err != nil {
		return err
	}
	if err := t.served(rel, name); err != nil {
		return err
	}
	if err := t.root.Chtimes(rel, time.Time{}, modified); err != nil {
		return explain(err, name)
	}
	return nil
}

// served refuses what is neither a file nor a folder. Between this and what
// follows the name may come to mean a pipe, whose time or permissions then change:
// no bytes move, and no wall is crossed.
func (t *Tree) served(rel, name string) error {
	switch info, err := t.root.Stat(rel); {
	case err != nil:
		return explain(err, name)
	case !info.IsDir() && !info.Mode().IsRegular():
		return notRegular(info, name)
	}
	return nil
}

// SetMode sets the permissions of name, the lowest nine bits of mode. Systems
// without such permissions refuse it.
func (t *Tree) SetMode(name string, mode fs.FileMode) error {
	rel, err := inner(name)
	if err != nil {
		return err
	}
	if !keepsMode {
		return fault.New(fault.Unsupported, "this system has no permissions in that form")
	}
	if err := t.served(rel, name); err != nil {
		return err
	}
	if err := t.chmod(rel, mode); err != nil {
		return explain(err, name)
	}
	return nil
}

// Free returns how many bytes there is room for in the folder name.
func (t *Tree) Free(name string) (uint64, error) {
	rel, err := local(name)
	if err != nil {
		return 0, err
	}
	d, err := t.root.OpenFile(rel, os.O_RDONLY|nonblock|directory, 0)
	if err != nil {
		return 0, explain(err, name)
	}
	n, err := freeBytes(d)
	_ = d.Close() // only read
	if err != nil {
		return 0, explain(err, name)
	}
	return n, nil
}

// maxPath bounds a virtual path, in bytes.
const maxPath = 4096

// local turns a virtual path into one relative to the root, in this system's
// spelling. os.Root holds the walls; this refuses what has no meaning there.
func local(name string) (string, error) {
	switch {
	case len(name) > maxPath:
		return "", fault.New(fault.Invalid, "path is longer than %d bytes", maxPath)
	case !strings.HasPrefix(name, "/") || path.Clean(name) != name || strings.ContainsAny(name, "\x00\r\n"):
		return "", fault.New(fault.Invalid, "%q is not a clean absolute path", name)
	case name == "/":
		return ".", nil
	case IsPart(path.Base(name)):
		return "", fault.New(fault.NotFound, "%q is not there", name).
			WithHint("names like this are kept for uploads that are not whole yet")
	}
	return localize(name[1:])
}

// inner is local for operations that the root itself cannot be the object of.
func inner(name string) (string, error) {
	if name == "/" {
		return "", fault.New(fault.Denied, "the top folder can be neither replaced, moved, removed nor changed")
	}
	return local(name)
}
