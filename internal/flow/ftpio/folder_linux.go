package ftpio

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"sallyport.dev/internal/flow"
)

// renameNew renames a file unless the new name is taken, which is fs.ErrExist. The
// folders are opened through root and the last elements hold no "/", so that the
// rename stays in root, as root's own does.
func renameNew(root *os.Root, from, to flow.Path) error {
	a, err := root.Open(local(flow.Path(from.Dir())))
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := root.Open(local(flow.Path(to.Dir())))
	if err != nil {
		return err
	}
	defer b.Close()
	err = unix.Renameat2(int(a.Fd()), from.Base(), int(b.Fd()), to.Base(), unix.RENAME_NOREPLACE)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOTSUP):
		return renameLinked(root, from, to) // a file system that does not know the flag
	case errors.Is(err, unix.EEXIST):
		// Both names of one file: an earlier rename by link was cut short.
		if x, err := root.Lstat(local(from)); err == nil {
			if y, err := root.Lstat(local(to)); err == nil && os.SameFile(x, y) {
				return root.Remove(local(from))
			}
		}
	}
	return &fs.PathError{Op: "rename", Path: string(to), Err: err}
}
