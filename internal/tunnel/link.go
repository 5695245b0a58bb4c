package tunnel

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel/frame"
)

// Time limits of a link.
const (
	PingEvery    = 10 * time.Second // an idle link and a session are pinged this often
	PingAnswer   = 5 * time.Second  // and dead after this long without an answer
	parkSilence  = 2*PingEvery + PingAnswer
	handshakeMax = 10 * time.Second
)

// ErrLost is in the chain of every error that comes from a link which went away
// before its stream had ended.
var ErrLost = errors.New("link lost")

// Link is one TLS connection between a connector and a gateway. It carries one
// stream at a time, or a [Session], or what the join handler serves.
type Link struct {
	tls  *tls.Conn
	wire *wire

	busy      atomic.Bool // an open was sent or read and its stream has not been settled
	streaming atomic.Bool // what [Link.Stalled] is for

	abort   sync.Once
	aborted chan struct{} // closed once the link is
}

func newLink(w *wire, t *tls.Conn) *Link { return &Link{tls: t, wire: w, aborted: make(chan struct{})} }

// Client shakes hands over conn, within 10 s and the context. On error conn is closed.
func Client(ctx context.Context, conn net.Conn, cfg *tls.Config) (*Link, error) {
	w := &wire{Conn: conn}
	return shake(ctx, newLink(w, tls.Client(w, cfg)))
}

// Server shakes hands over conn, within 10 s and the context. On error conn is closed.
func Server(ctx context.Context, conn net.Conn, cfg *tls.Config) (*Link, error) {
	w := &wire{Conn: conn}
	return shake(ctx, newLink(w, tls.Server(w, cfg)))
}

func shake(ctx context.Context, l *Link) (*Link, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeMax)
	defer cancel()
	if err := tune(l.wire.Conn); err != nil {
		l.Abort()
		return nil, fmt.Errorf("set keep-alive of link: %w", err)
	}
	if err := l.tls.HandshakeContext(ctx); err != nil {
		l.Abort()
		return nil, err
	}
	switch l.Protocol() {
	case frame.ControlProtocol, frame.DataProtocol:
		l.wire.setFramed()
	}
	return l, nil
}

// Protocol returns the application protocol that was agreed on (ALPN, RFC 7301).
func (l *Link) Protocol() string { return l.tls.ConnectionState().NegotiatedProtocol }

// PeerCertificate returns the other end's certificate, nil without one.
func (l *Link) PeerCertificate() *x509.Certificate {
	if c := l.tls.ConnectionState().PeerCertificates; len(c) > 0 {
		return c[0]
	}
	return nil
}

// TLS returns the connection itself, for a protocol that is not this package's.
func (l *Link) TLS() *tls.Conn { return l.tls }

// RemoteAddr returns the other end's address.
func (l *Link) RemoteAddr() net.Addr { return l.wire.Conn.RemoteAddr() }

// LocalAddr returns this end's address.
func (l *Link) LocalAddr() net.Addr { return l.wire.Conn.LocalAddr() }

// Abort closes the link at once. A stream on it looks cut to the other end.
func (l *Link) Abort() {
	l.abort.Do(func() { close(l.aborted) })
	_ = l.wire.Conn.Close() // it is being thrown away: nobody can act on this error
}

// Close says goodbye and closes the link.
func (l *Link) Close() {
	_ = l.wire.SetWriteDeadline(time.Now().Add(time.Second)) // a dead socket reports below
	_ = l.tls.CloseWrite()                                   // a courtesy: the end of a link means nothing by itself
	l.Abort()
}

// Stalled reports whether a stream's link is dead although nobody has said so:
// bytes unacknowledged and no answer from the other kernel for longer than a
// ping may take. TCP_USER_TIMEOUT cannot do this while a stream runs, because it
// also ends a stream whose reader merely pauses. A link that was aborted is not
// stalled: that has been said.
func (l *Link) Stalled() bool {
	select {
	case <-l.aborted:
		return false
	default:
	}
	return l.streaming.Load() && stalled(l.wire.Conn, PingEvery+PingAnswer)
}

// send writes b before the deadline d; meeting it is the link's end.
func (l *Link) send(b []byte, d time.Time) error {
	if err := l.wire.SetWriteDeadline(d); err != nil {
		return lost(err)
	}
	if _, err := l.tls.Write(b); err != nil {
		return lost(err)
	}
	late, err := l.wire.flush()
	if late {
		err = os.ErrDeadlineExceeded
	}
	if err != nil {
		return lost(err)
	}
	return nil
}

// receive reads one message before the deadline d.
func (l *Link) receive(d time.Time) (frame.Type, []byte, error) {
	if err := l.tls.SetReadDeadline(d); err != nil {
		return 0, nil, lost(err)
	}
	return l.read()
}

func (l *Link) read() (frame.Type, []byte, error) {
	t, body, err := frame.ReadMessage(l.tls)
	if err != nil {
		return 0, nil, lost(err)
	}
	return t, body, nil
}

// lost marks err as the end of a link. io.EOF must not show: the end of a link
// is never the end of a stream.
func lost(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	kind := fault.Unreachable
	if errors.Is(err, os.ErrDeadlineExceeded) {
		kind = fault.TimedOut
	}
	return fault.Wrap(kind, fmt.Errorf("%w: %w", ErrLost, err), "the tunnel was cut")
}

func (l *Link) start() { l.streaming.Store(true); patient(l.wire.Conn, true) }
func (l *Link) park()  { l.streaming.Store(false); patient(l.wire.Conn, false); l.busy.Store(false) }

// Idle reports whether the link stands between streams, so that it can carry
// another one.
func (l *Link) Idle() bool { return !l.busy.Load() }

// Attach ties the link to a session. Connector, once, first.
func (l *Link) Attach(session frame.ID) error {
	return l.send(frame.AppendAttach(nil, session), time.Now().Add(PingAnswer))
}

// Attached reads what [Link.Attach] wrote, within 10 s. Gateway.
func (l *Link) Attached() (frame.ID, error) {
	t, body, err := l.receive(time.Now().Add(handshakeMax))
	if err != nil {
		return frame.ID{}, err
	}
	if t != frame.TypeAttach {
		return frame.ID{}, unexpected(t, frame.TypeAttach)
	}
	return frame.ParseAttach(body)
}

func unexpected(got, want frame.Type) error {
	return fmt.Errorf("tunnel: got %s, want %s", got, want)
}

// Ping asks an idle link for a sign of life. Gateway.
func (l *Link) Ping() error {
	d := time.Now().Add(PingAnswer)
	if err := l.send(frame.AppendPing(nil), d); err != nil {
		return err
	}
	t, _, err := l.receive(d)
	if err == nil && t != frame.TypePong {
		err = unexpected(t, frame.TypePong)
	}
	return err
}

// Open asks the connector for a stream, and waits for its answer until the
// context's end. A refusal is a *[fault.Error] that leaves the link idle; after
// any other error the link must be aborted. Gateway.
func (l *Link) Open(ctx context.Context, o frame.Open) (*Stream, error) {
	b, err := frame.AppendOpen(nil, o)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "open a stream to %q", o.Target())
	}
	l.busy.Store(true)
	if err := l.send(b, time.Now().Add(PingAnswer)); err != nil {
		return nil, err
	}
	t, body, err := l.awaitStatus(ctx)
	if err != nil {
		return nil, err
	}
	if t != frame.TypeStatus {
		return nil, unexpected(t, frame.TypeStatus)
	}
	s, err := frame.ParseStatus(body)
	if err != nil {
		return nil, err
	}
	if !s.OK() {
		l.busy.Store(false)
		return nil, Refused(s)
	}
	return newStream(l, o), nil
}

func (l *Link) awaitStatus(ctx context.Context) (frame.Type, []byte, error) {
	if err := l.tls.SetReadDeadline(time.Now().Add(openMax)); err != nil {
		return 0, nil, lost(err)
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = l.tls.SetReadDeadline(past) // a closed link reports in the read
		close(interrupted)
	})
	t, body, err := l.read()
	if !stop() {
		<-interrupted // or its deadline would fall on the stream
		if err != nil {
			return 0, nil, context.Cause(ctx)
		}
	}
	return t, body, err
}

// openMax bounds an open beside its context: dialling at the plant is in it.
const openMax = 45 * time.Second

// Accept waits for an open, answering pings. It ends with an error when the
// gateway has been silent for 25 s. Connector.
func (l *Link) Accept() (frame.Open, error) {
	for {
		t, body, err := l.receive(time.Now().Add(parkSilence))
		if err != nil {
			return frame.Open{}, err
		}
		switch t {
		case frame.TypePing:
			if err := l.send(frame.AppendPong(nil), time.Now().Add(PingAnswer)); err != nil {
				return frame.Open{}, err
			}
		case frame.TypeOpen:
			l.busy.Store(true)
			return frame.ParseOpen(body)
		default:
			return frame.Open{}, unexpected(t, frame.TypeOpen)
		}
	}
}

// Grant answers an open with yes. Connector.
func (l *Link) Grant(o frame.Open) (*Stream, error) {
	b, err := frame.AppendStatus(nil, frame.Status{})
	if err != nil {
		return nil, err
	}
	if err := l.send(b, time.Now().Add(PingAnswer)); err != nil {
		return nil, err
	}
	return newStream(l, o), nil
}

// Refuse answers an open with cause's kind, public text and hint. Connector.
func (l *Link) Refuse(cause error) error {
	b, err := frame.AppendStatus(nil, StatusOf(cause))
	if err != nil {
		return err
	}
	if err := l.send(b, time.Now().Add(PingAnswer)); err != nil {
		return err
	}
	l.busy.Store(false)
	return nil
}
