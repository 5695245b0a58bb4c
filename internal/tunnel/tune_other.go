//go:build !linux

package tunnel

import (
	"net"
	"time"
)

// userTimeout does nothing: these systems give up on unacknowledged bytes by
// themselves, Windows within half a minute.
func userTimeout(*net.TCPConn, int) error { return nil }

func deadSocket(*net.TCPConn, time.Duration) bool { return false }
