package socks5

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/secret"
)

// Dialer opens connections through a SOCKS5 proxy. Names go to the proxy
// unresolved.
type Dialer struct {
	Dial     netx.DialFunc // opens the connection to the proxy; nil: the operating system's
	Proxy    string        // host:port
	User     string        // empty: no authentication
	Password secret.Text
	Timeout  time.Duration // for the proxy's answers, all together; 0: 60 s. The context counts too
}

// DialContext opens a connection to addr ("host:port") through the proxy. It is a
// [netx.DialFunc]. What the proxy refuses comes back as a fault with a hint.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	target, err := parseTarget(network, addr)
	if err != nil {
		return nil, err
	}
	dial := d.Dial
	if dial == nil {
		dial = netx.System{}.Dial
	}
	ctx, cancel := context.WithTimeoutCause(ctx, orDefault(d.Timeout, time.Minute), fault.New(fault.TimedOut, "the proxy does not answer"))
	defer cancel()
	conn, err := dial(ctx, "tcp", d.Proxy)
	if err != nil {
		return nil, fault.As(err, "connect to SOCKS5 proxy %s", d.Proxy).WithHint("is the proxy's address right, and is the gateway running with --socks?")
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // fails on a closed connection only
	err = d.handshake(conn, target)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		return conn, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if f := (*fault.Error)(nil); !errors.As(err, &f) {
		err = fault.As(err, "ask SOCKS5 proxy %s for %s", d.Proxy, target).WithHint("the proxy closed the connection or speaks another protocol")
	}
	_ = conn.Close() // the reason is in err
	return nil, err
}

var _ netx.DialFunc = (*Dialer)(nil).DialContext

func parseTarget(network, addr string) (Address, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return Address{}, fault.New(fault.Unsupported, "SOCKS5 cannot dial network %q", network)
	}
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return Address{}, fault.Wrap(fault.Invalid, err, "address %q", addr).WithHint("write host:port")
	}
	port, err := strconv.ParseUint(p, 10, 16)
	if err != nil || port == 0 {
		return Address{}, fault.New(fault.Invalid, "port %q of address %q", p, addr).WithHint("a port is a number from 1 to 65535")
	}
	if host, err = checkHost(host); err != nil {
		return Address{}, err
	}
	return Address{Host: host, Port: uint16(port)}, nil
}

// handshake does the client's half. It reads nothing beyond the last reply.
func (d *Dialer) handshake(conn net.Conn, target Address) error {
	methods := []Method{MethodNone}
	if d.User != "" {
		methods = []Method{MethodPassword}
	}
	if _, err := conn.Write(AppendGreeting(nil, methods...)); err != nil {
		return err
	}
	var choice [2]byte
	if err := readFull(conn, choice[:]); err != nil {
		return err
	}
	if choice[0] != version {
		return fault.New(fault.Invalid, "%s is no SOCKS5 proxy", d.Proxy).WithHint("its first byte is 0x%02x, want 0x05", choice[0])
	}
	switch method := Method(choice[1]); {
	case method == MethodRefused && d.User == "":
		return fault.New(fault.Unauthenticated, "SOCKS5 proxy %s wants a user and password", d.Proxy).
			WithHint("write socks5://USER@HOST:PORT and give --proxy-password-file")
	case method == MethodRefused:
		return fault.New(fault.Unauthenticated, "SOCKS5 proxy %s takes no user and password", d.Proxy).WithHint("leave the user out of the proxy's URL")
	case method != methods[0]:
		return fault.New(fault.Invalid, "SOCKS5 proxy %s chose method %v, which was not offered", d.Proxy, method)
	case method == MethodPassword:
		if err := d.login(conn); err != nil {
			return err
		}
	}
	b, err := AppendRequest(nil, Connect, target)
	if err != nil {
		return err
	}
	if _, err := conn.Write(b); err != nil {
		return err
	}
	code, _, err := ReadReply(conn)
	if err == nil && code != Succeeded {
		err = code.fault("connect to " + target.String() + " through SOCKS5 proxy " + d.Proxy)
	}
	return err
}

func (d *Dialer) login(conn net.Conn) error {
	b, err := AppendCredentials(nil, d.User, d.Password)
	if err != nil {
		return err
	}
	if _, err := conn.Write(b); err != nil {
		return err
	}
	var status [2]byte
	if err := readFull(conn, status[:]); err != nil {
		return err
	}
	if status[1] != 0 {
		return fault.New(fault.Unauthenticated, "SOCKS5 proxy %s refuses user %q", d.Proxy, d.User).WithHint("check user and password against the gateway's accounts, and its `allow` list")
	}
	return nil
}
