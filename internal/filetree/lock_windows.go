package filetree

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lock holds f for this process until it is closed. taken: somebody else holds it.
// It locks one byte where no file has any, since a lock here keeps others from
// reading what it covers.
func lock(f *os.File) (taken bool, err error) {
	c, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var lerr error
	if err := c.Control(func(fd uintptr) {
		at := windows.Overlapped{Offset: ^uint32(0), OffsetHigh: 1<<31 - 1}
		lerr = windows.LockFileEx(windows.Handle(fd), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	}); err != nil {
		return false, err
	}
	return errors.Is(lerr, windows.ERROR_LOCK_VIOLATION), lerr
}
