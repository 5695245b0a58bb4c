package ftpserver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/netx"
)

// activeTarget is a data connection that we dial.
type activeTarget struct {
	network netx.Network
	local   netip.AddrPort // the port zero: any
	remote  netip.AddrPort
}

func (a activeTarget) close() {}

// open dials from the address the client knows us by; its firewall, and the
// client itself, may let no other in.
func (a activeTarget) open(ctx context.Context) (net.Conn, error) {
	var conn net.Conn
	var err error
	if _, system := a.network.(netx.System); a.network != nil && !system {
		conn, err = a.network.Dial(ctx, "tcp", a.remote.String())
	} else {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(a.local), KeepAlive: -1}
		if a.local.Port() != 0 {
			d.Control = shareSourcePort // many connections leave from it, each to another place
		}
		conn, err = d.DialContext(ctx, "tcp", a.remote.String())
	}
	if err != nil {
		return nil, a.explain(err)
	}
	return conn, nil
}

// explain puts words to a connection that could not be dialled.
func (a activeTarget) explain(err error) error {
	switch port := a.local.Port(); {
	case port != 0 && (errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL)):
		return fault.Wrap(fault.Busy, err, "port %d is not free for another data connection to %s: an earlier one between the two is there, or ended less than a minute ago", port, a.remote).
			WithHint("name another port in PORT or EPRT, or use passive mode")
	case port != 0 && errors.Is(err, os.ErrPermission):
		return fault.Wrap(fault.Denied, err, "this server may not dial from port %d", port).
			WithHint("ports below 1024 need the right to bind them: setcap cap_net_bind_service=+ep on the program; meanwhile use passive mode")
	default:
		return fault.As(err, "opening a data connection to %s", a.remote).
			WithHint("in active mode the client must be reachable; passive mode (EPSV, PASV) needs that less often")
	}
}
