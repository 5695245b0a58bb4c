package ftpclient_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
)

// logins counts the sessions that a server has seen.
func logins(a *ftptest.Awkward) int {
	n := 0
	for _, verb := range a.Commands() {
		if verb == "USER" {
			n++
		}
	}
	return n
}

func onPool(t *testing.T, limit int, f func(t *testing.T, a *ftptest.Awkward, p *ftpclient.Pool)) {
	t.Helper()
	a := &ftptest.Awkward{Files: map[string]string{"f": "content"}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		p := &ftpclient.Pool{Config: cfg, Max: limit}
		f(t, a, p)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

func fromPool(t *testing.T, p *ftpclient.Pool) *ftpclient.Conn {
	t.Helper()
	c, err := p.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPoolBoundsConnections(t *testing.T) {
	onPool(t, 3, func(t *testing.T, a *ftptest.Awkward, p *ftpclient.Pool) {
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() {
				c, err := p.Get(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				defer p.Put(c)
				if got, err := read(t.Context(), c, "f", 0); err != nil || got != "content" {
					t.Errorf("got %q, %v", got, err)
				}
			})
		}
		wg.Wait()
		if n := logins(a); n > 3 {
			t.Errorf("%d connections, want at most 3", n)
		}
	})
}

func TestPoolWaitsNoLongerThanAsked(t *testing.T) {
	onPool(t, 1, func(t *testing.T, _ *ftptest.Awkward, p *ftpclient.Pool) {
		c := fromPool(t, p)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		if _, err := p.Get(ctx); fault.KindOf(err) != fault.TimedOut || time.Since(start) != 5*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		p.Put(c)
		p.Put(fromPool(t, p))
	})
}

func TestPoolReusesWhatIsAlive(t *testing.T) {
	onPool(t, 2, func(t *testing.T, a *ftptest.Awkward, p *ftpclient.Pool) {
		p.Put(fromPool(t, p))
		p.Put(fromPool(t, p))
		if n := logins(a); n != 1 {
			t.Errorf("%d logins, want 1", n)
		}
		<-time.After(30 * time.Second)
		p.Put(fromPool(t, p)) // asks for a sign of life first
		if n := logins(a); n != 1 {
			t.Errorf("%d logins after 30s, want 1", n)
		}
		<-time.After(3 * time.Minute)
		p.Put(fromPool(t, p)) // too old, whatever it might say
		if n := logins(a); n != 2 {
			t.Errorf("%d logins after 3m, want 2", n)
		}
	})
}

func TestPoolReplacesWhatDied(t *testing.T) {
	a := &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{"NOOP": "421 timeout\r\n{hang up}"}}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		p := &ftpclient.Pool{Config: cfg, Max: 1}
		p.Put(fromPool(t, p))
		<-time.After(30 * time.Second)
		c := fromPool(t, p)
		if err := c.MakeDir(t.Context(), "d"); err != nil {
			t.Error(err)
		}
		if n := logins(a); n != 2 {
			t.Errorf("%d logins, want 2", n)
		}
		p.Put(c)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestPoolClosesWhatIsInMidTransfer(t *testing.T) {
	onPool(t, 1, func(t *testing.T, a *ftptest.Awkward, p *ftpclient.Pool) {
		c := fromPool(t, p)
		d, err := c.Retr(t.Context(), "f", 0)
		if err != nil {
			t.Fatal(err)
		}
		p.Put(c)
		if _, err := io.ReadAll(d); err == nil {
			t.Error("a transfer of a connection given back was read to its end")
		}
		p.Put(fromPool(t, p))
		if n := logins(a); n != 2 {
			t.Errorf("%d logins, want 2", n)
		}
	})
}

func TestPoolClose(t *testing.T) {
	onPool(t, 1, func(t *testing.T, a *ftptest.Awkward, p *ftpclient.Pool) {
		c := fromPool(t, p)
		waited := make(chan error, 1)
		go func() { _, err := p.Get(t.Context()); waited <- err }()
		synctest.Wait()
		if err := errors.Join(p.Close(), p.Close()); err != nil {
			t.Error(err)
		}
		if err := <-waited; fault.KindOf(err) != fault.Unreachable {
			t.Errorf("waiting Get: %v", err)
		}
		if _, err := p.Get(t.Context()); err == nil {
			t.Error("Get on a closed pool")
		}
		p.Put(c)
		if c.Usable() {
			t.Error("a connection given back to a closed pool is still open")
		}
	})
}

// TestPoolRefusedLogin holds that failed logins do not use the pool up.
func TestPoolRefusedLogin(t *testing.T) {
	a := &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{"PASS": "530 no\r\n"}}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		p := &ftpclient.Pool{Config: cfg, Max: 1}
		for range 3 {
			if _, err := p.Get(t.Context()); fault.KindOf(err) != fault.Unauthenticated {
				t.Errorf("got %v", err)
			}
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}
