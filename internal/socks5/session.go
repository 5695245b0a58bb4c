package socks5

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/netx"
)

// After a refusal the client's end is awaited this long, and this much of what it
// still sends is dropped: closing with bytes unread makes the kernel send a reset
// that can overtake the refusal.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 256 << 10
)

// session is one client.
type session struct {
	s    *Server
	conn net.Conn
	log  *slog.Logger
}

// run serves the client to its end and closes it. It reports everything to the
// log, once.
func (ss *session) run(ctx context.Context) {
	req, err := ss.handshake(ctx)
	if err != nil {
		ss.log.Log(ctx, levelOf(err), "refuse SOCKS client", "error", err, "hint", fault.HintOf(err))
		ss.close(ctx)
		return
	}
	log := ss.log.With("principal", req.Principal, "target", req.Address.String())
	upstream, err := ss.dial(ctx, req)
	if err == nil {
		// From here the relay owns both ends, and closes them.
		if err = ss.reply(AppendReply(nil, Succeeded)); err != nil {
			_ = netx.Reset(upstream) // the client's error is the one reported
			_ = netx.Reset(ss.conn)
			log.Info("answer SOCKS client", "error", err)
			return
		}
		ss.relay(ctx, log, upstream)
		return
	}
	log.Log(ctx, levelOf(err), "refuse SOCKS request", "code", CodeOf(err).String(), "error", err, "hint", fault.HintOf(err))
	if err := ss.reply(AppendReply(nil, CodeOf(err))); err != nil {
		log.Info("answer SOCKS client", "error", err)
	}
	ss.close(ctx)
}

// handshake brings the client to its request, within one deadline for all of it.
func (ss *session) handshake(ctx context.Context) (Request, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, orDefault(ss.s.HandshakeTimeout, DefaultHandshakeTimeout), errSlow)
	defer cancel()
	// Unblocks reads and writes when the time is up or the server is closed.
	stop := context.AfterFunc(ctx, func() { _ = ss.conn.SetDeadline(time.Unix(1, 0)) }) // fails on a closed connection only
	defer stop()
	req, err := ss.negotiate(ctx)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = fault.Wrap(fault.KindOf(cause), cause, "SOCKS handshake")
		}
		return Request{}, err
	}
	if !stop() { // its deadline may stand, or be about to
		return Request{}, fault.Wrap(fault.TimedOut, context.Cause(ctx), "SOCKS handshake")
	}
	return req, nil
}

var errSlow = fault.New(fault.TimedOut, "the client took too long")

func (ss *session) negotiate(ctx context.Context) (Request, error) {
	client := addrPort(ss.conn.RemoteAddr())
	offered, err := ReadGreeting(ss.conn)
	if err != nil {
		return Request{}, err
	}
	req := Request{Client: client}
	switch method, principal := ss.choose(offered, client); method {
	case MethodPassword:
		if err := ss.reply([]byte{version, byte(method)}); err != nil {
			return Request{}, err
		}
		if req.User, req.Principal, err = ss.login(ctx, client); err != nil {
			return Request{}, err
		}
	case MethodNone:
		if err := ss.reply([]byte{version, byte(method)}); err != nil {
			return Request{}, err
		}
		req.Principal = principal
	default:
		return Request{}, errors.Join(ss.noMethod(offered, client), ss.reply([]byte{version, byte(MethodRefused)}))
	}
	cmd, addr, err := ReadRequest(ss.conn)
	if err == nil {
		err = servable(cmd, addr)
	}
	if err != nil {
		if kind := fault.KindOf(err); kind == fault.Invalid || kind == fault.Unsupported { // not a dead connection
			err = errors.Join(err, ss.reply(AppendReply(nil, CodeOf(err))))
		}
		return Request{}, err
	}
	req.Address = addr
	return req, nil
}

// servable refuses the requests that no dialling is needed to refuse.
func servable(cmd Command, addr Address) error {
	switch {
	case cmd == Bind:
		return fault.New(fault.Unsupported, "SOCKS BIND for %s is not served", addr).WithHint("use FTP's passive mode (EPSV or PASV); it needs CONNECT alone")
	case cmd != Connect:
		return fault.New(fault.Unsupported, "SOCKS %s for %s is not served", cmd, addr).WithHint("CONNECT is")
	case addr.Port == 0:
		return fault.New(fault.Invalid, "SOCKS CONNECT to port 0 of %q", addr.Host)
	}
	return nil
}

// choose picks the method, and the principal where none is to log in. A password
// that the client has is preferred: it says more about who asks.
func (ss *session) choose(offered []Method, client netip.AddrPort) (Method, string) {
	if ss.s.Authenticate != nil && slices.Contains(offered, MethodPassword) {
		return MethodPassword, ""
	}
	if ss.s.Anonymous != nil && slices.Contains(offered, MethodNone) {
		if principal, ok := ss.s.Anonymous(client); ok {
			return MethodNone, principal
		}
	}
	return MethodRefused, ""
}

// noMethod says why none of the offered methods will do.
func (ss *session) noMethod(offered []Method, client netip.AddrPort) error {
	names := make([]string, 0, 8)
	for _, m := range offered[:min(len(offered), 8)] {
		names = append(names, m.String())
	}
	err := fault.New(fault.Unauthenticated, "client offers the methods %s, none of which is served to it", strings.Join(names, ", "))
	if ss.s.Authenticate != nil {
		return err.WithHint("give the client a user and password")
	}
	return err.WithHint("no password is asked for here, and clients at %s are not let in without one", client.Addr())
}

// login does RFC 1929. The user name is in no error: people type passwords there.
func (ss *session) login(ctx context.Context, client netip.AddrPort) (user, principal string, err error) {
	user, password, err := ReadCredentials(ss.conn)
	if err != nil {
		return "", "", err
	}
	principal, err = ss.s.Authenticate(ctx, user, password, client)
	if err != nil {
		return "", "", errors.Join(fault.As(err, "SOCKS login"), ss.reply([]byte{authVersion, 1}))
	}
	return user, principal, ss.reply([]byte{authVersion, 0})
}

func (ss *session) dial(ctx context.Context, req Request) (net.Conn, error) {
	timeout := orDefault(ss.s.DialTimeout, DefaultDialTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fault.New(fault.TimedOut, "no answer within %v", timeout))
	defer cancel()
	conn, err := ss.s.Dial(ctx, req)
	if err != nil && context.Cause(ctx) != nil && errors.Is(err, ctx.Err()) {
		err = fault.As(context.Cause(ctx), "connect to %s", req.Address)
	}
	return conn, err
}

func (ss *session) relay(ctx context.Context, log *slog.Logger, upstream net.Conn) {
	start := time.Now()
	log.Debug("SOCKS connection opened")
	moved, err := netx.Relay(ctx, ss.conn, upstream, ss.s.IdleHalfClosed)
	args := []any{"sent", moved.AtoB, "received", moved.BtoA, "took", time.Since(start)}
	if err != nil {
		log.Info("SOCKS connection cut", append(args, "error", err)...)
		return
	}
	log.Info("SOCKS connection closed", args...)
}

// reply writes a message of the server. A client that does not even take ten bytes
// is given up.
func (ss *session) reply(b []byte) error {
	if err := ss.conn.SetWriteDeadline(time.Now().Add(DefaultHandshakeTimeout)); err != nil {
		return err
	}
	if _, err := ss.conn.Write(b); err != nil {
		return fault.As(err, "answer SOCKS client")
	}
	return ss.conn.SetWriteDeadline(time.Time{})
}

// close ends the connection so that what was last said arrives.
func (ss *session) close(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = ss.conn.Close() }) // the server does not linger when it is cut
	defer stop()
	if ok, err := netx.CloseWrite(ss.conn); ok && err == nil {
		if ss.conn.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
			_, _ = io.CopyN(io.Discard, ss.conn, lingerBytes) // whatever comes is dropped, however it ends
		}
	}
	_ = ss.conn.Close() // the session's end has been reported already
}

// levelOf returns how loud a refusal is: what an administrator can do something
// about is a warning.
func levelOf(err error) slog.Level {
	switch fault.KindOf(err) {
	case fault.Internal:
		return slog.LevelError
	case fault.Canceled:
		return slog.LevelInfo
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return slog.LevelInfo // a port scan, a health check
	}
	return slog.LevelWarn
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	ap, _ := netip.ParseAddrPort(a.String()) // not an IP connection: the zero address, which no rule lets in
	return ap
}
