package ftpserver

import "syscall"

// shareSourcePort lets a port be bound that other connections have. On Windows the
// option would also let it be taken from a listener; the port is one that the
// operator named for this.
func shareSourcePort(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(syscall.Handle(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	})
	if err != nil {
		return err
	}
	return failed
}
