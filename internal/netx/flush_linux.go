package netx

import (
	"net"
	"syscall"
	"time"
	"unsafe"
)

// flush waits until c's peer has acknowledged what was written, for at most wait.
// A reset that follows a close throws the rest away.
func flush(c net.Conn, wait time.Duration) {
	tc, ok := unwrap[*net.TCPConn](c)
	if !ok {
		return
	}
	raw, err := tc.SyscallConn()
	if err != nil {
		return // closed: nothing can be saved
	}
	limit := time.NewTimer(wait)
	defer limit.Stop()
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 20*time.Millisecond) {
		left, err := unacknowledged(raw)
		if err != nil || left == 0 {
			return
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-limit.C:
			t.Stop()
			return
		}
	}
}

// unacknowledged returns the bytes that the peer's kernel has not acknowledged
// (tcp(7), SIOCOUTQ).
func unacknowledged(raw syscall.RawConn) (n int32, err error) {
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&n)))
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return n, err
}
