package tunnel

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// userTimeout sets TCP_USER_TIMEOUT in milliseconds, zero: the system's own.
func userTimeout(c *net.TCPConn, ms int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) { serr = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, ms) })
	if err != nil {
		return err
	}
	return serr
}

// deadSocket reports whether the peer's kernel has left bytes or window probes
// unanswered for longer than limit. A peer with a closed window answers probes,
// so a reader that pauses is not dead.
func deadSocket(c *net.TCPConn, limit time.Duration) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	var info *unix.TCPInfo
	var serr error
	err = raw.Control(func(fd uintptr) { info, serr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err != nil || serr != nil {
		return err != nil // a closed socket is dead; a kernel without the option says nothing
	}
	waiting := info.Retransmits > 1 || info.Probes > 1
	return waiting && time.Duration(info.Last_ack_recv)*time.Millisecond > limit
}
