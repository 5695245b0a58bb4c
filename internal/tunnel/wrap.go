package tunnel

import (
	"net"
	"time"

	"sallyport.dev/internal/tunnel/frame"
)

// Wrap carries one stream over conn, which is used for nothing else: same end
// marks, same resets, no TLS. It is for a way between processes of one owner on
// one machine. Both ends wrap; target is what [Stream.RemoteAddr] shows. Closing
// the stream waits up to 5 s for the other end's part and closes conn.
func Wrap(conn net.Conn, target string) net.Conn {
	w := &wire{Conn: conn, framed: true}
	s := newStream(&Link{conn: w, wire: w}, frame.Open{})
	s.target = target
	return &wrapped{Stream: s}
}

// wrapped closes its connection itself, having no pool behind it.
type wrapped struct{ *Stream }

func (w *wrapped) Close() error {
	if err := w.Stream.Close(); err != nil {
		return err
	}
	return w.finish()
}

func (w *wrapped) Reset() error {
	if err := w.Stream.Reset(); err != nil {
		return err
	}
	return w.finish()
}

func (w *wrapped) finish() error {
	guard := time.AfterFunc(resetWait, w.link.Abort)
	defer guard.Stop()
	if w.Settle() {
		w.link.Abort()
	}
	return nil
}
