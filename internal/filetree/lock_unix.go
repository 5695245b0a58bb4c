//go:build unix

package filetree

import (
	"os"
	"syscall"
)

// lock holds f for this process until it is closed. taken: somebody else holds it.
// Disks that cannot lock are an error.
func lock(f *os.File) (taken bool, err error) {
	c, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var lerr error
	if err := c.Control(func(fd uintptr) {
		lerr = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB)
	}); err != nil {
		return false, err
	}
	return lerr == syscall.EWOULDBLOCK, lerr
}
