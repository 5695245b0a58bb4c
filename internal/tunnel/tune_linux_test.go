package tunnel

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// TestPausedReaderIsNotDead: a closed window is answered by the other kernel, so
// a stream whose reader pauses must live, however long.
func TestPausedReaderIsNotDead(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if err := tune(c); err != nil {
		t.Fatal(err)
	}
	if err := userTimeout(c.(*net.TCPConn), 500); err != nil { // ms: what a spare has, only shorter
		t.Fatal(err)
	}
	patient(c, true) // a stream runs
	if err := c.SetWriteDeadline(time.Now().Add(3 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = c.Write(make([]byte, 1<<20))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want the write deadline: the paused reader was taken for dead", err)
	}
	if stalled(c, time.Second) {
		t.Error("a paused reader counts as dead")
	}
}
