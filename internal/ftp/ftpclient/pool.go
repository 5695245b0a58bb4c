package ftpclient

import (
	"context"
	"errors"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
)

// Pool keeps connections to one server. It opens at most Max and gives each to
// one user at a time. Config and Max must not change after the first Get. It is
// safe for use by several goroutines.
type Pool struct {
	Config Config
	// Max bounds the open connections. Zero means 1.
	Max int
	// CheckAfter is how long a connection may lie idle before it has to show a
	// sign of life when it is next wanted. Zero means 10 s.
	CheckAfter time.Duration
	// CloseAfter is how long a connection may lie idle before it is closed when
	// the pool is next used. Zero means 2 min.
	CloseAfter time.Duration

	once  sync.Once
	slots chan struct{} // holds one element per connection that may still be given out
	done  chan struct{} // closed by Close

	mu     sync.Mutex // guards the following
	idle   []idleConn // the longest idle first
	closed bool
}

type idleConn struct {
	c     *Conn
	since time.Time
}

func (p *Pool) init() {
	p.once.Do(func() {
		p.slots = make(chan struct{}, max(p.Max, 1))
		for range cap(p.slots) {
			p.slots <- struct{}{}
		}
		p.done = make(chan struct{})
	})
}

var errPoolClosed = fault.New(fault.Unreachable, "the connection pool is closed")

// Get returns a connection: an idle one that is alive, or a new one, waiting until
// there may be one. It must be given back with Put, in whatever state it is.
func (p *Pool) Get(ctx context.Context) (*Conn, error) {
	p.init()
	select {
	case <-p.done:
		return nil, errPoolClosed
	default:
	}
	select {
	case <-p.slots:
	case <-p.done:
		return nil, errPoolClosed
	case <-ctx.Done():
		return nil, fault.As(context.Cause(ctx), "waiting for one of %d connections to %s", cap(p.slots), p.Config.Addr)
	}
	for {
		c, since, ok := p.take()
		if !ok {
			break
		}
		if time.Since(since) < or(p.CheckAfter, 10*time.Second) || c.Noop(ctx) == nil {
			return c, nil
		}
		_ = c.Close() // it died while idle, which is what the check is for
		if ctx.Err() != nil {
			p.slots <- struct{}{}
			return nil, fault.As(context.Cause(ctx), "checking a connection to %s", p.Config.Addr)
		}
	}
	c, err := Dial(ctx, p.Config)
	if err != nil {
		p.slots <- struct{}{}
		return nil, err
	}
	return c, nil
}

// take returns the connection that lay idle for the shortest time.
func (p *Pool) take() (*Conn, time.Time, bool) {
	p.mu.Lock()
	stale := p.staleLocked()
	var got idleConn
	n := len(p.idle)
	if n > 0 {
		got = p.idle[n-1]
		p.idle = p.idle[:n-1]
	}
	p.mu.Unlock()
	_ = closeAll(stale) // nobody uses them
	return got.c, got.since, n > 0
}

// Put takes a connection back. One that broke or has a transfer open is closed.
func (p *Pool) Put(c *Conn) {
	p.init()
	p.mu.Lock()
	keep := c.Usable() && !p.closed
	stale := p.staleLocked()
	if keep {
		p.idle = append(p.idle, idleConn{c, time.Now()})
	}
	p.mu.Unlock()
	if !keep {
		_ = c.Close() // an open transfer looks cut, which is right
	}
	_ = closeAll(stale) // nobody uses them
	p.slots <- struct{}{}
}

// staleLocked takes out the connections that lay idle for too long.
func (p *Pool) staleLocked() []idleConn {
	n := 0
	for n < len(p.idle) && time.Since(p.idle[n].since) >= or(p.CloseAfter, 2*time.Minute) {
		n++
	}
	stale := append([]idleConn(nil), p.idle[:n]...)
	p.idle = p.idle[n:]
	return stale
}

// Close closes the idle connections, and those given out when they come back.
// Waiting and later calls of Get fail.
func (p *Pool) Close() error {
	p.init()
	p.mu.Lock()
	idle, again := p.idle, p.closed
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	if !again {
		close(p.done)
	}
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
