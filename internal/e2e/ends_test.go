//go:build linux

package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/socks5"
)

// ends is a tunnel between two sockets of this process: the client's, which leads
// to the gateway's SOCKS5 server, and the server's, which the connector has dialled.
// Gateway and connector are processes of their own.
type ends struct {
	*crossing
	t     *testing.T
	inner net.Listener
}

func newEnds(t *testing.T) *ends {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &ends{t: t, inner: l, crossing: cross(t, "raw:7="+l.Addr().String())}
}

// open opens a connection and returns both outer sockets.
func (e *ends) open() (client, server *net.TCPConn) {
	e.t.Helper()
	via := &socks5.Dialer{Proxy: e.socks}
	c, err := via.DialContext(e.t.Context(), "tcp", "raw:7")
	if err != nil {
		e.t.Fatal(err)
	}
	s, err := e.inner.Accept()
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = c.Close(); _ = s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn) //nolint:forcetypeassert // both are of TCP
}

// eachWay calls f with the two ends in both roles.
func (e *ends) eachWay(times int, f func(t *testing.T, from, to *net.TCPConn)) {
	e.t.Helper()
	for _, way := range []string{"up", "down"} {
		e.t.Run(way, func(t *testing.T) {
			for range times {
				client, server := e.open()
				if way == "up" {
					f(t, client, server)
				} else {
					f(t, server, client)
				}
				_, _ = client.Close(), server.Close()
				if t.Failed() {
					return
				}
			}
		})
	}
}

// bounded makes every read and write of the test end.
func bounded(t *testing.T, conns ...*net.TCPConn) {
	t.Helper()
	for _, c := range conns {
		if err := c.SetDeadline(time.Now().Add(2 * patience)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCleanEndLosesNothing: the sender closes after 8 MiB, and both directions have
// ended long before the reader, whose kernel has room for little, has taken them. What
// is left in the kernels of gateway and connector must still arrive.
func TestCleanEndLosesNothing(t *testing.T) {
	const size = 8 << 20
	data := make([]byte, size)
	if _, err := rand.NewChaCha8(sha256.Sum256([]byte(t.Name()))).Read(data); err != nil {
		t.Fatal(err)
	}
	newEnds(t).eachWay(20, func(t *testing.T, from, to *net.TCPConn) {
		bounded(t, from, to)
		if err := errors.Join(to.SetReadBuffer(128<<10), to.CloseWrite()); err != nil {
			t.Fatal(err)
		}
		sent := make(chan error, 1)
		go func() {
			_, err := from.Write(data)
			sent <- errors.Join(err, from.Close())
		}()
		got, err := slowly(to, size)
		if serr := <-sent; serr != nil {
			t.Errorf("send: %v", serr)
		}
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("got %d bytes of %d, the same: %v; %v", len(got), size, bytes.Equal(got, data[:len(got)]), err)
		}
	})
}

// slowly reads to the end, with rests now and then.
func slowly(r io.Reader, size int) ([]byte, error) {
	got := make([]byte, 0, size+1)
	for rest := size / 4; ; {
		n, err := r.Read(got[len(got):min(len(got)+32<<10, cap(got))])
		got = got[:len(got)+n]
		switch {
		case errors.Is(err, io.EOF):
			return got, nil
		case err != nil:
			return got, err
		case len(got) > size:
			return got, errors.New("more than was sent")
		case len(got) >= rest:
			time.Sleep(20 * time.Millisecond) // what waits in between is the point
			rest += size / 4
		}
	}
}

// TestHalfClosePassesThrough: each end may end first, and the other goes on.
func TestHalfClosePassesThrough(t *testing.T) {
	answer := bytes.Repeat([]byte("answer"), 200_000)
	newEnds(t).eachWay(5, func(t *testing.T, from, to *net.TCPConn) {
		bounded(t, from, to)
		if _, err := from.Write([]byte("question")); err != nil {
			t.Fatal(err)
		}
		if err := from.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(to); err != nil || string(got) != "question" {
			t.Fatalf("got %q, %v", got, err)
		}
		sent := make(chan error, 1)
		go func() {
			_, err := to.Write(answer)
			sent <- errors.Join(err, to.Close())
		}()
		if got, err := io.ReadAll(from); err != nil || !bytes.Equal(got, answer) {
			t.Errorf("got %d bytes of the answer, %v; want %d", len(got), err, len(answer))
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

// TestResetComesAfterTheBytesBeforeIt at the other outer socket.
func TestResetComesAfterTheBytesBeforeIt(t *testing.T) {
	want := bytes.Repeat([]byte("x"), 300<<10)
	newEnds(t).eachWay(20, func(t *testing.T, from, to *net.TCPConn) {
		bounded(t, from, to)
		if _, err := from.Write(want); err != nil {
			t.Fatal(err)
		}
		acknowledged(t, from) // a reset throws away what its own kernel still has
		if err := netx.Reset(from); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(to)
		if !errors.Is(err, syscall.ECONNRESET) || !bytes.Equal(got, want) {
			t.Errorf("got %d bytes of %d, then %v; want a reset", len(got), len(want), err)
		}
	})
}

// acknowledged waits until the peer's kernel has all that was written to c.
func acknowledged(t *testing.T, c *net.TCPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; netx.Pause(t.Context(), time.Millisecond) {
		var left int
		var lerr error
		err := raw.Control(func(fd uintptr) { left, lerr = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
		if err := errors.Join(err, lerr); err != nil {
			t.Fatal(err)
		}
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are not acknowledged after %v", left, patience)
		}
	}
}

// TestKilledProcessLooksCut: gateway or connector is killed. Connections that
// carry bytes either way, that have carried none yet, and that have ended in one
// direction are reset at both ends.
func TestKilledProcessLooksCut(t *testing.T) {
	for _, who := range []string{"gateway", "connector"} {
		t.Run(who, func(t *testing.T) {
			e := newEnds(t)
			type one struct {
				what           string
				client, server *net.TCPConn
			}
			var all []one
			for _, what := range []string{"idle", "up", "down", "client ended", "server ended"} {
				client, server := e.open()
				bounded(t, client, server)
				all = append(all, one{what, client, server})
				var err error
				switch what {
				case "up":
					err = moved(client, server)
				case "down":
					err = moved(server, client)
				case "client ended":
					err = endedIn(client, server)
				case "server ended":
					err = endedIn(server, client)
				}
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			}
			p := map[string]*program{"gateway": e.gateway, "connector": e.connector}[who]
			if err := p.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for _, o := range all {
				for name, c := range map[string]*net.TCPConn{"client": o.client, "server": o.server} {
					wg.Go(func() {
						if ended := map[string]string{"client": "server ended", "server": "client ended"}[name]; o.what == ended {
							return // it has seen the clean end of the other's direction; its own is the subject
						}
						if n, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
							t.Errorf("%s, %s: read %d bytes and %v, want a reset", o.what, name, n, err)
						}
					})
				}
			}
			wg.Wait()
		})
	}
}

// moved sends some bytes, which arrive.
func moved(from, to *net.TCPConn) error {
	b := make([]byte, 100<<10)
	if _, err := from.Write(b); err != nil {
		return err
	}
	_, err := io.ReadFull(to, b)
	return err
}

// endedIn ends from's direction, which to sees.
func endedIn(from, to *net.TCPConn) error {
	if err := from.CloseWrite(); err != nil {
		return err
	}
	if n, err := to.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %d bytes and %w, want the end", n, err)
	}
	return nil
}
