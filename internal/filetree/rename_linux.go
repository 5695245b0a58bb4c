package filetree

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// renameNew moves from to to within root, unless something is there, in one step of
// the kernel: RENAME_NOREPLACE of renameat2(2). Disks that do not know it are looked
// at first.
func renameNew(root *os.Root, from, to string) error {
	fromDir, fromBase := split(from)
	toDir, toBase := split(to)
	old, err := root.OpenFile(fromDir, os.O_RDONLY|directory, 0)
	if err != nil {
		return err
	}
	defer func() { _ = old.Close() }() // nothing was written through it
	dir, err := root.OpenFile(toDir, os.O_RDONLY|directory, 0)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // as above
	err = unix.Renameat2(int(old.Fd()), fromBase, int(dir.Fd()), toBase, unix.RENAME_NOREPLACE)
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP):
		return renameChecked(root, from, to)
	case err != nil:
		return &os.LinkError{Op: "renameat2", Old: from, New: to, Err: err}
	}
	return nil
}
