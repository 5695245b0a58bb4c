package ftpclient

import (
	"errors"
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

// peek looks at what a TCP connection has received, without waiting.
func peek(c net.Conn) peeked {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return peekNothing
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return peekNothing
	}
	var n int
	var rerr error
	cerr := raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, rerr = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	switch {
	case cerr != nil, errors.Is(rerr, unix.EAGAIN), errors.Is(rerr, unix.EINTR):
		return peekNothing
	case rerr != nil || n == 0:
		return peekEnd
	default:
		return peekBytes
	}
}
