//go:build !unix

package daemon

import "net"

// Inherited returns nothing: no sockets are handed over on this system.
func Inherited() ([]net.Listener, error) { return nil, nil }
