//go:build !linux

package ftpclient

import "net"

// unsent can not be told here: an upload counts as moving only while bytes are taken.
func unsent(net.Conn) (n int, known bool) { return 0, false }

// peek can not tell here: what the server said unasked is found out by the next
// reply, if that does not fit.
func peek(net.Conn) peeked { return peekNothing }
