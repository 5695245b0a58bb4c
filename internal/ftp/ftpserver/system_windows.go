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
		_ = syscall.SetsockoptInt(syscall.Handle(fd), syscall.SOL_SOCKET, soOOBInline, value) // without it only the synch's last byte is lost
	})
}
