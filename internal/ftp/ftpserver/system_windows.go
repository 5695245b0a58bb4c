package ftpserver

import (
	"net"
	"syscall"
)

const (
	// chunk is how many bytes move under one deadline. TransmitFile does not tell
	// how far it came when it is cut, so this over the stall time-out is the
	// slowest client served.
	chunk = 256 << 10
	// crlfFiles says whether text files of this system end lines in CR LF.
	crlfFiles = true

	soOOBInline = 0x0100 // SO_OOBINLINE of winsock2.h
)

// inlineUrgent leaves Telnet's synch, which clients send as urgent data before
// ABOR, in its place in the stream, where the grammar drops it (RFC 854).
func inlineUrgent(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return // closed already; the next read says so
	}
	_ = raw.Control(func(fd uintptr) { // as above
		_ = syscall.SetsockoptInt(syscall.Handle(fd), syscall.SOL_SOCKET, soOOBInline, 1) // without it only the synch's last byte is lost
	})
}
