package ftpclient

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strconv"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// Mode says who opens data connections.
type Mode uint8

// The modes.
const (
	PassiveMode Mode = iota // we do: by EPSV, and by PASV where the server refuses that
	PasvMode                // we do, by PASV alone
	ActiveMode              // the server does, by PORT or EPRT
)

// String returns the mode as documents spell it.
func (m Mode) String() string {
	switch m {
	case PassiveMode:
		return "passive"
	case PasvMode:
		return "pasv"
	case ActiveMode:
		return "active"
	default:
		return "unknown"
	}
}

// PasvAddress says which address of a 227 reply is believed. EPSV has none.
type PasvAddress uint8

// The rules.
const (
	// ControlHost ignores it: data goes to the host of the control connection. It
	// is right nearly always, and no server can point it at somebody else.
	ControlHost PasvAddress = iota
	// AutoPasv believes it unless it cannot be meant: an address that is no host's,
	// or a private one where the control connection's is public.
	AutoPasv
	// TrustPasv believes it.
	TrustPasv
)

// String returns the rule as documents spell it.
func (a PasvAddress) String() string {
	switch a {
	case ControlHost:
		return "control-host"
	case AutoPasv:
		return "auto"
	case TrustPasv:
		return "trust"
	default:
		return "unknown"
	}
}

// passive asks for a data port and connects to it: by EPSV, and from the server's
// first refusal on by PASV. The server is listening for what comes next.
func (c *Conn) passive(ctx context.Context) (net.Conn, error) {
	addr, err := c.passiveAddr(ctx)
	if err != nil {
		return nil, err
	}
	return c.dialData(ctx, addr)
}

// dialData connects to the address that the server announced.
func (c *Conn) dialData(ctx context.Context, addr string) (net.Conn, error) {
	dialCtx, cancel := context.WithTimeout(ctx, c.cfg.Timeouts.Dial)
	defer cancel()
	data, err := c.cfg.Dial(dialCtx, "tcp", addr)
	if err != nil {
		e := fault.As(err, "open data connection to %s, which the server announced", addr)
		if fault.HintOf(err) == "" { // who dialled may know more
			e = e.WithHint("the server's data ports must be reachable from here: its passive port range, in every firewall between")
		}
		return nil, e
	}
	return data, nil
}

// passiveAddr returns where the server waits for a data connection.
func (c *Conn) passiveAddr(ctx context.Context) (string, error) {
	for {
		cmd := c.passiveCommand()
		if err := c.send(ctx, cmd); err != nil {
			return "", err
		}
		r, err := c.receive(ctx, cmd, c.cfg.Timeouts.Reply)
		if err != nil {
			return "", err
		}
		addr, err := c.passiveAnswer(cmd, r)
		if err == nil || cmd.Verb == "PASV" || c.broken != nil || r.Code.Transient() {
			return addr, err
		}
		c.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "EPSV does not work, using PASV", slog.String("server", c.cfg.Addr), slog.Any("error", err))
		c.cfg.Habits.noEPSV.Store(true)
	}
}

// portAddr is a port of the control connection's host.
func (c *Conn) portAddr(port uint16) string { return net.JoinHostPort(c.host, strconv.Itoa(int(port))) }

// pasvAddr returns the address that a 227 stands for.
func (c *Conn) pasvAddr(r ftp.Reply) (string, error) {
	ap, err := ftp.ParsePasvReply(r)
	if err != nil {
		return "", err
	}
	if c.cfg.PasvAddress == TrustPasv || c.cfg.PasvAddress == AutoPasv && plausible(ap.Addr(), peerAddr(c.raw)) {
		return ap.String(), nil
	}
	// Behind NAT the address is often wrong, and a malicious server could point it
	// at somebody else.
	return c.portAddr(ap.Port()), nil
}

// plausible reports whether a server whose control connection goes to peer can mean
// announced. A peer that is not known by address counts as public.
func plausible(announced, peer netip.Addr) bool {
	if announced.IsUnspecified() || announced.IsMulticast() || announced == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return false
	}
	return public(announced) || peer.IsValid() && !public(peer)
}

// public reports whether an address can be reached from anywhere.
func public(a netip.Addr) bool {
	carrier := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, 0}), 10) // RFC 6598
	return a.IsGlobalUnicast() && !a.IsPrivate() && !carrier.Contains(a)
}

// peerAddr returns the address at the other end of a connection, or the zero Addr
// where it is no IP address.
func peerAddr(c net.Conn) netip.Addr { return addrOf(c.RemoteAddr()) }

func addrOf(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
