package filetree

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"sallyport.dev/internal/fault"
)

// Policy says how a tree writes. The zero value writes with the permissions that
// this process gives, replaces what is there, and leaves nothing of what is cut.
type Policy struct {
	// Sync makes an upload's Commit wait until the file's bytes and, after the
	// rename, its folder's entry are on the disk.
	Sync bool
	// KeepParts makes an upload's Abort publish what came, if anything did, so that
	// it can be resumed.
	KeepParts bool
	// KeepExisting refuses uploads that would replace a file or add to it.
	KeepExisting bool
	// KeepRenamed refuses to rename something over a file.
	KeepRenamed bool
	// FileMode and DirMode are the permissions of new files and folders, exactly;
	// 0 means 0666 and 0777 less what the process's mask takes away. A file that is
	// replaced keeps its own.
	FileMode, DirMode fs.FileMode
	// Owner, if set, owns what is new.
	Owner *Owner
}

// Owner is who owns a file, in the system's numbers; -1 leaves one of them alone.
type Owner struct{ UID, GID int }

// errExists is about a file that is to stay as it is.
func errExists(name string) error {
	return fault.New(fault.Exists, "%q exists already", name).
		WithHint("this site replaces no files: choose another name, or delete it first")
}

// mkdir makes the folder rel as the policy has it.
func (t *Tree) mkdir(rel, name string) error {
	mode := fs.FileMode(0o777)
	if t.DirMode != 0 {
		mode = t.DirMode.Perm()
	}
	if err := t.root.Mkdir(rel, mode); err != nil {
		return explain(err, name)
	}
	if err := t.own(rel); err != nil {
		_ = t.root.Remove(rel) // it is empty, and err is what counts
		return explain(err, name)
	}
	return nil
}

// own gives the new folder rel the permissions that the mask took, and its owner.
func (t *Tree) own(rel string) error {
	if t.DirMode != 0 && keepsMode {
		if err := t.chmod(rel, t.DirMode); err != nil {
			return err
		}
	}
	if t.Owner == nil {
		return nil
	}
	return t.root.Lchown(rel, t.Owner.UID, t.Owner.GID)
}

// chmod sets permissions. A folder keeps the bit by which what is made in it gets
// its group, and the sticky one, as with chmod(1).
func (t *Tree) chmod(rel string, mode fs.FileMode) error {
	info, err := t.root.Stat(rel)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return t.root.Chmod(rel, mode.Perm()|info.Mode()&(fs.ModeSetgid|fs.ModeSticky))
	}
	return t.root.Chmod(rel, mode.Perm())
}

// mkdirAll makes the folder rel, and those above it, where they are missing.
func (t *Tree) mkdirAll(rel, name string) error {
	for i := 0; i <= len(rel); i++ {
		if i < len(rel) && rel[i] != os.PathSeparator {
			continue
		}
		err := t.mkdir(rel[:i], name)
		if err != nil && fault.KindOf(err) != fault.Exists {
			return err
		}
	}
	return nil
}

// replaceable refuses a name at which a file is that is to stay. It is only a first
// look: what counts is that the file gets its name in one step.
func (t *Tree) replaceable(folder *os.Root, base, name string) error {
	if !t.KeepExisting {
		return nil
	}
	if _, err := folder.Lstat(base); !errors.Is(err, fs.ErrNotExist) {
		return errExists(name)
	}
	return nil
}

// rename moves from to to within root. With keep it fails with fs.ErrExist where a
// file is.
func rename(root *os.Root, from, to string, keep bool) error {
	if keep {
		return renameNew(root, from, to)
	}
	return root.Rename(from, to)
}

// renameChecked is renameNew where the system has no such call, or the disk none:
// what comes to be there between the look and the step is replaced.
func renameChecked(root *os.Root, from, to string) error {
	if _, err := root.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
	}
	return root.Rename(from, to)
}

// split is path.Split for paths below the root.
func split(rel string) (folder, base string) {
	i := strings.LastIndexByte(rel, os.PathSeparator)
	if i < 0 {
		return ".", rel
	}
	return rel[:i], path.Base(rel[i+1:])
}
