package tunnel

import (
	"context"
	"errors"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel/frame"
)

// Session is the control link between a connector and a gateway, after its
// greeting. Both ends run one.
type Session struct {
	Link *Link
	// Handle gets every message but pings, one after the other, and must not
	// wait for the network. An error ends the session.
	Handle func(frame.Control) error

	wmu  sync.Mutex // serialises writes
	once sync.Once
	pong chan uint64
}

func (s *Session) init() { s.once.Do(func() { s.pong = make(chan uint64, 1) }) }

// Send sends one message, within 5 s.
func (s *Session) Send(m frame.Control) error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	return s.Link.SendControl(m)
}

// SendControl sends one control message before the session runs, within 5 s.
func (l *Link) SendControl(m frame.Control) error {
	b, err := frame.AppendControl(nil, m)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "send a control message")
	}
	return l.send(b, time.Now().Add(PingAnswer))
}

// ReceiveControl reads one control message before the session runs, within 10 s.
// The error is TLS's own, since it may say why the other end refused a certificate.
func (l *Link) ReceiveControl() (frame.Control, error) {
	if err := l.tls.SetReadDeadline(time.Now().Add(handshakeMax)); err != nil {
		return nil, lost(err)
	}
	return frame.ReadControl(l.tls)
}

// lostUnlessSyntax tells a link that went away from one that speaks another language.
func lostUnlessSyntax(err error) error {
	if se := (*frame.SyntaxError)(nil); errors.As(err, &se) {
		return fault.Wrap(fault.Invalid, err, "the other end of the tunnel does not speak this protocol").
			WithHint("run the same version of sallyport at both ends")
	}
	return lost(err)
}

// Run serves the session until the context ends, the link is lost, a message is
// malformed or a ping stays unanswered for 5 s. It closes the link. The error says
// which; after the context's end it is nil.
func (s *Session) Run(ctx context.Context) error {
	s.init()
	if err := s.Link.tls.SetReadDeadline(time.Time{}); err != nil {
		return lost(err)
	}
	asked := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() { cancel(s.read()) })
	wg.Go(func() {
		if err := s.ping(ctx); err != nil {
			cancel(err)
		}
	})
	<-ctx.Done()
	s.Link.Abort()
	wg.Wait()
	if asked.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}

func (s *Session) read() error {
	for {
		m, err := frame.ReadControl(s.Link.tls)
		if err != nil {
			return lostUnlessSyntax(err)
		}
		switch m := m.(type) {
		case *frame.Ping:
			err = s.Send(&frame.Pong{Seq: m.Seq})
		case *frame.Pong:
			select {
			case s.pong <- m.Seq:
			default: // nobody waits for it
			}
		default:
			err = s.Handle(m)
		}
		if err != nil {
			return err
		}
	}
}

func (s *Session) ping(ctx context.Context) error {
	every := time.NewTicker(PingEvery)
	defer every.Stop()
	for seq := uint64(1); ; seq++ {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
		if err := s.Send(&frame.Ping{Seq: seq}); err != nil {
			return err
		}
		if err := s.await(ctx, seq); err != nil {
			return err
		}
	}
}

func (s *Session) await(ctx context.Context, seq uint64) error {
	limit := time.NewTimer(PingAnswer)
	defer limit.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case got := <-s.pong:
			if got == seq {
				return nil
			}
		case <-limit.C:
			return fault.Wrap(fault.TimedOut, ErrLost, "the other end of the tunnel has not answered a ping for %v", PingAnswer)
		}
	}
}
