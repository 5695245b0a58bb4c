package tunnel

import (
	"net"
	"time"
)

// tune makes the kernel notice a link whose other end is gone: keep-alive while
// nothing is sent, TCP_USER_TIMEOUT for what is not acknowledged.
func tune(c net.Conn) error {
	tc, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	if err := tc.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: true, Idle: PingEvery, Interval: PingAnswer, Count: 2,
	}); err != nil {
		return err
	}
	return userTimeout(tc, int((PingEvery+PingAnswer)/time.Millisecond))
}

// patient takes TCP_USER_TIMEOUT away while a stream runs and sets it again: it
// counts a closed window as no answer, and would cut a stream whose reader
// pauses. [Link.Stalled] stands in for it.
func patient(c net.Conn, yes bool) {
	tc, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	ms := int((PingEvery + PingAnswer) / time.Millisecond)
	if yes {
		ms = 0
	}
	_ = userTimeout(tc, ms) // it worked at the handshake, so this is a closed socket
}

func stalled(c net.Conn, limit time.Duration) bool {
	tc, ok := c.(*net.TCPConn)
	return ok && deadSocket(tc, limit)
}
