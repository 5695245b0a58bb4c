//go:build unix

package filetree

import (
	"os"
	"strings"
	"syscall"

	"sallyport.dev/internal/fault"
)

const (
	// nonblock keeps the opening of a pipe or device from waiting for a peer, and
	// that of a terminal from becoming this process's own.
	nonblock = syscall.O_NONBLOCK | syscall.O_NOCTTY
	// directory refuses anything else before it is opened.
	directory = syscall.O_DIRECTORY
	// keepsMode says whether permission bits mean something here.
	keepsMode = true
)

// localize returns rel in this system's spelling. Any bytes but NUL and "/" make
// a name here.
func localize(rel string) (string, error) { return strings.TrimSuffix(rel, "/"), nil }

// syncFolder waits until the folder's entries are on the disk.
func syncFolder(folder *os.Root) error {
	d, err := folder.Open(".")
	if err != nil {
		return err
	}
	serr := d.Sync()
	if err := d.Close(); serr == nil {
		return err
	}
	return serr
}

var errnos = map[syscall.Errno]meaning{
	syscall.ENOTDIR:      {fault.NotFound, "is not there: a file stands where a folder should"},
	syscall.EISDIR:       {fault.Denied, "is a folder, not a file"},
	syscall.ENOTEMPTY:    {fault.Denied, "is not empty (uploads under way count)"},
	syscall.ELOOP:        {fault.Denied, "is a link that leads nowhere"},
	syscall.ENXIO:        {fault.Denied, "is not a regular file"},
	syscall.ENAMETOOLONG: {fault.Invalid, "is too long a name"},
	syscall.EILSEQ:       {fault.Invalid, "is no name that this disk can hold"},
	syscall.EINVAL:       {fault.Invalid, "is no name that this disk can hold"},
	syscall.EROFS:        {fault.Denied, "is on a disk that is read-only"},
	syscall.EXDEV:        {fault.Unsupported, "is on another disk"},
	syscall.EDQUOT:       {fault.Full, "does not fit into the quota"},
	syscall.EFBIG:        {fault.Full, "would be larger than this disk allows"},
	syscall.ETXTBSY:      {fault.Busy, "is in use"},
	syscall.EBUSY:        {fault.Busy, "is in use"},
	syscall.EMFILE:       {fault.Busy, "cannot be opened now: too many files are open"},
	syscall.ENFILE:       {fault.Busy, "cannot be opened now: too many files are open"},
}
