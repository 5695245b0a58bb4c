// Package netx is the seam between protocols and the network they run on.
//
// [DialFunc] is the hinge of the whole program: a gateway provides one, the FTP
// client and the SOCKS5 server take one, and package memnet stands in for the
// world in tests. The package also holds what every relay needs once: [Relay],
// [Guard] and [Reset] decide how the end of a connection looks to its peer.
//
// It knows no protocol.
package netx

import (
	"context"
	"net"
	"time"
)

// DialFunc opens a connection to addr ("host:port") on network ("tcp").
// The context bounds the dialling alone, not the life of the connection.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// Network dials and listens. [System] is the operating system's; package memnet
// has one in memory.
type Network interface {
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
	Listen(ctx context.Context, network, addr string) (net.Listener, error)
}

// System is the operating system's network. Its zero value is ready to use.
type System struct {
	// DialTimeout bounds one dial beside the context. Zero means 30 s.
	DialTimeout time.Duration
}

// Dial dials with TCP keep-alive on.
func (s System) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	timeout := s.DialTimeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	d := net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second}
	return d.DialContext(ctx, network, addr)
}

// Listen listens with the operating system.
func (System) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, network, addr)
}

var _ Network = System{}

// CloseWriter is a connection that can end its own direction and still read.
type CloseWriter interface{ CloseWrite() error }

// Resetter is a connection that can end so that the peer sees a reset rather
// than an end of file.
type Resetter interface{ Reset() error }

// lingerer is what *net.TCPConn offers.
type lingerer interface{ SetLinger(sec int) error }

// unwrap finds the first connection under c that has T, walking NetConn methods
// (as *tls.Conn has). It never skips a T found earlier.
func unwrap[T any](c net.Conn) (T, bool) {
	for c != nil {
		if t, ok := c.(T); ok {
			return t, true
		}
		u, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = u.NetConn()
	}
	var zero T
	return zero, false
}

// Guard makes c look cut rather than ended to its peer if this process dies from
// now on (SO_LINGER 0: the kernel sends RST). Every clean path must call
// [Unguard] before Close, or bytes not yet acknowledged are lost.
// It does nothing to connections that are not TCP.
func Guard(c net.Conn) {
	if l, ok := unwrap[lingerer](c); ok {
		_ = l.SetLinger(0) // fails only on a closed socket, which the next call reports
	}
}

// Unguard takes [Guard] back.
func Unguard(c net.Conn) {
	if l, ok := unwrap[lingerer](c); ok {
		_ = l.SetLinger(-1) // as above
	}
}

// Reset closes c so that its peer sees a reset, never a clean end. A connection
// that offers neither [Resetter] nor SO_LINGER is closed.
func Reset(c net.Conn) error {
	if r, ok := c.(Resetter); ok {
		return r.Reset()
	}
	if l, ok := unwrap[lingerer](c); ok {
		_ = l.SetLinger(0)
		if u, ok := unwrap[*net.TCPConn](c); ok {
			return u.Close() // under a TLS layer: no close_notify, that would be a clean end
		}
	}
	return c.Close()
}

// CloseWrite ends c's own direction. Without [CloseWriter] it reports false.
func CloseWrite(c net.Conn) (bool, error) {
	if w, ok := c.(CloseWriter); ok {
		return true, w.CloseWrite()
	}
	return false, nil
}

// Pause waits for d, or until ctx ends, which it reports as false.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
