package tunnel

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel/frame"
)

// maxChunk is the most bytes that this end puts into one frame.
const maxChunk = 64 << 10

var chunks = sync.Pool{New: func() any { return new([frame.HeaderLen + maxChunk]byte) }}

// Stream is one tunnelled connection: a net.Conn with half-close and reset.
//
// A read returns io.EOF after the other end's end mark and never otherwise. A
// stream that was cut gives an error: [ResetError] when the other end said so,
// [ErrLost] when the link went away.
//
// Close of a stream that has ended both ways frees its link for the next one.
// Close while the other end still sends is a clean end of this end's direction;
// what still comes is read and thrown away for a while, then the link is closed.
type Stream struct {
	link *Link
	open frame.Open

	in, out atomic.Int64 // bytes read and written

	rmu    sync.Mutex // serialises reads, guards the following
	head   [frame.ResetLen]byte
	headN  int // bytes of head that have been read
	remain int // bytes left of the current frame
	rend   error

	wmu  sync.Mutex // serialises writes, guards the following
	wend error

	mu       sync.Mutex    // guards the following
	done     chan struct{} // closed by Close and Reset
	closed   bool
	ended    bool // this end's end mark was written
	reset    bool // this end's reset was written
	peerEnd  bool // the other end's end mark was read
	peerCut  bool // the other end's reset was read
	writeEnd time.Time
}

func newStream(l *Link, o frame.Open) *Stream {
	l.start()
	_ = l.tls.SetDeadline(time.Time{}) // a closed link reports at the first read
	return &Stream{link: l, open: o, done: make(chan struct{})}
}

// ResetError is what the reads of a stream give after the other end cut it.
// It unwraps to ECONNRESET.
type ResetError struct{ Code frame.Code }

// Error says who cut the stream and why.
func (e *ResetError) Error() string {
	return "stream reset by the other end of the tunnel: " + e.Code.String()
}

// Unwrap returns ECONNRESET.
func (e *ResetError) Unwrap() error { return syscall.ECONNRESET }

// ID returns the stream's ID, which both ends know.
func (s *Stream) ID() frame.ID { return s.open.ID }

// Bytes returns how many bytes this end has read and written.
func (s *Stream) Bytes() (in, out int64) { return s.in.Load(), s.out.Load() }

// LocalAddr returns the link's address at this end.
func (s *Stream) LocalAddr() net.Addr { return s.link.LocalAddr() }

// RemoteAddr returns the target as it was asked for.
func (s *Stream) RemoteAddr() net.Addr { return Addr(s.open.Target()) }

// Addr is a target in a tunnel, "host:port".
type Addr string

// Network returns "tcp".
func (Addr) Network() string { return "tcp" }

// String returns "host:port".
func (a Addr) String() string { return string(a) }

// Read reads what the other end wrote.
func (s *Stream) Read(p []byte) (int, error) {
	s.rmu.Lock()
	defer s.rmu.Unlock()
	if s.isClosed() {
		return 0, net.ErrClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := s.read(p)
	if err != nil && s.isClosed() {
		err = net.ErrClosed
	}
	return n, err
}

// read is Read without the question whether this end is closed.
func (s *Stream) read(p []byte) (int, error) {
	for s.remain == 0 {
		if s.rend != nil {
			return 0, s.rend
		}
		if err := s.readHeader(); err != nil {
			return 0, s.readFailed(err)
		}
	}
	n, err := s.link.tls.Read(p[:min(len(p), s.remain)])
	s.remain -= n
	s.in.Add(int64(n))
	if err != nil && n == 0 {
		return 0, s.readFailed(err)
	}
	return n, nil
}

// readFailed passes deadlines on and makes everything else final.
func (s *Stream) readFailed(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	s.rend, s.remain = lost(err), 0
	return s.rend
}

// readHeader reads the next frame's header. A deadline may come in the middle:
// head keeps what has been read.
func (s *Stream) readHeader() error {
	if err := s.fill(frame.HeaderLen); err != nil {
		return err
	}
	h, err := frame.ParseHeader(s.head[:frame.HeaderLen])
	switch {
	case err != nil:
		return err
	case h.End():
		s.rend = io.EOF
		s.set(&s.peerEnd)
	case h.Reset:
		if err := s.fill(frame.ResetLen); err != nil {
			return err
		}
		code, err := frame.ParseCode(s.head[frame.HeaderLen:])
		if err != nil {
			return err
		}
		s.rend = &ResetError{Code: code}
		s.set(&s.peerCut)
	default:
		s.remain = h.N
	}
	s.headN = 0
	return nil
}

func (s *Stream) fill(n int) error {
	for s.headN < n {
		m, err := s.link.tls.Read(s.head[s.headN:n])
		s.headN += m
		if err != nil && m == 0 {
			return err
		}
	}
	return nil
}

func (s *Stream) set(flag *bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*flag = true
}

func (s *Stream) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Write writes p in frames of at most 64 KiB, each in one burst. Bytes counted
// when a deadline comes will still arrive, in order, if the stream goes on.
func (s *Stream) Write(p []byte) (n int, err error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	for {
		if err := s.writable(); err != nil {
			return n, err
		}
		if n == len(p) {
			return n, nil
		}
		if late, err := s.link.wire.flush(); late || err != nil {
			return n, s.writeFailed(late, err) // bytes of an earlier write come first
		}
		m := min(len(p)-n, maxChunk)
		late, err := s.writeChunk(p[n : n+m])
		if err != nil {
			return n, s.writeFailed(late, err)
		}
		n += m // if late, it is in the wire's hands
		s.out.Add(int64(m))
		if late {
			return n, s.writeFailed(late, nil)
		}
		if n == len(p) {
			return n, nil
		}
	}
}

func (s *Stream) writable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return net.ErrClosed
	case s.wend != nil:
		return s.wend
	case !s.writeEnd.IsZero() && !time.Now().Before(s.writeEnd):
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (s *Stream) writeChunk(p []byte) (late bool, err error) {
	b, _ := chunks.Get().(*[frame.HeaderLen + maxChunk]byte)
	defer chunks.Put(b)
	frame.PutHeader(b[:], len(p))
	copy(b[frame.HeaderLen:], p)
	return s.push(b[:frame.HeaderLen+len(p)])
}

// push writes b in one burst.
func (s *Stream) push(b []byte) (late bool, err error) {
	s.link.wire.cork()
	_, err = s.link.tls.Write(b)
	late, ferr := s.link.wire.flush()
	return late, errors.Join(err, ferr)
}

func (s *Stream) writeFailed(late bool, err error) error {
	if s.isClosed() {
		return net.ErrClosed
	}
	if err == nil && late {
		return os.ErrDeadlineExceeded
	}
	s.wend = lost(err)
	return s.wend
}

// CloseWrite writes the end mark: the other end reads io.EOF after what came
// before it. Reading goes on.
func (s *Stream) CloseWrite() error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if s.isClosed() {
		return net.ErrClosed
	}
	return s.endLocked()
}

var errEnded = fault.New(fault.Invalid, "write after this direction has ended")

// endLocked writes the end mark once. Behind bytes that met a deadline it waits
// with them.
func (s *Stream) endLocked() error {
	if s.wend != nil {
		if errors.Is(s.wend, errEnded) {
			return nil
		}
		return s.wend
	}
	if _, err := s.push(frame.AppendEnd(nil)); err != nil {
		s.wend = lost(err)
		return s.wend
	}
	s.wend = errEnded
	s.set(&s.ended)
	return nil
}

// SetDeadline sets both deadlines.
func (s *Stream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// SetReadDeadline bounds reads, also those in progress.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	return s.link.tls.SetReadDeadline(t)
}

// SetWriteDeadline bounds writes, also those in progress.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.writeEnd = t
	return s.link.wire.SetWriteDeadline(t)
}

var _ net.Conn = (*Stream)(nil)

var errInterrupted = fmt.Errorf("closed while writing: %w", net.ErrClosed)
