package tunnel

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// wire lies between TLS and the network. crypto/tls is corrupt after a write
// that timed out, since part of a record may be on its way. A wire never lets it
// see that: what could not be written before the deadline stays in out, in order,
// and goes first the next time. Held back on purpose (cork), a burst of records
// costs one system call.
type wire struct {
	net.Conn

	mu     sync.Mutex // serialises writes, guards the following
	framed bool       // false during handshakes and HTTP: write straight through
	corked bool
	late   bool    // the last flush met the write deadline
	out    []byte  // records not yet handed to the kernel
	buf    *[]byte // what backs out, from records
}

// burst is what one frame becomes on the wire, with room for TLS's own records.
const burst = maxChunk + 4<<10

var records = sync.Pool{New: func() any { b := make([]byte, 0, burst); return &b }}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.framed {
		return w.Conn.Write(p)
	}
	if w.buf == nil {
		w.buf, _ = records.Get().(*[]byte)
		w.out = (*w.buf)[:0]
	}
	w.out = append(w.out, p...)
	if w.corked {
		return len(p), nil
	}
	if err := w.flushLocked(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// flushLocked hands what is held back to the kernel. Meeting the deadline is no
// error: late says so.
func (w *wire) flushLocked() error {
	w.late = false
	for len(w.out) > 0 {
		n, err := w.Conn.Write(w.out)
		w.out = w.out[n:]
		if errors.Is(err, os.ErrDeadlineExceeded) {
			w.late = true
			return nil
		}
		if err != nil {
			return err
		}
	}
	if w.buf != nil {
		if cap(*w.buf) <= 2*burst {
			*w.buf = (*w.buf)[:0]
			records.Put(w.buf)
		}
		w.buf, w.out = nil, nil
	}
	return nil
}

// flush hands what is held back to the kernel. late: the deadline came first.
func (w *wire) flush() (late bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.corked = false
	err = w.flushLocked()
	return w.late, err
}

func (w *wire) cork() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.corked = true
}

func (w *wire) setFramed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.framed = true
}

// past is a deadline that has always passed.
var past = time.Unix(1, 0)
