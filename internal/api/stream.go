package api

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel/frame"
)

// stream is a dialled connection on the control socket. It carries the tunnel's
// data frames, since a local socket cannot be reset: a direction ends by its end
// mark alone, and what ends without one was cut.
type stream struct {
	conn net.Conn

	rmu   sync.Mutex    // guards the following
	r     *bufio.Reader // holds what was read ahead of the protocol switch
	left  int           // bytes of the current frame still to be read
	rdone error         // sticky: io.EOF after the end mark, or why reading ended

	wmu     sync.Mutex // guards the following and whole frames on conn
	wbuf    []byte
	pending []byte // what a deadline left of a frame
	ended   bool   // our end mark or reset is out

	closed atomic.Bool
}

// maxFrame is the largest frame this end writes, header included.
const maxFrame = 64 << 10

func newStream(conn net.Conn, r *bufio.Reader) *stream { return &stream{conn: conn, r: r} }

// Read reads the peer's bytes; io.EOF after its end mark and never otherwise.
func (s *stream) Read(p []byte) (int, error) {
	s.rmu.Lock()
	defer s.rmu.Unlock()
	if len(p) == 0 {
		return 0, s.rdone
	}
	for s.left == 0 {
		if s.rdone == nil {
			s.rdone = s.header()
		}
		if s.rdone != nil {
			err := s.rdone
			if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				s.rdone = nil // a deadline can be moved
			}
			return 0, err
		}
	}
	n, err := s.r.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, cut(err)
}

// header reads the next frame's header. An end mark is io.EOF. It is not
// consumed before it is whole, so that a deadline in its midst loses nothing.
func (s *stream) header() error {
	b, err := s.r.Peek(frame.HeaderLen)
	if err != nil {
		return cut(err)
	}
	h, err := frame.ParseHeader(b)
	switch {
	case err != nil:
		return err
	case h.Reset:
		return &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	case h.End():
		return io.EOF
	}
	s.left = h.N
	_, err = s.r.Discard(frame.HeaderLen)
	return err
}

// cut makes an end without end mark an error.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return fault.Wrap(fault.Unreachable, io.ErrUnexpectedEOF, "the part that carried the connection went away")
	}
	return err
}

// Write writes p in frames.
func (s *stream) Write(p []byte) (n int, err error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if s.ended || s.closed.Load() {
		return 0, net.ErrClosed
	}
	if s.wbuf == nil {
		s.wbuf = make([]byte, maxFrame)
	}
	if err := s.flushLocked(); err != nil {
		return 0, err
	}
	for len(p) > 0 {
		m := copy(s.wbuf[frame.HeaderLen:], p)
		frame.PutHeader(s.wbuf, m)
		s.pending = s.wbuf[:frame.HeaderLen+m]
		if err := s.flushLocked(); err != nil {
			if len(s.pending) == frame.HeaderLen+m { // nothing of it is out
				s.pending = nil
				return n, err
			}
			return n + m, err // the rest goes with the next write
		}
		p = p[m:]
		n += m
	}
	return n, nil
}

// flushLocked writes what is pending and keeps what a deadline leaves of it.
func (s *stream) flushLocked() error {
	n, err := s.conn.Write(s.pending)
	s.pending = s.pending[n:]
	return err
}

// CloseWrite ends this end's direction with an end mark.
func (s *stream) CloseWrite() error { return s.end(frame.AppendEnd(nil)) }

func (s *stream) end(mark []byte) error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if s.ended {
		return nil
	}
	s.ended = true
	s.pending = append(s.pending[:len(s.pending):len(s.pending)], mark...)
	return s.flushLocked()
}

// closeTime bounds what a close still has to say to a peer that does not read.
const closeTime = time.Second

// Close ends this end's direction cleanly and gives up reading.
func (s *stream) Close() error { return s.shut(frame.AppendEnd(nil)) }

// Reset ends the connection so that the peer sees a reset.
func (s *stream) Reset() error { return s.shut(frame.AppendReset(nil, frame.CodeAborted)) }

// shut says mark, unless this direction has ended, and closes the socket. A mark
// that does not get through leaves an end that looks cut, which it is.
func (s *stream) shut(mark []byte) error {
	if s.closed.Swap(true) {
		return net.ErrClosed
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(closeTime)); err != nil {
		return errors.Join(err, s.conn.Close())
	}
	return errors.Join(s.end(mark), s.conn.Close())
}

func (s *stream) LocalAddr() net.Addr                { return s.conn.LocalAddr() }
func (s *stream) RemoteAddr() net.Addr               { return s.conn.RemoteAddr() }
func (s *stream) SetDeadline(t time.Time) error      { return s.conn.SetDeadline(t) }
func (s *stream) SetReadDeadline(t time.Time) error  { return s.conn.SetReadDeadline(t) }
func (s *stream) SetWriteDeadline(t time.Time) error { return s.conn.SetWriteDeadline(t) }
