package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/connector"
	"sallyport.dev/internal/gateway"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/testkit"
)

func TestNewSessionReplacesTheOldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		inside := r.listen("10.0.0.5:7", echo)
		creds := r.join("plant1")
		m := connector.Mapping{Virtual: "echo:7", Internal: inside}
		first := r.run(r.newConnector(creds, m))
		r.await("connected", func() bool { return first.State() != nil && first.State()[0].Connected })
		running := r.mustDial("echo:7")
		before := r.gw.Sessions()[0].ID
		// The same connector from another process, while the first one's stays up.
		second := r.run(r.newConnector(creds, m))
		r.await("connected", func() bool { return second.State() != nil && second.State()[0].Connected })
		// A stream that runs goes on by itself.
		if _, err := running.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(running, make([]byte, 1)); err != nil {
			t.Errorf("running stream: %v", err)
		}
		r.mustDial("echo:7").Close()
		for _, s := range r.gw.Sessions() {
			if s.ID == before && !s.Ending {
				t.Error("the old session still takes streams")
			}
		}
		running.Close()
	})
}

func TestConnectorComesBackWithinTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		inside := r.listen("10.0.0.5:7", echo)
		r.connect("plant1", connector.Mapping{Virtual: "echo:7", Internal: inside})
		for range 10 {
			r.cutLinks()
			start := time.Now()
			synctest.Wait()
			for {
				c, err := r.dial("user:a", "", "echo:7")
				if err == nil {
					c.Close()
					break
				}
				if time.Since(start) > 2*time.Second {
					t.Fatalf("not back after %v: %v", time.Since(start), err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(time.Minute)
		}
	})
}

// TestPulledCable: nothing is said, the links just stop. Both ends find out.
func TestPulledCable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		hole := &blackHole{Network: r.outside}
		c := r.newConnector(r.join("plant1"))
		c.Dial = hole.Dial
		run := r.run(c)
		r.await("connected", func() bool { return run.State() != nil && run.State()[0].Connected })
		hole.open()
		time.Sleep(20 * time.Second)
		if n := len(r.gw.Sessions()); n != 0 {
			t.Errorf("gateway: %d sessions 20s after the cable was pulled", n)
		}
		if run.State()[0].Connected {
			t.Error("connector still says it is connected")
		}
		hole.close()
		time.Sleep(15 * time.Second)
		if !run.State()[0].Connected {
			t.Errorf("not back: %v", run.State()[0].Err)
		}
	})
}

// blackHole swallows what is written while it is open.
type blackHole struct {
	netx.Network
	mu    sync.Mutex // guards the following
	holed bool
}

func (h *blackHole) open()  { h.mu.Lock(); defer h.mu.Unlock(); h.holed = true }
func (h *blackHole) close() { h.mu.Lock(); defer h.mu.Unlock(); h.holed = false }

func (h *blackHole) swallows() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.holed }

func (h *blackHole) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if h.swallows() {
		return nil, &net.OpError{Op: "dial", Err: syscall.ETIMEDOUT}
	}
	c, err := h.Network.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &holedConn{Conn: c, h: h}, nil
}

type holedConn struct {
	net.Conn
	h *blackHole
}

func (c *holedConn) Write(p []byte) (int, error) {
	if c.h.swallows() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *holedConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.h.swallows() {
			return n, err
		}
	}
}

func (c *holedConn) Close() error {
	if c.h.swallows() {
		return nil // the FIN does not arrive, either; the network's end cleans up
	}
	return c.Conn.Close()
}

func TestTwoHundredStreamsReuseLinks(t *testing.T) {
	testkit.NoLeaks(t)
	r := newTCPRig(t)
	inside := r.listen("127.0.0.1:0", echo)
	r.connect("plant1", connector.Mapping{Virtual: "echo:7", Internal: inside})
	for range 200 {
		c := r.mustDial("echo:7")
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := c.(netx.CloseWriter).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err != nil || string(got) != "x" {
			t.Fatalf("got %q, %v", got, err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.links.Load(); n > 16 {
		t.Errorf("200 streams took %d handshakes", n)
	}
	t.Logf("200 streams took %d handshakes", r.links.Load())
}

// TestCutTransferLooksCut: the link dies in the middle of an upload and of a
// download; neither outer socket may see a clean end.
func TestCutTransferLooksCut(t *testing.T) {
	testkit.NoLeaks(t)
	r := newTCPRig(t)
	ends := make(chan error, 1)
	half := bytes.Repeat([]byte("x"), 100<<10)
	upload := r.listen("127.0.0.1:0", func(c net.Conn) {
		_, err := io.Copy(io.Discard, c)
		ends <- err
	})
	download := r.listen("127.0.0.1:0", func(c net.Conn) {
		c.Write(half)
		_, err := c.Read(make([]byte, 1)) // it would send more, but the link dies first
		ends <- err
	})
	r.connect("plant1",
		connector.Mapping{Virtual: "up:1", Internal: upload},
		connector.Mapping{Virtual: "down:1", Internal: download},
	)
	for _, tt := range []struct {
		target string
		begin  func(net.Conn) error
	}{
		{"up:1", func(c net.Conn) error { _, err := c.Write(half); return err }},
		{"down:1", func(c net.Conn) error { _, err := io.ReadFull(c, make([]byte, len(half))); return err }},
	} {
		for range 10 {
			var c net.Conn
			r.await("back", func() (back bool) {
				var err error
				c, err = r.dial("user:a", "", tt.target)
				return err == nil
			})
			if err := tt.begin(c); err != nil {
				t.Fatal(err)
			}
			r.cutLinks()
			if err := <-ends; !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s: the server saw %v, want ECONNRESET", tt.target, err)
			}
			if _, err := io.ReadAll(c); err == nil {
				t.Errorf("%s: the client saw a clean end", tt.target)
			}
			c.Close()
		}
	}
}

// TestResetPassesThrough: a peer's own reset arrives at the other outer socket,
// after the bytes before it.
func TestResetPassesThrough(t *testing.T) {
	testkit.NoLeaks(t)
	r := newTCPRig(t)
	said := make(chan struct{})
	ends := make(chan error, 1)
	server := r.listen("127.0.0.1:0", func(c net.Conn) {
		c.Write([]byte("before"))
		<-said
		netx.Reset(c)
	})
	client := r.listen("127.0.0.1:0", func(c net.Conn) {
		got, err := io.ReadAll(c)
		if string(got) != "before" {
			t.Errorf("got %q before the reset", got)
		}
		ends <- err
	})
	r.connect("plant1",
		connector.Mapping{Virtual: "server:1", Internal: server}, connector.Mapping{Virtual: "client:1", Internal: client})
	c := r.mustDial("server:1")
	buf := make([]byte, 6)
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "before" {
		t.Fatalf("got %q, %v", buf, err)
	}
	close(said)
	if _, err := c.Read(buf); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want ECONNRESET", err)
	}
	c.Close()
	c = r.mustDial("client:1")
	if _, err := c.Write([]byte("before")); err != nil {
		t.Fatal(err)
	}
	if err := netx.Reset(c); err != nil {
		t.Fatal(err)
	}
	if err := <-ends; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server saw %v, want ECONNRESET", err)
	}
}

func TestShutdownWaitsForStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		inside := r.listen("10.0.0.5:7", echo)
		r.connect("plant1", connector.Mapping{Virtual: "echo:7", Internal: inside})
		c := r.mustDial("echo:7")
		done := make(chan error, 1)
		go func() { done <- r.gw.Shutdown(context.Background()) }()
		synctest.Wait()
		if _, err := r.dial("user:a", "", "echo:7"); err == nil {
			t.Error("a dial during shutdown worked")
		}
		if _, err := c.Write([]byte("still")); err != nil {
			t.Error(err)
		}
		c.(netx.CloseWriter).CloseWrite()
		if got, err := io.ReadAll(c); err != nil || string(got) != "still" {
			t.Errorf("got %q, %v", got, err)
		}
		c.Close()
		if err := <-done; err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := r.gw.Serve(&net.TCPListener{}); !errors.Is(err, gateway.ErrServerClosed) {
			t.Errorf("serve after shutdown: %v", err)
		}
	})
}

func TestShutdownCutsAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		inside := r.listen("10.0.0.5:7", echo)
		r.connect("plant1", connector.Mapping{Virtual: "echo:7", Internal: inside})
		c := r.mustDial("echo:7")
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("got %v, want a cut", err)
			}
			c.Close()
		})
		if err := r.gw.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		if d := time.Since(start); d != 7*time.Second {
			t.Errorf("took %v, want 7s", d)
		}
		wg.Wait()
	})
}

func TestConnectorGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		inside := r.listen("10.0.0.5:7", echo)
		c := r.newConnector(r.join("plant1"), connector.Mapping{Virtual: "echo:7", Internal: inside})
		c.Grace = 5 * time.Second
		run := r.run(c)
		r.await("connected", func() bool { return run.State() != nil && run.State()[0].Connected })
		conn := r.mustDial("echo:7")
		start := time.Now()
		stopped := make(chan struct{})
		go func() { run.stop(); close(stopped) }()
		synctest.Wait()
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Errorf("within the grace: %v", err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("got %v, want a cut", err)
		}
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("cut after %v, want 5s", d)
		}
		<-stopped
		conn.Close()
	})
}

func TestCertificateIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		creds := r.join("plant1")
		first := creds.Identity().NotAfter
		time.Sleep(61 * 24 * time.Hour) // without a connector: an hour of pings is enough below
		r.run(r.newConnector(creds))
		time.Sleep(time.Hour)
		if d := creds.Identity().NotAfter.Sub(first); d < 60*24*time.Hour {
			t.Errorf("after 61 days the certificate ends %v later, want 61 days", d)
		}
		known, err := r.gw.Connectors()
		if err != nil || len(known) != 1 || !known[0].Connected || known[0].Renewed.IsZero() {
			t.Errorf("got %+v, %v", known, err)
		}
	})
}
