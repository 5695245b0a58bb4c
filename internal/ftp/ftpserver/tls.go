package ftpserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// TLS of control and data connections, RFC 2228 and RFC 4217.

// TLS says how a [Server] speaks TLS. Certificate must be set. Versions are 1.2
// and 1.3.
type TLS struct {
	// Certificate returns the certificate to show. It is asked for every
	// handshake, so that one that was renewed is shown at once, and may choose by
	// the name that the client asks for.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Control     ControlPolicy
	Data        DataPolicy
	Resumption  Resumption
	// Implicit speaks TLS from the first byte, as on port 990. Data connections
	// are then protected unless the client says PROT C.
	Implicit bool
	// ClientCAs asks clients for a certificate, which must come from one of these
	// authorities. Nil asks for none.
	ClientCAs *x509.CertPool
	// ClientRequired refuses clients that show none.
	ClientRequired bool
	// AcceptTruncated publishes an upload whose data connection ended without
	// TLS's close_notify. Some clients never send it; but without it an upload
	// that somebody cut on the way looks just the same.
	AcceptTruncated bool
}

// ControlPolicy says when a control connection must speak TLS.
type ControlPolicy uint8

// The policies for control connections.
const (
	ControlAllow       ControlPolicy = iota // plain logins are let in, too
	ControlCredentials                      // before a login, but for anonymous ones
	ControlRequire                          // before any login
)

// DataPolicy says when a data connection must speak TLS.
type DataPolicy uint8

// The policies for data connections.
const (
	DataAllow   DataPolicy = iota // as PROT says
	DataRequire                   // transfers are refused without PROT P
	DataRefuse                    // PROT P is refused
)

// Resumption says what becomes of a protected data connection that does not
// resume the TLS session of its own control connection. One that does proves
// that the same client holds both ends; without that proof, whoever shares the
// client's address and is quicker can take its place.
type Resumption uint8

// The policies for resumption.
const (
	ResumptionOff     Resumption = iota // nothing
	ResumptionWarn                      // a line in the log, once in a session
	ResumptionRequire                   // the transfer is refused with 522
)

// base returns the configuration that the sessions' own are cloned from.
func (t *TLS) base() *tls.Config {
	c := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: t.Certificate,
		// Files are what is sent: small records at the start would cost more than
		// they bring.
		DynamicRecordSizingDisabled: true,
	}
	if t.ClientCAs != nil {
		c.ClientCAs, c.ClientAuth = t.ClientCAs, tls.VerifyClientCertIfGiven
		if t.ClientRequired {
			c.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	return c
}

// protection is TLS of one session, from the handshake on.
type protection struct {
	policy  *TLS
	of      *Server     // whose certificate was shown
	conf    *tls.Config // of control and data connections
	foreign atomic.Bool // a data connection offered a ticket, and not of this session
	warned  atomic.Bool
	version uint16
	name    string            // of the server, that the client asked for
	client  *x509.Certificate // verified; nil if it showed none

	pbsz    bool // PBSZ was sent, so that PROT may come
	private bool // PROT P
}

// ticketMark begins what our tickets carry besides TLS's own, before the 16
// random bytes that name the session.
const ticketMark = "sallyport-session:"

// newProtection makes the configuration of one session. Its tickets carry the
// session's name, and it takes no others: what resumes, resumes this session.
func (s *session) newProtection(of *Server) *protection {
	now, implicit := s.policy, s.implicit()
	if of != s.srv {
		now = of.current()
	}
	base := now.tlsBase
	p := &protection{policy: now.TLS, of: of, conf: base.Clone(), private: implicit, pbsz: implicit}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails, by its contract
	own := append([]byte(ticketMark), id[:]...)
	p.conf.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		ss.Extra = append(ss.Extra, own)
		return base.EncryptTicket(cs, ss)
	}
	p.conf.UnwrapSession = func(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		ss, err := base.DecryptTicket(identity, cs)
		if err == nil && ss != nil {
			for _, extra := range ss.Extra {
				if bytes.Equal(extra, own) {
					return ss, nil
				}
			}
		}
		p.foreign.Store(true)
		return nil, nil // a full handshake; what follows from it is policy
	}
	return p
}

// startTLS makes the control connection speak TLS from here on, or ends the
// session: after a handshake that failed nobody knows what the next byte means.
func (s *session) startTLS() bool {
	of := s.secureServer()
	if of == nil { // implicit, and no certificate
		s.log.Error("no certificate to begin TLS with")
		s.quit = true
		return false
	}
	p := s.newProtection(of)
	inlineUrgent(s.raw, false)
	conf := p.conf
	if s.door != nil {
		conf = conf.Clone()
		conf.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if named := s.door.named(hello.ServerName); named != nil && named != p.of && named.current().TLS != nil {
				p = s.newProtection(named)
			}
			return p.conf, nil
		}
	}
	conn := tls.Server(s.raw, conf)
	ctx, cancel := context.WithTimeout(s.ctx, s.timeouts.Connect)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		s.log.Info("TLS handshake on the control connection", "err", err)
		s.quit = true
		return false
	}
	state := conn.ConnectionState()
	p.version, p.name = state.Version, state.ServerName
	if len(state.VerifiedChains) > 0 {
		p.client = state.PeerCertificates[0]
	}
	s.turn.Lock()
	s.conn = conn
	s.turn.Unlock()
	s.in = ftp.NewReader(conn, s.limits.Line)
	s.tls = p
	s.log.Debug("TLS begins", "version", tls.VersionName(state.Version), "cipher", tls.CipherSuiteName(state.CipherSuite))
	if s.door == nil {
		return true
	}
	if s.byTLS = s.door.named(state.ServerName); s.byTLS != nil {
		return s.moveTo(s.byTLS)
	}
	return true
}

// handleAUTH begins TLS (RFC 4217 section 4). Whatever the session knew came
// unprotected and is forgotten.
func (s *session) handleAUTH(arg string) {
	mechanism := strings.ToUpper(arg)
	switch mechanism {
	case "TLS", "TLS-C", "TLS-P", "SSL":
	default:
		s.reply(ftp.CodeBadParameter, "The mechanism is TLS")
		return
	}
	switch {
	case s.secureServer() == nil:
		s.reply(ftp.CodePolicyDenied, "This site has no certificate and speaks plain FTP, for networks that are trusted")
	case s.tls != nil:
		s.reply(ftp.CodeBadSequence, "TLS is on already")
	case s.in.Buffered() > 0:
		// They came unprotected and would be taken for protected ones.
		s.log.Warn("bytes behind AUTH before TLS", "bytes", s.in.Buffered())
		s.reply(ftp.CodeUnavailable, "Nothing may follow AUTH before TLS has begun, closing the connection")
		s.quit = true
	default:
		host, name := s.byHost, s.hostName
		s.reset()
		s.reply(ftp.CodeSecurityOK, "Begin TLS now")
		if s.startTLS() {
			if s.byTLS == nil || s.byTLS == host {
				s.byHost, s.hostName = host, name // HOST may come before AUTH (RFC 7151 section 3)
			}
			// The old words SSL and TLS-P stand for a protected data channel, too.
			s.tls.private = s.tls.policy.Data != DataRefuse && (mechanism == "SSL" || mechanism == "TLS-P")
		}
	}
}

// handlePBSZ takes the buffer size, which for TLS is nothing (RFC 4217 section 8).
func (s *session) handlePBSZ(arg string) {
	if s.tls == nil {
		s.reply(ftp.CodeBadSequence, "Send AUTH TLS first")
		return
	}
	if _, err := strconv.ParseUint(arg, 10, 32); err != nil {
		s.reply(ftp.CodeBadArgument, "Want PBSZ 0")
		return
	}
	s.tls.pbsz = true
	s.reply(ftp.CodeOK, "PBSZ=0")
}

// handlePROT says whether data connections are protected (RFC 4217 section 9).
func (s *session) handlePROT(arg string) {
	level := strings.ToUpper(arg)
	switch {
	case s.tls == nil:
		s.reply(ftp.CodeBadSequence, "Send AUTH TLS and PBSZ 0 first")
	case !s.tls.pbsz:
		s.reply(ftp.CodeBadSequence, "Send PBSZ 0 first")
	case level == "S" || level == "E":
		s.reply(ftp.CodeProtUnsupported, "TLS protects data wholly (P) or not at all (C)")
	case level != "C" && level != "P":
		s.reply(ftp.CodeBadParameter, "Levels are P (protected) and C (clear)")
	case level == "C" && s.tls.policy.Data == DataRequire:
		s.reply(ftp.CodePolicyDenied, "This site wants data connections protected: PROT P")
	case level == "P" && s.tls.policy.Data == DataRefuse:
		s.reply(ftp.CodePolicyDenied, "This site wants data connections in the clear: PROT C")
	default:
		s.tls.private = level == "P"
		s.reply(ftp.CodeOK, "PROT "+level)
	}
}

// mayLogin holds a login to the policy for control connections, or answers why not.
func (s *session) mayLogin(user string) bool {
	if s.tls != nil || s.policy.TLS == nil {
		return true
	}
	switch s.policy.TLS.Control {
	case ControlAllow:
		return true
	case ControlCredentials:
		if anonymous(user) {
			return true
		}
	}
	s.reply(ftp.CodePolicyDenied, "This site wants TLS before a login: AUTH TLS")
	return false
}

// anonymous reports whether user has no password of its own (RFC 1635).
func anonymous(user string) bool {
	return strings.EqualFold(user, "anonymous") || strings.EqualFold(user, "ftp")
}

// mayOpenData holds a transfer to the policy for data connections.
func (s *session) mayOpenData() bool {
	if s.policy.TLS == nil || s.policy.TLS.Data != DataRequire || s.tls != nil && s.tls.private {
		return true
	}
	want := "PROT P"
	if s.tls == nil {
		want = "AUTH TLS, PBSZ 0 and PROT P"
	}
	s.reply(ftp.CodeProtOnData, "This site wants data connections protected: "+want)
	return false
}

var (
	errNotResumed error = fault.New(fault.Denied, "the data connection did not resume the TLS session of its control connection, which this site requires").
			WithHint("let the client reuse TLS sessions")
	errTruncated error = fault.New(fault.Unreachable, "the data connection ended without TLS's close_notify, so nobody knows whether the file is whole").
			WithHint("the upload was not published")
)

// protect makes a data connection speak TLS. The server's side is TLS's server
// in active mode, too (RFC 4217 section 10).
func (s *session) protect(ctx context.Context, p *protection, raw *pacedConn) (net.Conn, error) {
	conn := tls.Server(raw, p.conf)
	p.foreign.Store(false)
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeouts.Connect, errNotOpened)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, fault.Wrap(fault.Unreachable, err, "beginning TLS on the data connection")
	}
	if conn.ConnectionState().DidResume || p.policy.Resumption == ResumptionOff {
		return conn, nil
	}
	if p.policy.Resumption == ResumptionRequire {
		s.log.Warn("data connection refused: it did not resume the TLS session of its control connection", "other session's ticket", p.foreign.Load())
		return nil, errNotResumed
	}
	if !p.warned.Swap(true) {
		s.log.Warn("data connections do not resume the TLS session of their control connection", "other session's ticket", p.foreign.Load())
	}
	return conn, nil
}

// pacedConn is the connection beneath TLS of a data connection. TLS cannot go on
// after a deadline that passed in the middle of a record, so time is kept here,
// where every byte that moves renews it.
type pacedConn struct {
	net.Conn
	t     *transfer
	ended bool    // the peer ended the connection itself, beneath TLS
	ahead *[]byte // if set, uploads are read ahead into it, many records at a time
	rest  []byte  // of ahead, not yet read
}

// NetConn returns the connection beneath.
func (c *pacedConn) NetConn() net.Conn { return c.Conn }

func (c *pacedConn) Read(p []byte) (int, error) {
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	if err := c.t.renew(c.SetReadDeadline); err != nil {
		return 0, err
	}
	into := p
	if c.ahead != nil {
		into = *c.ahead
	}
	n, err := c.Conn.Read(into)
	if err == io.EOF { //nolint:errorlint // as readers return it
		c.ended = true
	}
	if c.ahead != nil && n > 0 {
		c.rest = into[:n]
		n = copy(p, c.rest)
		if c.rest = c.rest[n:]; len(c.rest) > 0 {
			err = nil // comes again
		}
	}
	return n, err
}

func (c *pacedConn) Write(p []byte) (int, error) {
	return writePaced(c.Conn, c.t, p)
}

// protectionText is the line of STAT.
func (s *session) protectionText() string {
	if s.tls == nil {
		return "No TLS"
	}
	data := "clear"
	if s.tls.private {
		data = "protected"
	}
	return tls.VersionName(s.tls.version) + " on the control connection, data connections " + data
}
