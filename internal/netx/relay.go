package netx

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// relayBuffer is the size of one direction's copy buffer, in bytes. It matches
// what one TLS record burst and one tunnel frame carry well.
const relayBuffer = 64 << 10

var relayBuffers = sync.Pool{New: func() any { b := make([]byte, relayBuffer); return &b }}

// RelayResult is what [Relay] moved.
type RelayResult struct {
	AtoB, BtoA int64 // bytes
}

// Relay copies both ways between a and b until both directions have ended, and
// closes both. A direction that ends cleanly is passed on as a half-close; the
// other goes on, but if it then stays silent for idle (zero: 5 minutes) both are
// reset. Any error, and the context's end, resets both, so that a cut relay
// looks cut at both ends.
//
// Both ends are under [Guard] while bytes move: a killed process looks cut, too.
func Relay(ctx context.Context, a, b net.Conn, idle time.Duration) (RelayResult, error) {
	if idle == 0 {
		idle = 5 * time.Minute
	}
	Guard(a)
	Guard(b)
	r := relay{idle: idle}
	stop := context.AfterFunc(ctx, func() { r.fail(a, b, context.Cause(ctx)) })
	var wg sync.WaitGroup
	wg.Go(func() { r.copy(b, a, &r.ab) })
	wg.Go(func() { r.copy(a, b, &r.ba) })
	wg.Wait()
	stop()
	res := RelayResult{AtoB: r.ab.Load(), BtoA: r.ba.Load()}
	if err := r.err(); err != nil {
		return res, err
	}
	Unguard(a)
	Unguard(b)
	return res, errors.Join(closeIgnoringClosed(a), closeIgnoringClosed(b))
}

func closeIgnoringClosed(c net.Conn) error {
	if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

type relay struct {
	idle   time.Duration
	ab, ba atomic.Int64
	halves atomic.Int32 // directions that have ended cleanly

	mu    sync.Mutex // guards the following
	cause error
}

func (r *relay) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cause
}

// fail resets both ends once and keeps the first cause.
func (r *relay) fail(a, b net.Conn, cause error) {
	r.mu.Lock()
	first := r.cause == nil
	if first {
		r.cause = cause
	}
	r.mu.Unlock()
	if first {
		_ = Reset(a) // the cause is what is reported; a reset of a dead socket adds nothing
		_ = Reset(b)
	}
}

// copy moves src to dst until src's clean end, which it passes on.
func (r *relay) copy(dst, src net.Conn, n *atomic.Int64) {
	bp, _ := relayBuffers.Get().(*[]byte)
	defer relayBuffers.Put(bp)
	buf := *bp
	for {
		if r.halves.Load() > 0 {
			if err := src.SetReadDeadline(time.Now().Add(r.idle)); err != nil {
				r.fail(dst, src, err)
				return
			}
		}
		m, err := src.Read(buf)
		if m > 0 {
			if _, werr := dst.Write(buf[:m]); werr != nil {
				r.fail(dst, src, werr)
				return
			}
			n.Add(int64(m))
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			r.half(dst, src)
			return
		default:
			r.fail(dst, src, err)
			return
		}
	}
}

// half passes src's clean end on to dst and starts the idle deadline of the
// direction that is left.
func (r *relay) half(dst, src net.Conn) {
	if ok, err := CloseWrite(dst); err != nil {
		r.fail(dst, src, err)
		return
	} else if !ok && r.halves.Load() == 0 {
		r.fail(dst, src, errors.New("relay: peer ended its direction and the other side has no half-close"))
		return
	}
	if r.halves.Add(1) == 1 {
		// The other copy may be blocked in dst.Read without a deadline.
		if err := dst.SetReadDeadline(time.Now().Add(r.idle)); err != nil {
			r.fail(dst, src, err)
		}
	}
}
