package ftpclient

import (
	"net"

	"golang.org/x/sys/unix"
)

// unsent returns how many bytes written to a TCP connection the peer has not
// acknowledged yet.
func unsent(c net.Conn) (n int, known bool) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return 0, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, false
	}
	cerr := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return n, cerr == nil && err == nil
}
