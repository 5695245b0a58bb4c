//go:build unix

package ftpserver

import (
	"net"
	"syscall"
)

const (
	// chunk is how many bytes move under one deadline.
	chunk = 4 << 20
	// crlfFiles says whether text files of this system end lines in CR LF.
	crlfFiles = false
)

// inlineUrgent leaves Telnet's synch, which clients send as urgent data before
// ABOR, in its place in the stream, where the grammar drops it (RFC 854); or no
// longer does, since within TLS it would be a byte too many.
func inlineUrgent(conn net.Conn, on bool) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return // closed already; the next read says so
	}
	value := 0
	if on {
		value = 1
	}
	_ = raw.Control(func(fd uintptr) { // as above
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_OOBINLINE, value) // without it only the synch's last byte is lost
	})
}
