package connector

import (
	"errors"
	"io"
	"net"

	"sallyport.dev/internal/netx"
)

// watchedConn is the connection to a server with a [watcher] on it. To the relay it
// is a connection like others: what is read from it has been watched, and so has
// what is written to it before it leaves. Read and Write may be called from one
// goroutine each.
type watchedConn struct {
	net.Conn
	w    *watcher
	buf  []byte
	rest []byte // watched and not read yet
	err  error  // comes after rest
}

func newWatchedConn(conn net.Conn, w *watcher) *watchedConn {
	return &watchedConn{Conn: conn, w: w, buf: make([]byte, maxWatchLine)}
}

// NetConn lets netx find the socket below.
func (c *watchedConn) NetConn() net.Conn { return c.Conn }

// Read returns what the watcher lets through to the client.
func (c *watchedConn) Read(p []byte) (int, error) {
	for len(c.rest) == 0 && c.err == nil {
		n, err := c.Conn.Read(c.buf)
		c.rest, c.err = c.w.Server(c.buf[:n])
		switch {
		case c.err != nil:
		case errors.Is(err, io.EOF):
			c.rest, c.err = append(c.rest, c.w.ServerEnd()...), io.EOF
		case err != nil && len(c.rest) == 0:
			return 0, err // a deadline: not for ever
		case err != nil:
			// Comes again with the next read.
		}
	}
	if len(c.rest) == 0 {
		return 0, c.err
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Write sends what the watcher lets through to the server. All of p counts as
// written, also what waits for the end of its line.
func (c *watchedConn) Write(p []byte) (int, error) {
	out, err := c.w.Client(p)
	if len(out) > 0 {
		if _, werr := c.Conn.Write(out); werr != nil {
			return 0, werr
		}
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// CloseWrite ends the client's direction.
func (c *watchedConn) CloseWrite() error {
	_, err := netx.CloseWrite(c.Conn)
	return err
}

// Reset cuts the connection. Its pinhole closes.
func (c *watchedConn) Reset() error {
	c.w.Close()
	return netx.Reset(c.Conn)
}

// Close ends the connection. Its pinhole closes.
func (c *watchedConn) Close() error {
	c.w.Close()
	return c.Conn.Close()
}
