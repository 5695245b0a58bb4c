package daemon

import (
	"net"
	"strings"
	"testing"

	"sallyport.dev/internal/fault"
)

// at is a listener of an address that nobody opened.
type at struct {
	net.Listener
	addr   string
	closed *[]string
}

func (a at) Addr() net.Addr { return where(a.addr) }
func (a at) Close() error   { *a.closed = append(*a.closed, a.addr); return nil }

type where string

func (where) Network() string  { return "tcp" }
func (w where) String() string { return string(w) }

// TestInherited finds the socket for an address, once, and refuses what is left.
func TestInherited(t *testing.T) {
	var closed []string
	var i inheritance
	for _, addr := range []string{"[::]:21", "10.0.0.1:990", "127.0.0.1:1080", "192.0.2.1:2121"} {
		i.left = append(i.left, at{addr: addr, closed: &closed})
	}
	for _, c := range []struct{ ask, want string }{
		{"0.0.0.0:22", ""},
		{"10.0.0.2:990", ""},
		{"localhost:1080", ""},
		{"127.0.0.1:0", ""},
		{":21", "[::]:21"},
		{"0.0.0.0:21", ""}, // taken
		{"0.0.0.0:990", "10.0.0.1:990"},
		{"127.0.0.1:1080", "127.0.0.1:1080"},
	} {
		got := ""
		if l := i.take(c.ask); l != nil {
			got = l.Addr().String()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.ask, got, c.want)
		}
	}
	err := i.close()
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "192.0.2.1:2121") || len(closed) != 1 {
		t.Errorf("what is left: got %v, closed %q", err, closed)
	}
	if err := i.close(); err != nil {
		t.Errorf("nothing left: %v", err)
	}
}
