package gateway

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel"
	"sallyport.dev/internal/tunnel/enroll"
	"sallyport.dev/internal/tunnel/frame"
)

// session is one connector that is connected.
type session struct {
	g       *Gateway
	id      frame.ID
	who     enroll.Identity
	hello   *frame.Hello
	link    *tunnel.Link
	control tunnel.Session
	pool    tunnel.Pool
	since   time.Time
	ctx     context.Context // ends when the session is to end, with why
	cancel  context.CancelCauseFunc

	// guarded by Gateway.mu
	draining bool
	running  int            // streams
	watched  map[string]int // streams through ftp mappings, by principal

	mu      sync.Mutex // guards the following
	lookups map[uint64]chan bool
	lastID  uint64
}

var (
	errReplaced = errors.New("replaced by a new session of the same connector")
	errRevoked  = errors.New("the connector is revoked, or its certificate has ended")
)

// control greets a connector and runs its session to the end. admitted is called
// once the greeting is over.
func (g *Gateway) control(link *tunnel.Link, admitted func()) error {
	release := sync.OnceFunc(admitted)
	defer release()
	defer link.Close()
	who, err := enroll.IdentityOf(link.PeerCertificate())
	if err != nil {
		return err
	}
	m, err := link.ReceiveControl()
	if err != nil {
		return fault.As(err, "greeting of connector %s of location %q", who.ID, who.Location)
	}
	s, err := g.greet(link, who, m)
	if err != nil {
		r := frame.Refusal(tunnel.StatusOf(err))
		return errors.Join(err, link.SendControl(&r))
	}
	defer g.forget(s)
	if err := link.SendControl(&frame.Welcome{Protocol: frame.Version, Software: g.Software, Session: s.id, Spares: tunnel.PoolStart}); err != nil {
		return fault.As(err, "greet connector %s of location %q", who.ID, who.Location)
	}
	release()
	s.run(g.base)
	return nil
}

// greet checks the hello and registers the session; an older one of the same
// connector ends.
func (g *Gateway) greet(link *tunnel.Link, who enroll.Identity, m frame.Control) (*session, error) {
	hello, ok := m.(*frame.Hello)
	if !ok {
		return nil, fault.New(fault.Invalid, "a session starts with a hello")
	}
	if hello.Protocol != frame.Version {
		return nil, fault.New(fault.Unsupported, "the connector speaks protocol %d, this gateway %d", hello.Protocol, frame.Version).
			WithHint("run the same version of sallyport at both ends")
	}
	if hello.Location != who.Location {
		return nil, fault.New(fault.Denied, "the connector calls itself %q, its certificate says %q", hello.Location, who.Location).
			WithHint("set connector.location to %q, or join anew with a token for %q", who.Location, hello.Location)
	}
	s := &session{g: g, who: who, hello: hello, link: link, since: time.Now(), watched: make(map[string]int), lookups: make(map[uint64]chan bool)}
	rand.Read(s.id[:]) // never returns an error
	s.control = tunnel.Session{Link: link, Handle: s.handle}
	s.pool = tunnel.Pool{
		Name: "the connector of location " + who.Location, Logger: g.Logger, OnEnd: g.streamEnded,
		Grow: func(n int) error { return s.control.Send(&frame.Grow{Count: n}) },
	}
	s.pool.Expect(tunnel.PoolStart) // by the welcome
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, fault.New(fault.Busy, "the gateway is stopping").WithHint("the connector tries again by itself")
	}
	if len(g.sessions) >= maxSessions {
		return nil, fault.New(fault.Busy, "the gateway has %d sessions and takes no more", maxSessions)
	}
	for _, old := range g.sessions {
		if old.who.ID == who.ID && !old.draining {
			old.draining = true
			if old.hello.Instance != hello.Instance {
				g.log().Info("session replaced by another process of the same connector", "connector", who.ID, "location", who.Location,
					"old_peer", old.link.RemoteAddr().String(), "peer", link.RemoteAddr().String())
			}
			old.cancel(errReplaced)
		}
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	g.sessions[s.id] = s
	return s, nil
}

// run serves the session until it ends, and then its streams until they end.
func (s *session) run(base context.Context) {
	log := s.g.log().With("connector", s.who.ID, "location", s.who.Location, "peer", s.link.RemoteAddr().String())
	log.Info("connector connected", "session", s.id.String(), "software", s.hello.Software, "mappings", len(s.hello.Mappings))
	ctx, cancel := context.WithCancelCause(base)
	defer cancel(nil)
	var wg sync.WaitGroup
	streams, ended := context.WithCancel(context.Background())
	wg.Go(func() { defer ended(); s.pool.Run(ctx) })
	wg.Go(func() { s.watch(streams) })
	stopDrain := context.AfterFunc(base, func() { s.farewell(ErrServerClosed) })
	err := s.control.Run(ctx)
	stopDrain()
	if cause := context.Cause(s.ctx); cause != nil {
		err = cause
	}
	s.g.mu.Lock()
	s.draining = true
	s.g.mu.Unlock()
	cancel(err)
	wg.Wait()
	log.Info("connector disconnected", "session", s.id.String(), "after", time.Since(s.since).Round(time.Second), "cause", err)
}

// farewell tells the connector why its session ends. It is a courtesy: the link's
// end says the same.
func (s *session) farewell(why error) { _ = s.control.Send(&frame.Drain{Reason: why.Error()}) }

// watch ends the session when it is to end, and cuts it with its streams when its
// connector is revoked, by whatever process, or its certificate runs out. It goes
// on as long as streams of the session run, which may be after its end.
func (s *session) watch(streams context.Context) {
	every := time.NewTicker(checkEvery)
	defer every.Stop()
	ending := s.ctx.Done()
	for {
		select {
		case <-streams.Done():
			return
		case <-ending:
			s.farewell(context.Cause(s.ctx))
			s.link.Abort()
			ending = nil
			continue
		case <-every.C:
		}
		err := s.g.Authority.Check(s.current())
		switch {
		case err == nil:
		case fault.KindOf(err) == fault.Denied:
			s.g.log().Warn("session ended", "connector", s.who.ID, "location", s.who.Location, "error", err, "hint", fault.HintOf(err))
			s.cancel(errRevoked)
			s.pool.Cut()
		default: // the state folder cannot be read: no reason to cut what runs
			s.g.log().Error("look up whether a connector is revoked", "connector", s.who.ID, "error", err)
		}
	}
}

// current is who the connector is by its newest certificate.
func (s *session) current() enroll.Identity {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	return s.who
}

func (g *Gateway) forget(s *session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.cancel(nil)
	delete(g.sessions, s.id)
}

// handle takes one message of the connector's.
func (s *session) handle(m frame.Control) error {
	switch m := m.(type) {
	case *frame.Found:
		s.mu.Lock()
		defer s.mu.Unlock()
		if w, ok := s.lookups[m.ID]; ok {
			delete(s.lookups, m.ID)
			w <- m.Found
		}
		return nil
	case *frame.Renew:
		return s.renew(m)
	case *frame.Drain:
		s.g.mu.Lock()
		defer s.g.mu.Unlock()
		s.draining = true
		return nil
	default:
		return fault.New(fault.Invalid, "the connector of location %q sent a %T in a session", s.who.Location, m)
	}
}

func (s *session) renew(m *frame.Renew) error {
	who := s.current()
	text, err := s.g.Authority.Renew(who, m.CSR)
	if err != nil {
		s.g.log().Warn("renewal refused", "connector", who.ID, "location", who.Location, "error", err)
		r := frame.Refusal(tunnel.StatusOf(err))
		return s.control.Send(&r)
	}
	id, err := identityOf(text)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "read back the certificate of connector %s", who.ID)
	}
	s.g.mu.Lock()
	s.who.NotAfter = id.NotAfter
	s.g.mu.Unlock()
	return s.control.Send(&frame.Renewed{Certificate: text})
}

func identityOf(text []byte) (enroll.Identity, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return enroll.Identity{}, errors.New("no PEM block")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return enroll.Identity{}, err
	}
	return enroll.IdentityOf(cert)
}

// lookup asks the connector whether it has a pinhole for the target.
func (s *session) lookup(ctx context.Context, t target) (bool, error) {
	answer := make(chan bool, 1)
	s.mu.Lock()
	s.lastID++
	id := s.lastID
	s.lookups[id] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.lookups, id)
	}()
	if err := s.control.Send(&frame.Lookup{ID: id, Principal: t.principal, Host: t.host, Port: t.port}); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, tunnel.PingAnswer)
	defer cancel()
	select {
	case found := <-answer:
		return found, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// exposes returns the first mapping that covers the target, or -1.
func (s *session) exposes(t target) int {
	return slices.IndexFunc(s.hello.Mappings, func(m frame.Mapping) bool { return tunnel.Covers(m, t.host, t.port) })
}
