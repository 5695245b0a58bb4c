package tunnel_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/testkit"
	"sallyport.dev/internal/tunnel"
	"sallyport.dev/internal/tunnel/frame"
)

func TestStreamIsAConn(t *testing.T) {
	for name, pipe := range map[string]func(testing.TB) (net.Conn, net.Conn){"tcp": tcpPipe, "memnet": memPipe} {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeaks(t)
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				a, b := pipe(t)
				gs, cs := openStream2(t, a, b)
				return gs, cs, func() { gs.Close(); cs.Close() }, nil
			})
		})
	}
}

func openStream2(t testing.TB, a, b net.Conn) (gs, cs *tunnel.Stream) {
	t.Helper()
	gl, cl := links(t, frame.DataProtocol, a, b)
	return openStream(t, gl, cl)
}

// settle settles both ends at once and returns what they say.
func settle(gs, cs *tunnel.Stream) (g, c bool) {
	var wg sync.WaitGroup
	wg.Go(func() { g = gs.Settle() })
	wg.Go(func() { c = cs.Settle() })
	wg.Wait()
	return g, c
}

func TestHalfCloseAndReuse(t *testing.T) {
	a, b := tcpPipe(t)
	gl, cl := links(t, frame.DataProtocol, a, b)
	for range 3 {
		gs, cs := openStream(t, gl, cl)
		if _, err := gs.Write([]byte("STOR")); err != nil {
			t.Fatal(err)
		}
		if err := gs.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(cs); err != nil || string(got) != "STOR" {
			t.Fatalf("got %q %v", got, err)
		}
		if _, err := gs.Write([]byte("x")); err == nil {
			t.Error("write after CloseWrite worked")
		}
		// The other direction still runs.
		if _, err := cs.Write([]byte("226")); err != nil {
			t.Fatal(err)
		}
		if err := cs.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(gs); err != nil || string(got) != "226" {
			t.Fatalf("got %q %v", got, err)
		}
		if err := gs.Close(); err != nil {
			t.Fatal(err)
		}
		if g, c := settle(gs, cs); !g || !c {
			t.Fatalf("link free: gateway %v, connector %v; want both", g, c)
		}
		if !gl.Idle() || !cl.Idle() {
			t.Fatal("link not idle after a clean end")
		}
	}
}

func TestBulkIsWhole(t *testing.T) {
	a, b := tcpPipe(t)
	gs, cs := openStream2(t, a, b)
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	go func() {
		gs.Write(want)
		gs.CloseWrite()
	}()
	got, err := io.ReadAll(cs)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got %d bytes, %v; want %d", len(got), err, len(want))
	}
}

func TestResetReachesTheOtherEndAfterTheBytesBeforeIt(t *testing.T) {
	for _, dir := range []string{"gateway", "connector"} {
		t.Run(dir, func(t *testing.T) {
			a, b := tcpPipe(t)
			from, to := openStream2(t, a, b)
			if dir == "connector" {
				from, to = to, from
			}
			if _, err := from.Write([]byte("before")); err != nil {
				t.Fatal(err)
			}
			if _, err := to.Write([]byte("unread, as in a cut transfer")); err != nil {
				t.Fatal(err)
			}
			if err := from.ResetWith(frame.CodePeer); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(to)
			if re := (*tunnel.ResetError)(nil); string(got) != "before" || !errors.As(err, &re) || re.Code != frame.CodePeer {
				t.Fatalf("got %q %v, want the bytes and a reset with its code", got, err)
			}
			if !errors.Is(err, syscall.ECONNRESET) || fault.KindOf(err) != fault.Unreachable {
				t.Errorf("%v is no ECONNRESET or has kind %v", err, fault.KindOf(err))
			}
			to.Close()
			if g, c := settle(from, to); g || c {
				t.Errorf("link free after a reset: %v, %v", g, c)
			}
		})
	}
}

func TestCutLinkIsNoEnd(t *testing.T) {
	for name, cut := range map[string]func(raw net.Conn, l *tunnel.Link){
		"fin":          func(raw net.Conn, _ *tunnel.Link) { raw.Close() },
		"close-notify": func(_ net.Conn, l *tunnel.Link) { l.Close() },
		"rst": func(raw net.Conn, _ *tunnel.Link) {
			raw.(*net.TCPConn).SetLinger(0)
			raw.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := tcpPipe(t)
			gl, cl := links(t, frame.DataProtocol, a, b)
			gs, cs := openStream(t, gl, cl)
			if _, err := gs.Write([]byte("half a file")); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 11)
			if _, err := io.ReadFull(cs, buf); err != nil {
				t.Fatal(err)
			}
			cut(a, gl)
			_, err := cs.Read(buf)
			if err == nil || errors.Is(err, io.EOF) || !errors.Is(err, tunnel.ErrLost) {
				t.Fatalf("got %v, want a lost link and no EOF", err)
			}
			if fault.KindOf(err) != fault.Unreachable {
				t.Errorf("got kind %v, want unreachable", fault.KindOf(err))
			}
			if err := cs.Close(); err != nil {
				t.Error(err)
			}
			if cs.Settle() {
				t.Error("a lost link was given back")
			}
		})
	}
}

func TestStrayBytesAfterTheEndCloseTheLink(t *testing.T) {
	a, b := tcpPipe(t)
	gl, cl := links(t, frame.DataProtocol, a, b)
	gs, cs := openStream(t, gl, cl)
	gs.Close()
	io.ReadAll(cs)
	cs.Close()
	if g, c := settle(gs, cs); !g || !c {
		t.Fatal("link not free")
	}
	if _, err := gl.TLS().Write([]byte{0xff}); err != nil {
		t.Fatal(err)
	}
	if late, err := tunnel.Flush(gl); late || err != nil {
		t.Fatal(late, err)
	}
	gl.Abort()
	if _, err := cl.Accept(); err == nil {
		t.Error("a stray byte was taken for a message")
	}
}

func TestCloseUnreadGivesUpAfterABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gs, cs := openMemStream(t)
		gs.Close() // and the other end goes on sending
		var werr error
		var wg sync.WaitGroup
		wg.Go(func() {
			for werr == nil {
				_, werr = cs.Write(make([]byte, 32<<10))
			}
			cs.Close()
		})
		if g := gs.Settle(); g {
			t.Error("a link with bytes under way was given back")
		}
		wg.Wait()
		if cs.Settle() {
			t.Error("the other end gave it back")
		}
		if !errors.Is(werr, tunnel.ErrLost) {
			t.Errorf("got %v, want a lost link", werr)
		}
	})
}

func openMemStream(t testing.TB) (gs, cs *tunnel.Stream) {
	t.Helper()
	a, b := memPipe(t)
	return openStream2(t, a, b)
}

func TestSilentPeerAfterCloseIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gs, cs := openMemStream(t)
		start := time.Now()
		gs.Close()
		if gs.Settle() {
			t.Error("given back without the other end mark")
		}
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("gave up after %v, want 30s", d)
		}
		cs.Close()
		cs.Settle()
	})
}

func TestResetToAPeerThatDoesNotReadClosesTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gs, cs := openMemStream(t)
		gs.SetWriteDeadline(time.Now().Add(time.Second))
		var err error
		for err == nil {
			_, err = gs.Write(make([]byte, 64<<10))
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		start := time.Now()
		if err := gs.Reset(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("reset took %v", d)
		}
		if gs.Settle() {
			t.Error("given back")
		}
		if _, err := io.Copy(io.Discard, cs); err == nil {
			t.Error("a stream that was cut ended cleanly")
		}
		cs.Close()
		cs.Settle()
	})
}

func TestWriteGoesOnAfterADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gs, cs := openMemStream(t)
		gs.SetWriteDeadline(time.Now().Add(time.Second))
		var sent []byte
		for {
			p := bytes.Repeat([]byte{byte(len(sent) >> 10)}, 5000)
			n, err := gs.Write(p)
			sent = append(sent, p[:n]...)
			if err != nil {
				break
			}
		}
		gs.SetWriteDeadline(time.Time{})
		var got []byte
		var rerr error
		var wg sync.WaitGroup
		wg.Go(func() { got, rerr = io.ReadAll(cs) })
		if _, err := gs.Write([]byte("tail")); err != nil {
			t.Fatal(err)
		}
		gs.Close()
		wg.Wait()
		cs.Close()
		if rerr != nil || !bytes.Equal(got, append(sent, "tail"...)) {
			t.Fatalf("got %d bytes %v, want %d", len(got), rerr, len(sent)+4)
		}
		if g, c := settle(gs, cs); !g || !c {
			t.Error("link not given back")
		}
	})
}

func TestRefusalLeavesTheLinkIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPipe(t)
		gl, cl := links(t, frame.DataProtocol, a, b)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := cl.Accept(); err != nil {
				t.Error(err)
			}
			cause := fault.Wrap(fault.Denied, errors.New("inner\x00cause"), "no mapping covers %q", "x:1").WithHint("write one")
			if err := cl.Refuse(cause); err != nil {
				t.Error(err)
			}
		})
		_, err := gl.Open(t.Context(), anOpen)
		wg.Wait()
		if fault.KindOf(err) != fault.Denied || fault.HintOf(err) != "write one" || err.Error() != `no mapping covers "x:1"` {
			t.Errorf("got %v (%v, %q)", err, fault.KindOf(err), fault.HintOf(err))
		}
		if !gl.Idle() || !cl.Idle() {
			t.Error("link busy after a refusal")
		}
		wg.Go(func() { cl.Accept() })
		if err := gl.Ping(); err != nil {
			t.Errorf("ping after a refusal: %v", err)
		}
		gl.Abort()
		wg.Wait()
	})
}

func TestOpenEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPipe(t)
		gl, _ := links(t, frame.DataProtocol, a, b)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if _, err := gl.Open(ctx, anOpen); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("took %v, want 3s", d)
		}
		if gl.Idle() {
			t.Error("link idle in the middle of an open")
		}
	})
}

func TestPingDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPipe(t)
		gl, cl := links(t, frame.DataProtocol, a, b)
		start := time.Now()
		if err := gl.Ping(); fault.KindOf(err) != fault.TimedOut { // nobody answers
			t.Errorf("got %v, want a timeout", err)
		}
		if d := time.Since(start); d != tunnel.PingAnswer {
			t.Errorf("dead after %v, want %v", d, tunnel.PingAnswer)
		}
		// The connector answers what came, then finds its gateway silent.
		start = time.Now()
		if _, err := cl.Accept(); fault.KindOf(err) != fault.TimedOut {
			t.Errorf("got %v, want a timeout", err)
		}
		if d := time.Since(start); d != 25*time.Second {
			t.Errorf("gave up after %v, want 25s", d)
		}
	})
}

// TestCloseIsNeverACut: whoever waits in Settle must not come before the end mark.
func TestCloseIsNeverACut(t *testing.T) {
	a, b := tcpPipe(t)
	gl, cl := links(t, frame.DataProtocol, a, b)
	for range 2000 {
		gs, cs := openStream(t, gl, cl)
		var g, c bool
		var wg sync.WaitGroup
		wg.Go(func() { g = gs.Settle() })
		wg.Go(func() { c = cs.Settle() })
		wg.Go(func() {
			if _, err := io.ReadAll(cs); err != nil {
				t.Error(err)
			}
			cs.Close()
		})
		if _, err := gs.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		gs.Close()
		wg.Wait()
		if !g || !c {
			t.Fatalf("a clean close cut the link: %v, %v", g, c)
		}
	}
}

// TestHostileFrames: what breaks the grammar is an error, never an end, and costs
// the link.
func TestHostileFrames(t *testing.T) {
	for name, raw := range map[string][]byte{
		"oversized":         {0x00, 0x10, 0x00, 0x01},
		"almost-a-reset":    {0xff, 0xff, 0xff, 0xfe},
		"cut-in-a-header":   {0x00, 0x00},
		"cut-in-a-frame":    {0x00, 0x00, 0x00, 0x05, 'a', 'b'},
		"reset-no-code":     {0xff, 0xff, 0xff, 0xff, 0x00},
		"data-after-an-end": {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 'x'},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := tcpPipe(t)
			gl, cl := links(t, frame.DataProtocol, a, b)
			_, cs := openStream(t, gl, cl)
			if _, err := gl.TLS().Write(raw); err != nil {
				t.Fatal(err)
			}
			gl.Close()
			_, err := io.ReadAll(cs)
			if stray := name == "data-after-an-end"; stray != (err == nil) {
				t.Errorf("got %v", err)
			}
			cs.Close()
			if cs.Settle() {
				if _, err := cl.Accept(); err == nil {
					t.Error("a stray byte was taken for a message")
				}
			}
			cl.Abort()
		})
	}
}
