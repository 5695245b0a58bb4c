package netx_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/netx"
)

// relayed starts a relay between two pipes and returns the outer ends.
func relayed(t *testing.T, ctx context.Context, idle time.Duration) (a, b *memnet.Conn, done <-chan error) {
	t.Helper()
	a, inA := memnet.Pipe()
	b, inB := memnet.Pipe()
	ch := make(chan error, 1)
	go func() {
		_, err := netx.Relay(ctx, inA, inB, idle)
		ch <- err
	}()
	return a, b, ch
}

func TestRelayHalfClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, done := relayed(t, t.Context(), 0)
		mustWrite(t, a, "question")
		must(t, a.CloseWrite())
		if got := mustReadAll(t, b); got != "question" {
			t.Errorf("got %q", got)
		}
		mustWrite(t, b, "answer")
		must(t, b.Close())
		if got := mustReadAll(t, a); got != "answer" {
			t.Errorf("got %q", got)
		}
		if err := <-done; err != nil {
			t.Errorf("relay: %v", err)
		}
	})
}

func TestRelayPassesAReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, done := relayed(t, t.Context(), 0)
		must(t, a.Reset())
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v, want ECONNRESET", err)
		}
		if err := <-done; err == nil {
			t.Error("relay reported a clean end")
		}
	})
}

func TestRelayCancelLooksCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		a, b, done := relayed(t, ctx, 0)
		cause := errors.New("link lost")
		cancel(cause)
		for _, c := range []net.Conn{a, b} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("got %v, want ECONNRESET", err)
			}
		}
		if err := <-done; !errors.Is(err, cause) {
			t.Errorf("got %v, want the cause", err)
		}
	})
}

func TestRelayHalfClosedAndSilentEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		a, b, done := relayed(t, t.Context(), time.Minute)
		must(t, a.CloseWrite())
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want a deadline error", err)
		}
		if got := time.Since(start); got != time.Minute {
			t.Errorf("ended after %v, want 1m", got)
		}
		must(t, b.Close())
	})
}

// TestResetOnTCP shows what the peer of a real socket sees.
func TestResetOnTCP(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(net.Conn) error
		want error
	}{
		{"reset", netx.Reset, syscall.ECONNRESET},
		{"guarded_close", func(c net.Conn) error { netx.Guard(c); return c.Close() }, syscall.ECONNRESET},
		{"unguarded_close", func(c net.Conn) error { netx.Guard(c); netx.Unguard(c); return c.Close() }, io.EOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := netx.System{}.Listen(t.Context(), "tcp", "127.0.0.1:0")
			must(t, err)
			defer l.Close()
			c, err := netx.System{}.Dial(t.Context(), "tcp", l.Addr().String())
			must(t, err)
			peer, err := l.Accept()
			must(t, err)
			defer peer.Close()
			must(t, tt.end(c))
			if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustWrite(t *testing.T, w io.Writer, s string) {
	t.Helper()
	_, err := io.WriteString(w, s)
	must(t, err)
}

func mustReadAll(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	must(t, err)
	return string(b)
}
