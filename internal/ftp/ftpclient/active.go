package ftpclient

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/netx"
)

// Active says where the server's data connections are taken in active mode.
type Active struct {
	// Listen opens the port. Nil listens with the operating system.
	Listen func(ctx context.Context, network, addr string) (net.Listener, error)
	// Bind is the address to listen on. The zero value is that which the control
	// connection leaves from.
	Bind netip.Addr
	// Announce is the address that the server is told. The zero value is that which
	// the control connection leaves from; behind NAT it must be the outer one.
	Announce netip.Addr
	// MinPort and MaxPort bound the ports. Zero: any.
	MinPort, MaxPort uint16
}

// activePatience bounds the wait for a server that said 150 and does not come.
func (c *Conn) activePatience() time.Duration { return min(c.cfg.Timeouts.Dial, 30*time.Second) }

// listen opens a port for one data connection, and returns what the server is to be
// told.
func (c *Conn) listen(ctx context.Context) (net.Listener, netip.AddrPort, error) {
	a := c.cfg.Active
	local := addrOf(c.raw.LocalAddr())
	bind, announce := cmp.Or(a.Bind, local), cmp.Or(a.Announce, local)
	if !bind.IsValid() || !announce.IsValid() {
		return nil, netip.AddrPort{}, fault.New(fault.Unsupported, "this way to the server has no address of its own that the server could connect to").
			WithHint("use passive mode, or name the addresses to listen on and to announce")
	}
	open := a.Listen
	if open == nil {
		open = netx.System{}.Listen
	}
	l, err := listenWithin(ctx, open, bind, a.MinPort, a.MaxPort)
	if err != nil {
		return nil, netip.AddrPort{}, fault.As(err, "listen on %s for the server's data connection", bind).
			WithHint("the address must be one of this machine's, with a free port in the range")
	}
	ap, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		return nil, netip.AddrPort{}, errors.Join(fault.Wrap(fault.Internal, err, "address of the data port"), l.Close())
	}
	return l, netip.AddrPortFrom(announce, ap.Port()), nil
}

// listenWithin listens on a port of a range, beginning at one that varies: a port
// used just now may not be free for a minute.
func listenWithin(ctx context.Context, open func(context.Context, string, string) (net.Listener, error), bind netip.Addr, lo, hi uint16) (l net.Listener, err error) {
	if hi == 0 {
		return open(ctx, "tcp", net.JoinHostPort(bind.String(), "0"))
	}
	n := int(hi) - int(lo) + 1
	if n <= 0 {
		return nil, fault.New(fault.Invalid, "%d-%d is no range of ports", lo, hi)
	}
	first := int(time.Now().UnixNano()/1000) % n
	for i := range n {
		port := int(lo) + (first+i)%n
		if l, err = open(ctx, "tcp", net.JoinHostPort(bind.String(), strconv.Itoa(port))); err == nil || ctx.Err() != nil {
			break
		}
	}
	return l, err
}

// announce returns the command that tells the server where to connect to: PORT
// where it can say that, else EPRT (RFC 2428).
func (c *Conn) announce(ap netip.AddrPort) ftp.Command {
	if arg := ftp.FormatPort(ap); arg != "" && !c.cfg.Habits.noPORT.Load() {
		return ftp.Command{Verb: "PORT", Arg: arg}
	}
	return ftp.Command{Verb: "EPRT", Arg: ftp.FormatEprt(ap)}
}

// active opens a port and tells the server of it.
func (c *Conn) active(ctx context.Context) (net.Listener, error) {
	l, ap, err := c.listen(ctx)
	if err != nil {
		return nil, err
	}
	cmd := c.announce(ap)
	_, err = c.do(ctx, cmd, ftp.CodeOK)
	if r, ok := refusal(err); ok && c.broken == nil && cmd.Verb == "PORT" &&
		(r.Code == ftp.CodeUnknownCommand || r.Code == ftp.CodeNotImplemented || r.Code == ftp.CodeBadProtocol) {
		c.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "PORT does not work, using EPRT", slog.String("server", c.cfg.Addr), slog.Any("error", err))
		c.cfg.Habits.noPORT.Store(true)
		_, err = c.do(ctx, c.announce(ap), ftp.CodeOK)
	}
	if err == nil {
		return l, nil
	}
	if _, ok := refusal(err); ok {
		err = fault.As(err, "active mode").WithHint("the server does not connect to %s: use passive mode, or announce an address that it reaches", ap)
	}
	return nil, errors.Join(err, l.Close())
}

// accept waits for the server's data connection. Only the control connection's peer
// may open it: anybody else is hung up on.
func (c *Conn) accept(ctx context.Context, l net.Listener, patience time.Duration) (net.Conn, error) {
	defer l.Close()
	if d, ok := l.(interface{ SetDeadline(time.Time) error }); ok {
		if err := d.SetDeadline(time.Now().Add(patience)); err != nil {
			return nil, err
		}
	}
	defer watch(ctx, func() { _ = l.Close() })()
	peer := peerAddr(c.raw)
	for {
		nc, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = nc.Close() // it came too late
			}
			return nil, context.Cause(ctx)
		case err != nil:
			return nil, fault.As(err, "waiting at %s for the server's data connection", l.Addr()).
				WithHint("a firewall between the server and here may stop it: use passive mode, or let the server's connections in to this port")
		case peerAddr(nc) == peer:
			return nc, nil
		}
		c.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "a data connection from somebody else was refused",
			slog.String("server", c.cfg.Addr), slog.String("peer", nc.RemoteAddr().String()))
		_ = nc.Close() // a stranger
	}
}
