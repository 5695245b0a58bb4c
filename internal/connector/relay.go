package connector

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/tunnel"
	"sallyport.dev/internal/tunnel/frame"
)

// farewell is how long a control connection outlives its link. Its data
// connections are reset at once, whatever link they use; a server that may say 426
// first drops the part.
const farewell = 5 * time.Second

// dialled is a connection to an internal host that a stream is about to be joined to.
type dialled struct {
	c    *Connector
	conn net.Conn
	o    frame.Open
	rule rule     // zero through a pinhole
	of   *sitting // that the pinhole belongs to; nil without one
}

// relay joins the two until both directions have ended, and closes both. No
// context ends it: a session may end under it, and the link's end ends it.
func (d *dialled) relay(st *tunnel.Stream, log *slog.Logger) error {
	out := &outer{Stream: st}
	in := d.conn
	if d.rule.Protocol == "ftp" {
		s := &sitting{}
		in = &control{watchedConn: d.c.watch(d, s, log), out: out, data: s}
	}
	if d.of != nil {
		// Before the link is used again, or a late cut would meet somebody else.
		defer d.of.join(d, st.Cut)()
	}
	_, err := netx.Relay(context.Background(), out, in, 0)
	return err
}

// outer is the stream's end of a relay.
type outer struct {
	*tunnel.Stream
	lost atomic.Bool // the link went away
}

func (o *outer) Read(p []byte) (int, error) {
	n, err := o.Stream.Read(p)
	o.note(err)
	return n, err
}

func (o *outer) Write(p []byte) (int, error) {
	n, err := o.Stream.Write(p)
	o.note(err)
	return n, err
}

func (o *outer) note(err error) {
	if errors.Is(err, tunnel.ErrLost) {
		o.lost.Store(true)
	}
}

// Reset tells the gateway that the connection behind this end was cut.
func (o *outer) Reset() error { return o.ResetWith(frame.CodePeer) }

// control is a watched control connection at the end of a relay.
type control struct {
	*watchedConn
	out  *outer
	data *sitting
}

// Reset cuts the connection, after a farewell if it is the link that was lost.
func (c *control) Reset() error {
	c.w.Close()
	if c.out.lost.Load() {
		c.data.lose()
		conn := c.watchedConn.Conn
		if conn.SetReadDeadline(time.Now().Add(farewell)) == nil {
			_, _ = io.Copy(io.Discard, conn) // what the server says has no reader any more; its end or the deadline ends this
		}
	}
	return c.watchedConn.Reset()
}
