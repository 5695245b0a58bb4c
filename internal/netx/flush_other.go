//go:build !linux

package netx

import (
	"net"
	"time"
)

// flush does nothing: these systems do not say what has been acknowledged, so a
// reset may overtake the bytes before it.
func flush(net.Conn, time.Duration) {}
