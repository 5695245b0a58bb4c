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

// Waits of a relay that has failed.
const (
	flushWait = 2 * time.Second // for bytes that came before a cut to arrive
	readWait  = 5 * time.Second // for what a peer sent before it stopped taking bytes
	writeWait = time.Second     // for a write to say whether an end was clean
)

var relayBuffers = sync.Pool{New: func() any { b := make([]byte, relayBuffer); return &b }}

// RelayResult is what [Relay] moved.
type RelayResult struct {
	AtoB, BtoA int64 // bytes
}

// Relay copies both ways between a and b until both directions have ended, and
// closes both. A direction that ends cleanly is passed on as a half-close; the
// other goes on, but if it then stays silent for idle (zero: 5 minutes) both are
// reset. Any error, and the context's end, resets both, so that a cut relay
// looks cut at both ends. What one end had sent before it was cut reaches the
// other end first, as far as that takes it within seconds.
//
// Both ends are under [Guard] while bytes move: a killed process looks cut, too.
func Relay(ctx context.Context, a, b net.Conn, idle time.Duration) (RelayResult, error) {
	if idle == 0 {
		idle = 5 * time.Minute
	}
	Guard(a)
	Guard(b)
	r := relay{idle: idle, a: newSide(a), b: newSide(b)}
	stop := context.AfterFunc(ctx, func() { r.fail(context.Cause(ctx)) })
	var wg sync.WaitGroup
	wg.Go(func() { r.copy(r.b, r.a) })
	wg.Go(func() { r.copy(r.a, r.b) })
	wg.Wait()
	stop()
	res := RelayResult{AtoB: r.a.read.Load(), BtoA: r.b.read.Load()}
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

// side is one of the two connections.
type side struct {
	conn   net.Conn
	read   atomic.Int64  // bytes read from it and passed on
	ended  chan struct{} // closed when nothing more is read from it
	broken atomic.Bool   // a write to it failed
	write  chan struct{} // a token: who has it writes
}

func newSide(c net.Conn) *side {
	s := &side{conn: c, ended: make(chan struct{}), write: make(chan struct{}, 1)}
	s.write <- struct{}{}
	return s
}

// put writes p whole.
func (s *side) put(p []byte) error {
	<-s.write
	_, err := s.conn.Write(p)
	if err != nil {
		s.broken.Store(true)
	}
	s.write <- struct{}{}
	return err
}

// clean reports whether an io.EOF from s was a clean end. A kernel reports a
// reset once: if a write got the report, the next read gets an EOF. So a write
// in progress is given a moment to say so.
func (s *side) clean() bool {
	t := time.NewTimer(writeWait)
	defer t.Stop()
	select {
	case <-s.write:
		s.write <- struct{}{}
	case <-t.C: // a peer that has ended and does not read; a reset would have ended the write
	}
	return !s.broken.Load()
}

type relay struct {
	idle   time.Duration
	a, b   *side
	halves atomic.Int32 // directions that have ended cleanly

	mu    sync.Mutex // guards the following
	cause error
	cut   bool
}

func (r *relay) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cause
}

// note keeps the first cause. It reports whether this call is the one to cut.
func (r *relay) note(cause error, cut bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cause == nil {
		r.cause = cause
	}
	first := cut && !r.cut
	r.cut = r.cut || cut
	return first
}

// fail resets both ends once and keeps the first cause.
func (r *relay) fail(cause error) {
	if r.note(cause, true) {
		_ = Reset(r.a.conn) // the cause is what is reported; a reset of a dead socket adds nothing
		_ = Reset(r.b.conn)
	}
}

// readFailed passes on that src was cut, after the bytes that came before it.
func (r *relay) readFailed(dst, src *side, cause error) {
	if r.note(cause, true) {
		_ = Reset(src.conn) // as in fail
		flush(dst.conn, flushWait)
		_ = Reset(dst.conn)
	}
}

// writeFailed ends a relay whose dst takes nothing more. What dst sent before
// that may still be on its way to src: the other direction ends by itself.
func (r *relay) writeFailed(dst *side, cause error) {
	r.note(cause, false)
	if dst.conn.SetReadDeadline(time.Now().Add(readWait)) == nil {
		t := time.NewTimer(readWait)
		defer t.Stop()
		select {
		case <-dst.ended:
		case <-t.C:
		}
	}
	r.fail(cause)
}

var errUnclean = errors.New("relay: connection was reset")

// copy moves src to dst until src's clean end, which it passes on.
func (r *relay) copy(dst, src *side) {
	defer close(src.ended)
	bp, _ := relayBuffers.Get().(*[]byte)
	defer relayBuffers.Put(bp)
	buf := *bp
	for {
		if r.halves.Load() > 0 {
			if err := src.conn.SetReadDeadline(time.Now().Add(r.idle)); err != nil {
				r.fail(err)
				return
			}
		}
		m, err := src.conn.Read(buf)
		if m > 0 {
			if werr := dst.put(buf[:m]); werr != nil {
				r.writeFailed(dst, werr)
				return
			}
			src.read.Add(int64(m))
		}
		switch {
		case err == nil:
		case !errors.Is(err, io.EOF):
			r.readFailed(dst, src, err)
			return
		case !src.clean():
			r.readFailed(dst, src, errUnclean)
			return
		default:
			r.half(dst)
			return
		}
	}
}

// half passes a clean end on to dst and starts the idle deadline of the
// direction that is left.
func (r *relay) half(dst *side) {
	if ok, err := CloseWrite(dst.conn); err != nil {
		r.writeFailed(dst, err)
		return
	} else if !ok && r.halves.Load() == 0 {
		r.fail(errors.New("relay: peer ended its direction and the other side has no half-close"))
		return
	}
	if r.halves.Add(1) == 1 {
		// The other copy may be blocked in dst.Read without a deadline.
		if err := dst.conn.SetReadDeadline(time.Now().Add(r.idle)); err != nil {
			r.fail(err)
		}
	}
}
