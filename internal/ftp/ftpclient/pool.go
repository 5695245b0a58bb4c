package ftpclient

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
)

// Pool keeps connections to one server. It opens at most Max, or as many as the
// server bears if those are fewer, and gives each to one user at a time. The
// exported fields must not change after the first Get. It is safe for use by
// several goroutines.
//
// A server that says that there are too many connections (421, or 530 in such
// words) has told its limit: whoever wants one more waits until one comes back.
// The pool tries for one more a minute later.
type Pool struct {
	Config Config
	// Max bounds the open connections. Zero means 1.
	Max int
	// CheckAfter is how long a connection may lie idle before it has to show a
	// sign of life when it is next wanted. Zero means 10 s.
	CheckAfter time.Duration
	// CloseAfter is how long a connection may lie idle before it is closed when
	// the pool is next used. Zero means 2 min, or never with KeepAlive.
	CloseAfter time.Duration
	// LoginEvery is the least time from one login to the next. Zero means none, and
	// 250 ms once the server has said that there are too many connections.
	LoginEvery time.Duration
	// Patience is how long Get tries again where the server has too many
	// connections and none of them is this pool's. Zero means 30 s.
	Patience time.Duration
	// KeepAlive is what is said on connections that lie idle, every KeepAliveEvery
	// (zero means 30 s), so that nothing on the way cuts them. It is never said
	// while a transfer is open.
	KeepAlive      KeepAlive
	KeepAliveEvery time.Duration

	once sync.Once
	done chan struct{}  // closed by Close
	wg   sync.WaitGroup // the keeper

	mu       sync.Mutex // guards the following
	idle     []idleConn // the longest idle first
	open     int        // connections that are given out, idle or being opened
	limit    int        // how many of them there may be
	lowered  time.Time  // when the server last said that there are too many
	left     time.Time  // when a connection was last closed
	login    time.Time  // when the next login may begin
	waiting  []chan struct{}
	keeping  bool // the keeper runs
	closed   bool
	maxLimit int
}

type idleConn struct {
	c     *Conn
	since time.Time // when it came back
	heard time.Time // when the server last answered on it
}

// raiseAfter is how long the server's limit is believed before one more is tried.
const raiseAfter = time.Minute

func (p *Pool) init() {
	p.once.Do(func() {
		p.maxLimit = max(p.Max, 1)
		p.limit = p.maxLimit
		p.done = make(chan struct{})
		if p.Config.Habits == nil {
			p.Config.Habits = &Habits{}
		}
	})
}

var errPoolClosed = fault.New(fault.Unreachable, "the connection pool is closed")

// Limit returns how many connections the pool opens at most as far as it knows: Max,
// or fewer if the server bears fewer.
func (p *Pool) Limit() int {
	p.init()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limit
}

// Get returns a connection: an idle one that is alive, or a new one, waiting until
// there may be one. It must be given back with Put, in whatever state it is.
func (p *Pool) Get(ctx context.Context) (*Conn, error) {
	p.init()
	began := time.Now()
	for refusals := 0; ; {
		got, dial, err := p.take(ctx)
		if err != nil {
			return nil, err
		}
		if !dial {
			if p.alive(ctx, got) {
				return got.c, nil
			}
			_ = got.c.Close() // it died while idle, which is what the check is for
			p.drop()
			if ctx.Err() != nil {
				return nil, fault.As(context.Cause(ctx), "checking a connection to %s", p.Config.Addr)
			}
			continue
		}
		c, err := p.dial(ctx)
		if err == nil {
			return c, nil
		}
		if !tooMany(err) {
			p.drop()
			return nil, err
		}
		refusals++
		if others := p.lower(ctx, err, refusals); others > 0 {
			continue // and wait for one of them
		}
		if err := p.sitOut(ctx, began, refusals, err); err != nil {
			return nil, err
		}
	}
}

// take waits for its turn and gives the connection that lay idle for the shortest
// time, or leave to open one.
func (p *Pool) take(ctx context.Context) (got idleConn, dial bool, err error) {
	for again := false; ; again = true {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return got, false, errPoolClosed
		}
		stale := p.staleLocked()
		p.raiseLocked()
		var turn chan struct{}
		switch n := len(p.idle); {
		case n > 0:
			got = p.idle[n-1]
			p.idle = p.idle[:n-1]
		case p.open < p.limit:
			p.open++
			dial = true
		default:
			turn = make(chan struct{})
			if again { // somebody was quicker: the next is its
				p.waiting = slices.Insert(p.waiting, 0, turn)
			} else {
				p.waiting = append(p.waiting, turn)
			}
		}
		limit := p.limit
		p.mu.Unlock()
		_ = closeAll(stale) // nobody uses them
		if turn == nil {
			return got, dial, nil
		}
		select {
		case <-turn:
		case <-p.done:
			return got, false, errPoolClosed
		case <-ctx.Done():
			p.giveUp(turn)
			return got, false, fault.As(context.Cause(ctx), "waiting for one of %d connections to %s", limit, p.Config.Addr)
		}
	}
}

// giveUp takes a waiter out of the queue; if its turn had come just then, it is the
// next one's.
func (p *Pool) giveUp(turn chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, turn); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		return
	}
	p.wakeLocked()
}

// wakeLocked lets the first that waits look again.
func (p *Pool) wakeLocked() {
	if len(p.waiting) > 0 {
		close(p.waiting[0])
		p.waiting = p.waiting[1:]
	}
}

// drop notes that a connection is no more.
func (p *Pool) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
	p.left = time.Now()
	p.wakeLocked()
}

// alive reports whether a connection that lay idle can be used.
func (p *Pool) alive(ctx context.Context, i idleConn) bool {
	if time.Since(i.heard) >= or(p.CheckAfter, 10*time.Second) && i.c.Noop(ctx) != nil {
		return false
	}
	return !i.c.text || i.c.SetType(ctx, Binary) == nil
}

// dial opens a connection when its turn to log in has come.
func (p *Pool) dial(ctx context.Context) (*Conn, error) {
	p.mu.Lock()
	every := p.LoginEvery
	if every == 0 && !p.lowered.IsZero() {
		every = 250 * time.Millisecond
	}
	now := time.Now()
	at := p.login
	if at.Before(now) {
		at = now
	}
	p.login = at.Add(every)
	p.mu.Unlock()
	if err := p.pause(ctx, at.Sub(now)); err != nil {
		return nil, fault.As(err, "waiting to log in to %s", p.Config.Addr)
	}
	return Dial(ctx, p.Config)
}

// pause waits.
func (p *Pool) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-p.done:
		return errPoolClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// noticing is the time in which a server may still count a connection that was
// closed.
const noticing = 2 * time.Second

// lower learns the server's limit from its refusal of one more connection, and
// returns how many others there are to wait for.
func (p *Pool) lower(ctx context.Context, err error, refusals int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
	if refusals <= 2 && time.Since(p.left) < noticing {
		return 0 // it may still count one that has just gone: that is no limit
	}
	was := p.limit
	p.limit = min(p.limit, max(p.open, 1))
	p.lowered = time.Now()
	if p.limit < was && p.Config.Logger != nil {
		p.Config.Logger.LogAttrs(ctx, slog.LevelInfo, "the server takes fewer connections than configured",
			slog.String("server", p.Config.Addr), slog.Int("connections", p.limit), slog.Any("error", err))
	}
	return p.open
}

// raiseLocked tries for one more connection after a while.
func (p *Pool) raiseLocked() {
	if p.limit < p.maxLimit && time.Since(p.lowered) >= raiseAfter {
		p.limit++
		p.lowered = time.Now()
	}
}

// sitOut waits before another try, longer each time, where the server's connections
// are all somebody else's. It returns the refusal when patience is over.
func (p *Pool) sitOut(ctx context.Context, began time.Time, refusals int, refused error) error {
	wait := min(500*time.Millisecond<<min(refusals, 5), 10*time.Second)
	if time.Since(began)+wait > or(p.Patience, 30*time.Second) {
		return refused
	}
	if err := p.pause(ctx, wait); err != nil {
		return errors.Join(fault.As(err, "waiting for %s to take a connection", p.Config.Addr), refused)
	}
	return nil
}

// Put takes a connection back. One that broke or has a transfer open is closed.
func (p *Pool) Put(c *Conn) {
	p.init()
	now := time.Now()
	p.put(idleConn{c, now, now})
}

func (p *Pool) put(i idleConn) {
	p.mu.Lock()
	keep := i.c.Usable() && !p.closed && p.open <= p.limit
	stale := p.staleLocked()
	if keep {
		p.idle = append(p.idle, i)
		if p.KeepAlive != KeepAliveNone && !p.keeping {
			p.keeping = true
			p.wg.Go(p.keep)
		}
	} else {
		p.open--
		p.left = time.Now()
	}
	p.wakeLocked()
	p.mu.Unlock()
	if !keep {
		_ = i.c.Close() // an open transfer looks cut, which is right
	}
	_ = closeAll(stale) // nobody uses them
}

// staleLocked takes out the connections that lay idle for too long.
func (p *Pool) staleLocked() []idleConn {
	if p.KeepAlive != KeepAliveNone && p.CloseAfter == 0 {
		return nil
	}
	n := 0
	for n < len(p.idle) && time.Since(p.idle[n].since) >= or(p.CloseAfter, 2*time.Minute) {
		n++
	}
	stale := append([]idleConn(nil), p.idle[:n]...)
	p.idle = p.idle[n:]
	if n > 0 {
		p.open -= n
		p.left = time.Now()
	}
	return stale
}

// keep says something on idle connections now and then, until the pool is closed.
func (p *Pool) keep() {
	every := or(p.KeepAliveEvery, 30*time.Second)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p.wg.Go(func() { <-p.done; cancel() })
	for p.pause(ctx, every) == nil {
		for _, i := range p.quiet(every) {
			if err := i.c.keepAlive(ctx, p.KeepAlive); err == nil {
				i.heard = time.Now()
			}
			p.put(i) // which closes it if it broke
		}
	}
}

// quiet takes out the idle connections on which nothing was said for a while.
func (p *Pool) quiet(every time.Duration) []idleConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []idleConn
	p.idle = slices.DeleteFunc(p.idle, func(i idleConn) bool {
		if time.Since(i.heard) < every {
			return false
		}
		out = append(out, i)
		return true
	})
	return out
}

// Close closes the idle connections, and those given out when they come back.
// Waiting and later calls of Get fail.
func (p *Pool) Close() error {
	p.init()
	p.mu.Lock()
	idle, again := p.idle, p.closed
	p.idle, p.closed = nil, true
	p.open -= len(idle)
	p.mu.Unlock()
	if !again {
		close(p.done)
	}
	p.wg.Wait()
	return closeAll(idle)
}

func closeAll(conns []idleConn) error {
	var errs []error
	for _, i := range conns {
		errs = append(errs, i.c.Close())
	}
	return errors.Join(errs...)
}

func or(d, zero time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return zero
}
