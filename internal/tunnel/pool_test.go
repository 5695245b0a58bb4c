package tunnel_test

import (
	"context"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel"
	"sallyport.dev/internal/tunnel/frame"
)

// peer is a connector without sessions: it dials what a pool asks for and echoes.
type peer struct {
	t      testing.TB
	pool   *tunnel.Pool
	wg     sync.WaitGroup
	cancel context.CancelFunc

	mu     sync.Mutex // guards the following
	dialed int
	ends   []*tunnel.Link // this end of links
	deaf   bool           // ignore calls for links
	mute   bool           // let links die: answer nothing
}

func newPeer(t testing.TB) *peer {
	t.Helper()
	p := &peer{t: t, pool: &tunnel.Pool{Name: "the connector of location plant1"}}
	p.pool.Grow = func(n int) error { p.grow(n); return nil }
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.wg.Go(func() { p.pool.Run(ctx) })
	return p
}

// stop ends the pool and waits for everything.
func (p *peer) stop() {
	p.cancel()
	p.pool.Cut()
	p.wg.Wait()
}

func (p *peer) grow(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.deaf {
		return
	}
	for range n {
		p.dialed++
		a, b := memPipe(p.t)
		p.wg.Go(func() {
			var wg sync.WaitGroup
			var con *tunnel.Link
			wg.Go(func() {
				l, err := tunnel.Client(context.Background(), b, clientConfig(frame.DataProtocol))
				if err != nil {
					p.t.Error(err)
				}
				con = l
			})
			server, _ := configs()
			gw, err := tunnel.Server(context.Background(), a, server)
			wg.Wait()
			if err != nil {
				p.t.Error(err)
				return
			}
			p.wg.Go(func() { p.serve(con) })
			if err := p.pool.Add(gw); err != nil && fault.KindOf(err) != fault.Busy {
				p.t.Error(err)
			}
		})
	}
}

func (p *peer) serve(l *tunnel.Link) {
	defer l.Abort()
	p.mu.Lock()
	p.ends = append(p.ends, l)
	mute := p.mute
	p.mu.Unlock()
	for !mute {
		o, err := l.Accept()
		if err != nil {
			return
		}
		if o.Host == "refused" {
			if l.Refuse(fault.New(fault.Denied, "no")) != nil {
				return
			}
			continue
		}
		st, err := l.Grant(o)
		if err != nil {
			return
		}
		io.Copy(st, st)
		st.Close()
		if !st.Settle() {
			return
		}
	}
}

func (p *peer) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dialed
}

// use opens a stream, echoes through it and ends it on both sides.
func (p *peer) use() error {
	st, err := p.pool.Open(context.Background(), anOpen)
	if err != nil {
		return err
	}
	defer st.Close()
	if _, err := st.Write([]byte("x")); err != nil {
		return err
	}
	if err := st.CloseWrite(); err != nil {
		return err
	}
	_, err = io.ReadAll(st)
	return err
}

func TestPoolReusesLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		defer p.stop()
		for range 200 {
			if err := p.use(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // the link goes back
		}
		if n := p.count(); n > 2*tunnel.PoolStart {
			t.Errorf("200 streams one after the other took %d handshakes", n)
		}
	})
}

func TestPoolGrowsAndShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		defer p.stop()
		var open []*tunnel.Stream
		for range 40 {
			st, err := p.pool.Open(t.Context(), anOpen)
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, st)
		}
		for _, st := range open {
			st.CloseWrite()
			io.ReadAll(st)
			st.Close()
		}
		synctest.Wait()
		if s := p.pool.Stats(); s.Idle < 40 || s.Idle > tunnel.PoolMax {
			t.Errorf("got %+v, want at least 40 parked", s)
		}
		time.Sleep(50 * time.Second)
		if s := p.pool.Stats(); s.Idle < 40 {
			t.Errorf("got %+v after 50s, want all still there", s)
		}
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if s := p.pool.Stats(); s.Idle != tunnel.PoolStart || s.Links != tunnel.PoolStart {
			t.Errorf("got %+v after 65s, want %d", s, tunnel.PoolStart)
		}
		// Those that stay are alive, however long it takes.
		time.Sleep(10 * time.Minute)
		before := p.count()
		if err := p.use(); err != nil {
			t.Fatal(err)
		}
		if n := p.count(); n != before {
			t.Errorf("ten minutes later %d new links were needed", n-before)
		}
	})
}

func TestPoolFindsDeadSpares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		defer p.stop()
		p.mute = true
		p.grow(tunnel.PoolStart)
		synctest.Wait()
		if s := p.pool.Stats(); s.Idle != tunnel.PoolStart {
			t.Fatalf("got %+v", s)
		}
		p.mu.Lock()
		p.deaf = true
		p.mu.Unlock()
		for _, l := range p.ends {
			l.Abort()
		}
		time.Sleep(tunnel.PingEvery + tunnel.PingAnswer + time.Second)
		if s := p.pool.Stats(); s.Links != 0 {
			t.Errorf("got %+v, want no dead spare", s)
		}
	})
}

func TestPoolReplacesASpareThatDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		defer p.stop()
		if err := p.use(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.mu.Lock()
		ends := slices.Clone(p.ends)
		p.mu.Unlock()
		for _, l := range ends { // between two pings
			l.Abort()
		}
		if err := p.use(); err != nil {
			t.Errorf("a dead spare showed: %v", err)
		}
	})
}

func TestPoolEmptyWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		defer p.stop()
		p.deaf = true
		start := time.Now()
		_, err := p.pool.Open(t.Context(), anOpen)
		if fault.KindOf(err) != fault.Busy || fault.HintOf(err) == "" {
			t.Errorf("got %v, want busy with a hint", err)
		}
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("waited %v, want 10s", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.pool.Open(ctx, anOpen); fault.KindOf(err) != fault.TimedOut {
			t.Errorf("got %v, want the context's end", err)
		}
		if s := p.pool.Stats(); s.Waiting != 0 {
			t.Errorf("got %+v, want nobody waiting", s)
		}
	})
}

func TestPoolRefusalCostsNoLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		defer p.stop()
		o := anOpen
		o.Host = "refused"
		for range 50 {
			if _, err := p.pool.Open(t.Context(), o); fault.KindOf(err) != fault.Denied {
				t.Fatalf("got %v, want denied", err)
			}
		}
		if n := p.count(); n > 2*tunnel.PoolStart {
			t.Errorf("50 refusals took %d links", n)
		}
	})
}

func TestPoolManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		defer p.stop()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				for range 5 {
					if err := p.use(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if s := p.pool.Stats(); s.Idle > tunnel.PoolMax || s.Waiting != 0 {
			t.Errorf("got %+v, want at most %d parked", s, tunnel.PoolMax)
		}
	})
}

func TestPoolEndLetsStreamsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		defer p.stop()
		st, err := p.pool.Open(t.Context(), anOpen)
		if err != nil {
			t.Fatal(err)
		}
		p.cancel()
		synctest.Wait()
		if _, err := p.pool.Open(t.Context(), anOpen); fault.KindOf(err) != fault.Unreachable {
			t.Errorf("got %v, want unreachable", err)
		}
		if _, err := st.Write([]byte("still")); err != nil {
			t.Error(err)
		}
		if err := st.CloseWrite(); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(st); err != nil || string(got) != "still" {
			t.Errorf("got %q, %v", got, err)
		}
		st.Close()
		synctest.Wait()
		if s := p.pool.Stats(); s.Links != 0 {
			t.Errorf("got %+v, want none", s)
		}
	})
}
