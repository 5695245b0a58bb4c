package tunnel

import (
	"io"
	"net"
	"time"

	"sallyport.dev/internal/tunnel/frame"
)

// Limits of what is done for a stream that nobody uses any more.
const (
	closeWait   = time.Second      // Close and Reset wait this long for room in the kernel
	settleWait  = 30 * time.Second // for the rest of both directions
	resetWait   = 5 * time.Second  // for the other end to see a reset
	settleBytes = 64 << 10         // thrown away before the link is
)

// begin marks the stream closed, once, and interrupts a read in progress. Who gets
// true closes done when it has said its last word: Settle starts from that.
func (s *Stream) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.closed = true
	_ = s.link.tls.SetReadDeadline(past) // on a dead link the read ends anyway
	return true
}

// Close ends this end's direction, if it has not ended, and lets go of the
// stream. While a write is in progress it is a [Stream.Reset]: half of what was
// to be written must not look whole.
func (s *Stream) Close() error {
	if !s.begin() {
		return net.ErrClosed
	}
	defer close(s.done)
	if !s.wmu.TryLock() {
		s.link.Abort()
		return nil
	}
	defer s.wmu.Unlock()
	if err := s.link.wire.SetWriteDeadline(time.Now().Add(closeWait)); err != nil {
		s.link.Abort()
		return nil //nolint:nilerr // the link is gone: the other end has seen that, this end asked for nothing more
	}
	if err := s.endLocked(); err != nil {
		s.link.Abort()
	}
	return nil
}

// Reset cuts the stream: the other end reads an error after the bytes before it.
// An end that does not read, or a write in progress, costs the link.
func (s *Stream) Reset() error { return s.ResetWith(frame.CodeAborted) }

// ResetWith is Reset with a reason.
func (s *Stream) ResetWith(c frame.Code) error {
	if !s.begin() {
		return net.ErrClosed
	}
	defer close(s.done)
	if !s.wmu.TryLock() {
		s.link.Abort()
		return nil
	}
	defer s.wmu.Unlock()
	s.mu.Lock()
	over, cut := s.ended && s.peerEnd, s.ended || s.peerCut
	s.mu.Unlock()
	switch {
	case over: // nothing is left to cut
		return nil
	case cut || s.wend != nil: // no place for a code: after an end mark it would be a stray byte
		s.link.Abort()
		return nil
	}
	if err := s.link.wire.SetWriteDeadline(time.Now().Add(closeWait)); err != nil {
		s.link.Abort()
		return nil //nolint:nilerr // as in Close
	}
	if late, err := s.push(frame.AppendReset(nil, c)); late || err != nil {
		s.link.Abort()
		return nil //nolint:nilerr // cut is what was asked for
	}
	s.wend = errInterrupted
	s.set(&s.reset)
	return nil
}

// Settle waits until the stream has been closed at this end and what is left of
// it has passed. It reports whether the link stands between streams again; if
// not, the link has been closed. It does not wait for whoever keeps a stream open
// over a link that was aborted. Whoever has the stream made calls it once.
func (s *Stream) Settle() bool {
	select {
	case <-s.done:
	case <-s.link.aborted:
		return false
	}
	s.rmu.Lock() // the read in progress has been interrupted
	defer s.rmu.Unlock()
	s.wmu.Lock()
	defer s.wmu.Unlock()
	s.mu.Lock()
	ended, reset, peerCut := s.ended, s.reset, s.peerCut
	s.mu.Unlock()
	switch {
	case reset:
		s.drain(resetWait, 1<<30) // so that the kernel does not throw the reset away with what still comes
		s.link.Close()
		return false
	case !ended || peerCut:
		s.link.Close()
		return false
	}
	if err := s.link.wire.SetWriteDeadline(time.Now().Add(settleWait)); err == nil {
		if late, err := s.link.wire.flush(); !late && err == nil && s.drain(settleWait, settleBytes) {
			if s.link.tls.SetDeadline(time.Time{}) == nil {
				s.link.park()
				return true
			}
		}
	}
	s.link.Abort()
	return false
}

// drain reads to the end mark, for at most wait and at most limit bytes.
func (s *Stream) drain(wait time.Duration, limit int) bool {
	if s.link.tls.SetReadDeadline(time.Now().Add(wait)) != nil {
		return false
	}
	b, _ := chunks.Get().(*[frame.HeaderLen + maxChunk]byte)
	defer chunks.Put(b)
	for limit >= 0 {
		n, err := s.read(b[:])
		if err != nil {
			return err == io.EOF //nolint:errorlint // read returns it bare, after an end mark alone
		}
		limit -= n
	}
	return false
}

// Cut aborts the link under the stream, as when a certificate was revoked.
func (s *Stream) Cut() { s.link.Abort() }

// Done is closed when this end has closed the stream.
func (s *Stream) Done() <-chan struct{} { return s.done }
