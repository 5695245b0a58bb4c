package tunnel_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel"
	"sallyport.dev/internal/tunnel/frame"
)

func sessions(t *testing.T) (gw, con *tunnel.Session) {
	t.Helper()
	a, b := memPipe(t)
	gl, cl := links(t, frame.ControlProtocol, a, b)
	ignore := func(frame.Control) error { return nil }
	return &tunnel.Session{Link: gl, Handle: ignore}, &tunnel.Session{Link: cl, Handle: ignore}
}

func TestSessionLivesOnPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, con := sessions(t)
		var got []frame.Control
		con.Handle = func(m frame.Control) error { got = append(got, m); return nil }
		ctx, cancel := context.WithCancel(t.Context())
		var gerr, cerr error
		var wg sync.WaitGroup
		wg.Go(func() { gerr = gw.Run(ctx) })
		wg.Go(func() { cerr = con.Run(ctx) })
		time.Sleep(10 * time.Minute)
		if err := gw.Send(&frame.Grow{Count: 3}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if gerr != nil || cerr != nil {
			t.Errorf("after ten minutes: %v, %v", gerr, cerr)
		}
		if len(got) != 1 {
			t.Errorf("got %v, want one grow", got)
		}
	})
}

func TestSessionDiesWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, _ := sessions(t) // the connector's end reads nothing
		start := time.Now()
		err := gw.Run(t.Context())
		if fault.KindOf(err) != fault.TimedOut {
			t.Errorf("got %v, want a timeout", err)
		}
		if d := time.Since(start); d != tunnel.PingEvery+tunnel.PingAnswer {
			t.Errorf("dead after %v, want %v", d, tunnel.PingEvery+tunnel.PingAnswer)
		}
	})
}

func TestSessionEndsOnNonsense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, con := sessions(t)
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { err = gw.Run(t.Context()) })
		if _, werr := con.Link.TLS().Write([]byte("\x00\x00\x00\x02\x63{")); werr != nil {
			t.Fatal(werr)
		}
		if late, werr := tunnel.Flush(con.Link); late || werr != nil {
			t.Fatal(late, werr)
		}
		wg.Wait()
		if fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
			t.Errorf("got %v, want invalid with a hint", err)
		}
	})
}
