package connector

import (
	"context"
	"log/slog"
	"net"

	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/tunnel"
	"sallyport.dev/internal/tunnel/frame"
)

// dialled is a connection to an internal host that a stream is about to be joined to.
type dialled struct {
	c    *Connector
	conn net.Conn
	o    frame.Open
	rule rule // zero through a pinhole
}

func (c *Connector) newDialled(conn net.Conn, o frame.Open, r rule) *dialled {
	return &dialled{c: c, conn: conn, o: o, rule: r}
}

// relay joins the two until both directions have ended, and closes both. No
// context ends it: a session may end under it, and the link's end ends it.
func (d *dialled) relay(st *tunnel.Stream, _ *slog.Logger) error {
	_, err := netx.Relay(context.Background(), st, d.conn, 0)
	return err
}
