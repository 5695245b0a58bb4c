package memnet_test

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

	"golang.org/x/net/nettest"

	"sallyport.dev/internal/memnet"
)

func TestConnConformance(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		var n memnet.Network
		l, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, nil, err
		}
		a, err := n.Dial(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			return nil, nil, nil, err
		}
		b, err := l.Accept()
		if err != nil {
			return nil, nil, nil, err
		}
		return a, b, func() { a.Close(); b.Close(); l.Close() }, nil
	})
}

func TestDeadlineInFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		defer a.Close()
		defer b.Close()
		start := time.Now()
		if err := a.SetReadDeadline(start.Add(10 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		_, err := a.Read(make([]byte, 1))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %v, want a deadline error", err)
		}
		if got := time.Since(start); got != 10*time.Minute {
			t.Errorf("waited %v, want 10m", got)
		}
	})
}

func TestResetLooksCut(t *testing.T) {
	a, b := memnet.Pipe()
	if _, err := a.Write([]byte("lost")); err != nil {
		t.Fatal(err)
	}
	a.Reset()
	if _, err := b.Read(make([]byte, 8)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want ECONNRESET", err)
	}
}

func TestHalfClose(t *testing.T) {
	a, b := memnet.Pipe()
	defer a.Close()
	defer b.Close()
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want EOF", err)
	}
	if _, err := b.Write([]byte("x")); err != nil {
		t.Errorf("write against a half-closed peer: %v", err)
	}
	if _, err := a.Read(make([]byte, 1)); err != nil {
		t.Errorf("read after CloseWrite: %v", err)
	}
}

func TestDialNobody(t *testing.T) {
	var n memnet.Network
	_, err := n.Dial(context.Background(), "tcp", "10.0.0.1:21")
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want ECONNREFUSED", err)
	}
}
