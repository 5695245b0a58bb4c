//go:build linux || darwin || freebsd

package filetree

import (
	"os"
	"syscall"
)

// freeBytes returns how many bytes somebody without privileges may still write
// to the disk that the open folder d is on.
func freeBytes(d *os.File) (uint64, error) {
	raw, err := d.SyscallConn()
	if err != nil {
		return 0, err
	}
	var st syscall.Statfs_t
	var serr error
	if err := raw.Control(func(fd uintptr) { serr = syscall.Fstatfs(int(fd), &st) }); err != nil {
		return 0, err
	}
	if serr != nil {
		return 0, serr
	}
	return uint64(max(st.Bavail, 0)) * uint64(st.Bsize), nil //nolint:gosec,unconvert // the types differ between systems, and neither is negative
}
