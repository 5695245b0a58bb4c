//go:build linux

package netx_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"sallyport.dev/internal/netx"
)

// tcpPair returns the two ends of a connection on loopback.
func tcpPair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	s, err := l.Accept()
	must(t, err)
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func relayTCP(t *testing.T) (a, b *net.TCPConn, done <-chan error) {
	t.Helper()
	a, inA := tcpPair(t)
	b, inB := tcpPair(t)
	ch := make(chan error, 1)
	go func() {
		_, err := netx.Relay(context.Background(), inA, inB, 0)
		ch <- err
	}()
	return a, b, ch
}

// TestRelayPassesAResetAfterTheBytesBeforeIt: a peer sends, and resets with its
// own bytes all acknowledged; the reader at the other end is slower than that.
func TestRelayPassesAResetAfterTheBytesBeforeIt(t *testing.T) {
	for range 20 {
		a, b, done := relayTCP(t)
		want := bytes.Repeat([]byte("x"), 300<<10)
		mustWrite(t, b, string(want))
		got := make([]byte, len(want))
		_, err := io.ReadFull(a, got[:1000]) // the relay is running
		must(t, err)
		netx.Drain(b)
		must(t, netx.Reset(b))
		n, err := io.ReadFull(a, got[1000:])
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %d bytes before the reset, %v; want %d", n+1000, err, len(want))
		}
		if _, err := a.Read(got); !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("got %v, want ECONNRESET", err)
		}
		if err := <-done; err == nil {
			t.Fatal("relay reported a clean end")
		}
	}
}

// ends counts clean ends passed on to a connection.
type ends struct {
	*net.TCPConn
	n atomic.Int32
}

func (e *ends) CloseWrite() error { e.n.Add(1); return e.TCPConn.CloseWrite() }

// TestRelayNeverTurnsAResetIntoAnEnd: the peer sends, then resets while bytes are
// being written to it. One of the relay's two goroutines gets the report, and the
// other one must not take what it reads then for a clean end.
func TestRelayNeverTurnsAResetIntoAnEnd(t *testing.T) {
	for range 100 {
		a, inA := tcpPair(t)
		b, inB := tcpPair(t)
		spy := &ends{TCPConn: inA}
		done := make(chan error, 1)
		go func() {
			_, err := netx.Relay(context.Background(), spy, inB, 0)
			done <- err
		}()
		flooded := make(chan struct{})
		go func() { // until the relay ends
			defer close(flooded)
			buf := make([]byte, 16<<10)
			for {
				if _, err := a.Write(buf); err != nil {
					return
				}
			}
		}()
		mustRead(t, b)
		mustWrite(t, b, "half an answer")
		must(t, netx.Reset(b))
		if err := <-done; err == nil {
			t.Fatal("relay reported a clean end")
		}
		if spy.n.Load() != 0 {
			t.Fatal("a reset was passed on as a clean end")
		}
		<-flooded
	}
}

func mustRead(t *testing.T, r io.Reader) {
	t.Helper()
	_, err := io.ReadFull(r, make([]byte, 1000))
	must(t, err)
}
