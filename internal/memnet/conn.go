package memnet

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

var errTimeout = os.ErrDeadlineExceeded

const defaultBuffer = 64 << 10

// Conn is one end of an in-memory connection: a net.Conn with half-close and
// reset.
type Conn struct {
	in, out       *half
	local, remote netip.AddrPort
}

// Pipe returns the two ends of a connection between made-up addresses.
func Pipe() (a, b *Conn) {
	lo := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	return pair(netip.AddrPortFrom(lo, 1), netip.AddrPortFrom(lo, 2), 0)
}

func pair(a, b netip.AddrPort, buffer int) (*Conn, *Conn) {
	if buffer <= 0 {
		buffer = defaultBuffer
	}
	ab, ba := newHalf(buffer), newHalf(buffer)
	return &Conn{in: ba, out: ab, local: a, remote: b}, &Conn{in: ab, out: ba, local: b, remote: a}
}

// Read reads what the peer wrote; io.EOF after its CloseWrite or Close.
func (c *Conn) Read(p []byte) (int, error) { return wrap("read", c)(c.in.read(p)) }

// Write blocks while the buffer is full.
func (c *Conn) Write(p []byte) (int, error) { return wrap("write", c)(c.out.write(p)) }

// CloseWrite ends this direction; the peer reads io.EOF after what is buffered.
func (c *Conn) CloseWrite() error { c.out.closeWrite(); return nil }

// Close ends this direction and stops reading: later writes of the peer fail.
func (c *Conn) Close() error {
	c.out.closeWrite()
	c.out.abandon(net.ErrClosed, nil)
	c.in.abandon(syscall.EPIPE, net.ErrClosed)
	return nil
}

// Reset cuts the connection: both ends see ECONNRESET, buffered bytes are lost.
func (c *Conn) Reset() error {
	c.out.reset(net.ErrClosed, syscall.ECONNRESET)
	c.in.reset(syscall.ECONNRESET, net.ErrClosed)
	return nil
}

// LocalAddr returns this end's address.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr returns the other end's address.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	c.in.readDeadline.set(t)
	c.out.writeDeadline.set(t)
	return nil
}

// SetReadDeadline bounds reads, also those in progress.
func (c *Conn) SetReadDeadline(t time.Time) error { c.in.readDeadline.set(t); return nil }

// SetWriteDeadline bounds writes, also those in progress.
func (c *Conn) SetWriteDeadline(t time.Time) error { c.out.writeDeadline.set(t); return nil }

func wrap(op string, c *Conn) func(int, error) (int, error) {
	return func(n int, err error) (int, error) {
		if err == nil || err == io.EOF { //nolint:errorlint // io.EOF is returned bare, by contract
			return n, err
		}
		return n, &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	}
}

// half is one direction: a bounded buffer with a writer and a reader end.
type half struct {
	max           int
	readDeadline  deadline
	writeDeadline deadline

	mu       sync.Mutex // guards the following
	changed  chan struct{}
	buf      []byte
	ended    bool  // writer is done: EOF after buf
	readErr  error // reads fail at once
	writeErr error // writes fail at once
}

func newHalf(limit int) *half {
	return &half{max: limit, changed: make(chan struct{}), readDeadline: newDeadline(), writeDeadline: newDeadline()}
}

func (h *half) signalLocked() { close(h.changed); h.changed = make(chan struct{}) }

func (h *half) read(p []byte) (int, error) {
	for {
		if h.readDeadline.expired() {
			return 0, errTimeout
		}
		h.mu.Lock()
		switch {
		case h.readErr != nil:
			defer h.mu.Unlock()
			return 0, h.readErr
		case len(h.buf) > 0:
			n := copy(p, h.buf)
			h.buf = h.buf[n:]
			h.signalLocked()
			h.mu.Unlock()
			return n, nil
		case h.ended:
			h.mu.Unlock()
			return 0, io.EOF
		case len(p) == 0:
			h.mu.Unlock()
			return 0, nil
		}
		changed := h.changed
		h.mu.Unlock()
		select {
		case <-changed:
		case <-h.readDeadline.wait():
		}
	}
}

func (h *half) write(p []byte) (n int, err error) {
	for {
		if h.writeDeadline.expired() {
			return n, errTimeout
		}
		h.mu.Lock()
		switch {
		case h.writeErr != nil:
			defer h.mu.Unlock()
			return n, h.writeErr
		case h.ended:
			h.mu.Unlock()
			return n, syscall.EPIPE
		case len(h.buf) < h.max || len(p) == 0:
			m := min(len(p), h.max-len(h.buf))
			h.buf = append(h.buf, p[:m]...)
			p = p[m:]
			n += m
			h.signalLocked()
			if len(p) == 0 {
				h.mu.Unlock()
				return n, nil
			}
		}
		changed := h.changed
		h.mu.Unlock()
		select {
		case <-changed:
		case <-h.writeDeadline.wait():
		}
	}
}

func (h *half) closeWrite() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.signalLocked()
}

// abandon makes writes fail with w and, if r is not nil, reads fail with r.
func (h *half) abandon(w, r error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writeErr == nil {
		h.writeErr = w
	}
	if r != nil && h.readErr == nil {
		h.readErr = r
		h.buf = nil
	}
	h.signalLocked()
}

func (h *half) reset(w, r error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writeErr == nil {
		h.writeErr = w
	}
	if h.readErr == nil {
		h.readErr = r
	}
	h.buf = nil
	h.signalLocked()
}

// deadline is a settable point in time that can be waited for.
type deadline struct{ d *deadlineState }

type deadlineState struct {
	mu    sync.Mutex // guards the following
	timer *time.Timer
	ch    chan struct{} // closed when expired, replaced when set anew
}

func newDeadline() deadline { return deadline{&deadlineState{ch: make(chan struct{})}} }

func (d deadline) set(t time.Time) {
	s := d.d
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil && !s.timer.Stop() {
		<-s.ch // the timer fired: wait until its channel is closed
	}
	s.timer = nil
	select {
	case <-s.ch:
		s.ch = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	ch := s.ch
	if wait := time.Until(t); wait > 0 {
		s.timer = time.AfterFunc(wait, func() { close(ch) })
	} else {
		close(ch)
	}
}

func (d deadline) wait() <-chan struct{} {
	d.d.mu.Lock()
	defer d.d.mu.Unlock()
	return d.d.ch
}

func (d deadline) expired() bool {
	select {
	case <-d.wait():
		return true
	default:
		return false
	}
}
