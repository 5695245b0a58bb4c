package testkit

import (
	"fmt"
	"syscall"
	"testing"
)

// SmallDisk mounts a disk of so many MiB, in memory, until the test ends, and
// returns its folder. It needs root.
func SmallDisk(t testing.TB, size int) string {
	t.Helper()
	NeedRoot(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", size)); err != nil {
		Need(t, false, "the right to mount a small file system", "run as root outside of a container that forbids it")
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}
