package netx

import (
	"net"
	"time"
)

// Drain waits until everything written to c has been acknowledged.
func Drain(c net.Conn) { flush(c, 10*time.Second) }
