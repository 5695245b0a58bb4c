package tunnel

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel/frame"
)

// Sizes of a pool.
const (
	PoolStart = 4    // spares kept always
	PoolMax   = 64   // spares kept at most
	linksMax  = 1024 // links in all, those that carry streams included
)

// Ages in a pool.
const (
	spareAge  = 60 * time.Second // an idle spare beyond the start size is closed
	askAgain  = 3 * time.Second  // links that were asked for and did not come are asked for anew
	emptyWait = 10 * time.Second // an open waits this long for a link
	tendEvery = time.Second
)

// Pool is the gateway's store of one connector's parked data links. The connector
// dials them; when they run short the pool asks for more. Opening takes the link
// used last, so that spares which are not needed grow old.
type Pool struct {
	// Name says whose links these are, in errors.
	Name string
	// Grow asks the connector for n more links. It must not wait for them.
	Grow func(n int) error
	// OnEnd, if set, is called when a stream's link has been dealt with.
	OnEnd  func(*Stream)
	Logger *slog.Logger // nil discards

	wg sync.WaitGroup // streams that are settling, pings

	mu      sync.Mutex       // guards the following
	links   map[*Link]*spare // every link that is alive
	idle    []*spare         // parked; the one used last is last
	waiting []chan *spare    // opens without a link, oldest first
	asked   int              // links asked for that have not come
	askedAt time.Time        // when the last of them was asked for
	closed  bool
}

type spare struct {
	link    *Link
	since   time.Time // parked since
	pingAt  time.Time // next ping
	pinging bool
}

func (p *Pool) log() *slog.Logger {
	if p.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return p.Logger
}

// PoolStats is what a pool holds at the moment.
type PoolStats struct {
	Links   int // alive
	Idle    int // of these: parked
	Waiting int // opens that wait for a link
}

// Expect tells the pool that n links come without being asked for.
func (p *Pool) Expect(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked, p.askedAt = p.asked+n, time.Now()
}

// Stats returns what the pool holds.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PoolStats{Links: len(p.links), Idle: len(p.idle), Waiting: len(p.waiting)}
}

// Add takes a link that the connector has attached. The refusal of one too many
// closes it.
func (p *Pool) Add(l *Link) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.links) >= linksMax {
		l.Abort()
		return fault.New(fault.Busy, "%s takes no more links", p.Name)
	}
	if p.links == nil {
		p.links = make(map[*Link]*spare)
	}
	s := &spare{link: l}
	p.links[l] = s
	p.asked = max(0, p.asked-1)
	p.parkLocked(s)
	return nil
}

// parkLocked gives the link to the oldest waiting open, or keeps it.
func (p *Pool) parkLocked(s *spare) {
	if p.closed {
		p.dropLocked(s)
		return
	}
	if len(p.waiting) > 0 {
		w := p.waiting[0]
		p.waiting = p.waiting[1:]
		w <- s
		return
	}
	if len(p.idle) >= PoolMax {
		p.dropLocked(s)
		return
	}
	s.since = time.Now()
	// Spares that came together are not pinged together: an open would find none.
	s.pingAt = s.since.Add(PingEvery - time.Duration(rand.Int64N(int64(PingEvery/4))))
	p.idle = append(p.idle, s)
}

func (p *Pool) dropLocked(s *spare) {
	delete(p.links, s.link)
	p.idle = slices.DeleteFunc(p.idle, func(o *spare) bool { return o == s })
	s.link.Abort()
}

// Open opens a stream over a spare. With none left it asks for one and waits, at
// most 10 s. A spare that turns out dead is replaced by the next one. The context
// bounds the opening alone.
func (p *Pool) Open(ctx context.Context, o frame.Open) (*Stream, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, p.gone()
	}
	p.wg.Add(1) // under the lock: never after Run has begun to wait
	p.mu.Unlock()
	defer p.wg.Done()
	for {
		s, err := p.take(ctx)
		if err != nil {
			return nil, err
		}
		st, err := s.link.Open(ctx, o)
		switch {
		case err == nil:
			p.wg.Go(func() { p.settle(s, st) })
			return st, nil
		case s.link.Idle(): // refused
			p.give(s)
			return nil, err
		}
		p.drop(s)
		if !errors.Is(err, ErrLost) || fault.KindOf(err) == fault.TimedOut {
			return nil, err
		}
	}
}

func (p *Pool) settle(s *spare, st *Stream) {
	if st.Settle() {
		p.give(s)
	} else {
		p.drop(s)
	}
	if p.OnEnd != nil {
		p.OnEnd(st)
	}
}

func (p *Pool) give(s *spare) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parkLocked(s)
}

func (p *Pool) drop(s *spare) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked(s)
}

// take takes the spare used last, or waits for one.
func (p *Pool) take(ctx context.Context) (*spare, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, p.gone()
	}
	for i := len(p.idle) - 1; i >= 0; i-- {
		if s := p.idle[i]; !s.pinging {
			p.idle = slices.Delete(p.idle, i, i+1)
			ask := p.wantLocked()
			p.mu.Unlock()
			p.ask(ask)
			return s, nil
		}
	}
	w := make(chan *spare, 1)
	p.waiting = append(p.waiting, w)
	ask := p.wantLocked()
	p.mu.Unlock()
	p.ask(ask)
	return p.wait(ctx, w)
}

func (p *Pool) gone() error {
	return fault.New(fault.Unreachable, "%s has just been disconnected", p.Name)
}

func (p *Pool) wait(ctx context.Context, w chan *spare) (*spare, error) {
	limit := time.NewTimer(emptyWait)
	defer limit.Stop()
	var err error
	select {
	case s, ok := <-w:
		if !ok {
			return nil, p.gone()
		}
		return s, nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-limit.C:
		err = fault.New(fault.Busy, "%s has sent no free link for %v", p.Name, emptyWait).
			WithHint("look at the connector's log; a proxy that allows few connections per client does this")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, w); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	} else if s, ok := <-w; ok { // it came at the same moment
		p.parkLocked(s)
	}
	return nil, err
}

// wantLocked says how many links to ask for now: one for each open that waits, and
// the spares below half the start size.
func (p *Pool) wantLocked() int {
	if p.asked > 0 && time.Since(p.askedAt) > askAgain {
		p.asked = 0
	}
	want := len(p.waiting)
	if len(p.idle) < PoolStart/2 {
		want += PoolStart - len(p.idle)
	}
	n := min(want-p.asked, PoolMax-p.asked, linksMax-len(p.links)-p.asked)
	if n <= 0 || p.closed {
		return 0
	}
	p.asked += n
	p.askedAt = time.Now()
	return n
}

func (p *Pool) ask(n int) {
	if n == 0 {
		return
	}
	if err := p.Grow(n); err != nil {
		p.log().Debug("ask for links", "pool", p.Name, "count", n, "error", err)
	}
}

// Run tends the pool until the context ends: it pings, closes what is too old and
// cuts dead links. Then it closes what is parked, refuses opens and goes on until
// the streams that run have ended; [Pool.Cut] ends these.
func (p *Pool) Run(ctx context.Context) {
	every := time.NewTicker(tendEvery)
	defer every.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case now := <-every.C:
			p.tend(now)
		}
	}
	p.close()
	ended := make(chan struct{})
	go func() { p.wg.Wait(); close(ended) }() // waited for below
	for {
		select {
		case <-ended:
			return
		case now := <-every.C:
			p.tend(now)
		}
	}
}

func (p *Pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closeLocked()
}

func (p *Pool) closeLocked() {
	p.closed = true
	for _, s := range slices.Clone(p.idle) {
		p.dropLocked(s)
	}
	for _, w := range p.waiting {
		close(w)
	}
	p.waiting = nil
}

// Cut aborts every link for good: every stream of the pool is reset, and no other
// starts.
func (p *Pool) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closeLocked()
	for l := range p.links {
		l.Abort()
	}
}

func (p *Pool) tend(now time.Time) {
	p.mu.Lock()
	for len(p.idle) > PoolStart && now.Sub(p.idle[0].since) >= spareAge && !p.idle[0].pinging {
		p.dropLocked(p.idle[0])
	}
	for _, s := range p.idle {
		if !s.pinging && !now.Before(s.pingAt) {
			s.pinging = true
			p.wg.Go(func() { p.ping(s) })
		}
	}
	links := make([]*Link, 0, len(p.links))
	for l := range p.links {
		links = append(links, l)
	}
	ask := p.wantLocked()
	p.mu.Unlock()
	p.ask(ask)
	for _, l := range links {
		if l.Stalled() {
			p.log().Warn("link is dead: bytes unacknowledged", "pool", p.Name, "peer", l.RemoteAddr().String())
			l.Abort()
		}
	}
}

func (p *Pool) ping(s *spare) {
	err := s.link.Ping()
	p.mu.Lock()
	defer p.mu.Unlock()
	s.pinging = false
	switch {
	case err != nil:
		p.log().Debug("spare link is dead", "pool", p.Name, "error", err)
		p.dropLocked(s)
	case len(p.waiting) > 0:
		p.idle = slices.DeleteFunc(p.idle, func(o *spare) bool { return o == s })
		p.parkLocked(s)
	default:
		s.pingAt = time.Now().Add(PingEvery)
	}
}
