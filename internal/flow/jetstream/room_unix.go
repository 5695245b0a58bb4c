//go:build unix

package jetstream

import "golang.org/x/sys/unix"

// freeSpace returns the bytes that this user may still write to the disk of a
// folder.
func freeSpace(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:gosec,unconvert // their types differ by system; a disk of 8 EiB is none
}
