//go:build unix

package ftpserver

import "syscall"

// shareSourcePort lets a port be bound that other connections have. The kernel
// still refuses two between the same two ends.
func shareSourcePort(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	})
	if err != nil {
		return err
	}
	return failed
}
