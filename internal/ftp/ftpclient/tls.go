package ftpclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// authTLS turns the control connection to TLS (RFC 4217 section 4).
func (c *Conn) authTLS(ctx context.Context) error {
	_, err := c.do(ctx, ftp.Command{Verb: "AUTH", Arg: "TLS"}, ftp.CodeSecurityOK)
	if err != nil {
		if r, ok := refusal(err); ok && r.Code.Permanent() {
			return fault.Wrap(fault.Unsupported, err, "the server does not offer it").
				WithHint("switch TLS on at the server; a server with implicit TLS listens on another port, usually 990")
		}
		return err
	}
	if n := c.r.Buffered(); n > 0 {
		// They came unprotected: somebody on the way put them there, to be taken
		// for the first protected replies.
		return c.fail(fault.New(fault.Denied, "%d bytes came behind the server's 234 and before TLS", n).
			WithHint("something between here and the server meddles with the connection"))
	}
	return c.startTLS(ctx)
}

// startTLS goes on with TLS on the control connection.
func (c *Conn) startTLS(ctx context.Context) error {
	c.tls = newTLSConfig(c.cfg.TLS, c.host)
	secured := tls.Client(c.raw, c.tls)
	if err := c.handshake(ctx, secured); err != nil {
		return c.fail(err)
	}
	c.nc = secured
	c.r.Reset(secured)
	return nil
}

// protect asks for TLS on data connections (RFC 4217 section 9).
func (c *Conn) protect() []exchange {
	got := func(r ftp.Reply, err error) error {
		if err != nil && c.cfg.Security == Implicit &&
			(r.Code == ftp.CodeUnknownCommand || r.Code == ftp.CodeNotImplemented || r.Code == ftp.CodeBadSequence) {
			return nil // older than RFC 4217: where TLS is implicit, it is so for data, too
		}
		return err
	}
	return []exchange{
		{ftp.Command{Verb: "PBSZ", Arg: "0"}, []ftp.Code{ftp.CodeOK}, got},
		{ftp.Command{Verb: "PROT", Arg: "P"}, []ftp.Code{ftp.CodeOK}, got},
	}
}

// handshake bounds a TLS handshake by the context and the dial timeout.
func (c *Conn) handshake(ctx context.Context, t *tls.Conn) error {
	hctx, cancel := context.WithTimeout(ctx, c.cfg.Timeouts.Dial)
	defer cancel()
	err := t.HandshakeContext(hctx)
	if err == nil {
		return nil
	}
	var known *fault.Error
	var wrong *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	switch {
	case ctx.Err() != nil:
		return fault.As(context.Cause(ctx), "TLS handshake")
	case hctx.Err() != nil:
		return fault.Wrap(fault.TimedOut, err, "TLS handshake not done within %v", c.cfg.Timeouts.Dial)
	case errors.As(err, &unknown):
		return fault.Wrap(fault.Denied, err, "the server's certificate is of an authority that is not trusted here").
			WithHint("name the authority's certificate in the configuration")
	case errors.As(err, &wrong):
		return fault.Wrap(fault.Denied, err, "the server's certificate is not accepted").
			WithHint("the name asked for must stand in the certificate: %q", c.tls.ServerName)
	case errors.As(err, &known): // of a verification of our own
		return fault.As(err, "TLS handshake")
	case strings.Contains(err.Error(), "protocol version"), strings.Contains(err.Error(), "handshake failure"):
		return fault.Wrap(fault.Unsupported, err, "the server and this client have no version or cipher of TLS in common").
			WithHint("servers from before 2015 know TLS 1.0 alone, which has to be allowed in so many words")
	default:
		return fault.Wrap(fault.Unreachable, err, "TLS handshake")
	}
}

// newTLSConfig is the one configuration of a control connection and its data
// connections. The fixed ServerName is part of what makes them share sessions.
func newTLSConfig(base *tls.Config, host string) *tls.Config {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if base != nil {
		conf = base.Clone()
	}
	if conf.ServerName == "" {
		conf.ServerName = host
	}
	conf.ClientSessionCache = &lastSession{}
	return conf
}

// lastSession is a session cache of one slot. It gives the newest session for any
// key and as often as it is asked: some servers (ProFTPD after uploads, all at TLS
// 1.2) send no new ticket, so a ticket used up would be the last.
type lastSession struct {
	mu    sync.Mutex // guards the following
	state *tls.ClientSessionState
}

// Get returns the last session.
func (s *lastSession) Get(string) (*tls.ClientSessionState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.state != nil
}

// Put keeps a session; nil, by which crypto/tls asks for removal, is ignored.
func (s *lastSession) Put(_ string, state *tls.ClientSessionState) {
	if state == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

// markedConn remembers that the connection below TLS has ended. [tls.Conn] says
// io.EOF both after close_notify and without it; only the second is preceded by
// an end of the connection itself.
type markedConn struct {
	net.Conn
	ended atomic.Bool
	write func([]byte) (int, error) // instead of Conn.Write, if set
}

// Write writes to the connection below.
func (m *markedConn) Write(p []byte) (int, error) {
	if m.write != nil {
		return m.write(p)
	}
	return m.Conn.Write(p)
}

// Read reads from the connection below.
func (m *markedConn) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if n == 0 && errors.Is(err, io.EOF) {
		m.ended.Store(true)
	}
	return n, err
}
