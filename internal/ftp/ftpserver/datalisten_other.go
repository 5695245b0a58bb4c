//go:build !linux

package ftpserver

import (
	"context"
	"net"
	"net/netip"
)

// listenSystem opens one passive port. Data connections get no keep-alive: they have
// deadlines, and each option is a system call per file.
func listenSystem(addr netip.AddrPort) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1}
	return lc.Listen(context.Background(), "tcp", addr.String())
}

// fill has packets filled before they go, where the system can.
func fill(net.Conn) {}

// peekEnd is never asked: nothing is received at once here.
func peekEnd(uintptr) bool { return false }
