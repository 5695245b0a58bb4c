package connector

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/tunnel"
	"sallyport.dev/internal/tunnel/frame"
)

// Times of coming back to a gateway that went away: a random time below a limit
// that doubles (full jitter, so that many connectors do not come at once).
const (
	backoffFirst  = 250 * time.Millisecond
	backoffFresh  = 2 * time.Second // the limit in an outage's first minute
	backoffOld    = 30 * time.Second
	freshOutage   = time.Minute
	renewAgain    = time.Hour
	logAgain      = time.Minute
	maxLinks      = 1024
	maxHandshakes = 16
)

// uplink keeps sessions with one gateway, one after the other.
type uplink struct {
	c     *Connector
	index int
	addr  string

	links sync.WaitGroup // data links, which may outlive their session
	dials chan struct{}  // one token for each data link being dialled

	mu     sync.Mutex // guards the following
	count  int        // data links
	active map[*tunnel.Link]*tunnel.Stream
}

// run connects for ever, unless that is hopeless.
func (u *uplink) run(ctx context.Context, giveUp context.CancelCauseFunc) {
	u.active = make(map[*tunnel.Link]*tunnel.Stream)
	u.dials = make(chan struct{}, maxHandshakes)
	stopTend := make(chan struct{})
	var tending sync.WaitGroup
	tending.Go(func() { u.tend(stopTend) })
	var out outage
	for {
		connected, err := u.session(ctx)
		if ctx.Err() != nil {
			break
		}
		if h := u.c.hopeless(u.index, connected, err); h != nil {
			giveUp(h)
			break
		}
		if connected {
			out = outage{}
		}
		u.c.set(u.index, func(s *GatewayState) {
			if s.Connected || s.Err == nil {
				s.Since = time.Now()
			}
			s.Connected, s.Err = false, err
		})
		delay := out.next(time.Now())
		if out.worthSaying(err, time.Now()) {
			u.c.log().Warn("gateway not connected", "gateway", u.addr, "error", err, "hint", fault.HintOf(err), "again_in", delay.Round(time.Millisecond))
		}
		if !netx.Pause(ctx, delay) {
			break
		}
	}
	u.drain()
	close(stopTend)
	tending.Wait()
}

// outage is a time without a session.
type outage struct {
	since time.Time
	tries int
	said  string
	saidT time.Time
}

// next returns how long to wait before the next try.
func (o *outage) next(now time.Time) time.Duration {
	if o.tries == 0 {
		o.since = now
	}
	limit := backoffFirst << min(o.tries, 10)
	o.tries++
	if now.Sub(o.since) < freshOutage {
		limit = min(limit, backoffFresh)
	}
	return time.Duration(rand.Int64N(int64(min(limit, backoffOld))))
}

func (o *outage) worthSaying(err error, now time.Time) bool {
	text := "session ended"
	if err != nil {
		text = err.Error()
	}
	if text == o.said && now.Sub(o.saidT) < logAgain {
		return false
	}
	o.said, o.saidT = text, now
	return true
}

// session connects, greets and serves one session. connected: it got that far.
func (u *uplink) session(ctx context.Context) (connected bool, err error) {
	link, err := u.dial(ctx, frame.ControlProtocol)
	if err != nil {
		return false, err
	}
	defer link.Abort()
	stop := context.AfterFunc(ctx, link.Abort)
	welcome, err := u.greet(link)
	if !stop() || err != nil {
		return false, err
	}
	s := &session{u: u, id: welcome.Session, renewal: make(chan frame.Control, 1)}
	s.control = tunnel.Session{Link: link, Handle: s.handle}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	defer s.cancel(nil)
	u.c.set(u.index, func(st *GatewayState) { st.Connected, st.Since, st.Err = true, time.Now(), nil })
	if u.c.OnConnect != nil {
		u.c.OnConnect(u.addr)
	}
	u.c.log().Info("gateway connected", "gateway", u.addr, "software", welcome.Software)
	s.grow(welcome.Spares)
	var wg sync.WaitGroup
	wg.Go(func() { s.renew() })
	err = s.control.Run(s.ctx)
	s.cancel(err)
	wg.Wait()
	return true, err
}

func (u *uplink) dial(ctx context.Context, proto string) (*tunnel.Link, error) {
	conn, err := u.c.dialGateway(ctx, u.addr)
	if err != nil {
		return nil, err
	}
	link, err := tunnel.Client(ctx, conn, u.c.Credentials.ClientConfig(proto))
	if err != nil {
		return nil, u.c.Credentials.Explain(err, u.addr)
	}
	return link, nil
}

func (u *uplink) greet(link *tunnel.Link) (*frame.Welcome, error) {
	hello := &frame.Hello{
		Protocol: frame.Version, Software: u.c.Software, Location: u.c.Credentials.Identity().Location,
		Instance: u.c.instance,
	}
	for _, r := range u.c.rules {
		hello.Mappings = append(hello.Mappings, r.Mapping)
	}
	// A gateway that refuses the certificate says so and closes, which may fail
	// this write; why is what the read says.
	sent := link.SendControl(hello)
	m, err := link.ReceiveControl()
	if err != nil {
		return nil, u.c.Credentials.Explain(err, u.addr)
	}
	if sent != nil {
		return nil, sent
	}
	switch m := m.(type) {
	case *frame.Welcome:
		return m, nil
	case *frame.Refusal:
		return nil, tunnel.Refused(frame.Status(*m))
	default:
		return nil, fault.New(fault.Invalid, "gateway %s answered the greeting with a %T", u.addr, m)
	}
}

// tend cuts links that are dead although nobody has said so.
func (u *uplink) tend(stop <-chan struct{}) {
	every := time.NewTicker(tunnel.PingAnswer)
	defer every.Stop()
	for {
		select {
		case <-stop:
			return
		case <-every.C:
		}
		u.mu.Lock()
		for l := range u.active {
			if l.Stalled() {
				u.c.log().Warn("link is dead: bytes unacknowledged", "gateway", u.addr)
				l.Abort()
			}
		}
		u.mu.Unlock()
	}
}

// drain lets running streams end within the grace, then cuts them.
func (u *uplink) drain() {
	timer := time.AfterFunc(u.c.Grace, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		for l := range u.active {
			l.Abort()
		}
	})
	u.links.Wait()
	timer.Stop()
}

// session is a greeted session with the gateway.
type session struct {
	u       *uplink
	id      frame.ID
	control tunnel.Session
	ctx     context.Context // ends with the session
	cancel  context.CancelCauseFunc
	renewal chan frame.Control // answers to a renewal
}

func (s *session) handle(m frame.Control) error {
	switch m := m.(type) {
	case *frame.Grow:
		s.grow(m.Count)
		return nil
	case *frame.Lookup:
		return s.control.Send(&frame.Found{ID: m.ID, Found: s.u.c.pinholes.explains(m.Principal, tunnel.CanonicalHost(m.Host), m.Port)})
	case *frame.Renewed, *frame.Refusal:
		select {
		case s.renewal <- m:
		default: // nobody asked
		}
		return nil
	case *frame.Drain:
		s.u.c.log().Info("gateway is going", "gateway", s.u.addr, "reason", m.Reason)
		return nil
	default:
		return fault.New(fault.Invalid, "gateway %s sent a %T in a session", s.u.addr, m)
	}
}

// renew renews the certificate when its time has come.
func (s *session) renew() {
	wait := time.Until(s.u.c.Credentials.RenewAt())
	for {
		if !netx.Pause(s.ctx, min(max(wait, 0), renewAgain)) { // looks at the clock every hour: it may be set
			return
		}
		if wait = time.Until(s.u.c.Credentials.RenewAt()); wait > 0 {
			continue
		}
		err := s.renewNow()
		if s.ctx.Err() != nil {
			return
		}
		if err != nil {
			s.u.c.log().Warn("renew the certificate", "gateway", s.u.addr, "error", err, "hint", fault.HintOf(err), "again_in", renewAgain)
			wait = renewAgain
			continue
		}
		s.u.c.log().Info("certificate renewed", "gateway", s.u.addr, "until", s.u.c.Credentials.Identity().NotAfter)
		wait = time.Until(s.u.c.Credentials.RenewAt())
	}
}

func (s *session) renewNow() error {
	csr, key, err := s.u.c.Credentials.CSR()
	if err != nil {
		return err
	}
	select {
	case <-s.renewal: // an answer that came too late for the request before
	default:
	}
	if err := s.control.Send(&frame.Renew{CSR: csr}); err != nil {
		return err
	}
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	select {
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	case <-limit.C:
		return fault.New(fault.TimedOut, "gateway %s has not answered the renewal", s.u.addr)
	case m := <-s.renewal:
		return s.install(m, key)
	}
}

func (s *session) install(m frame.Control, key *ecdsa.PrivateKey) error {
	switch m := m.(type) {
	case *frame.Renewed:
		return s.u.c.Credentials.Install(m.Certificate, key)
	case *frame.Refusal:
		return tunnel.Refused(frame.Status(*m))
	}
	return errors.New("no answer to a renewal")
}
