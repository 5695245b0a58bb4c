package daemon

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// parts is what parts have done, in order.
type parts struct {
	mu  sync.Mutex // guards the following
	did []string
}

func (p *parts) note(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.did = append(p.did, s)
}

// part runs until it is stopped, and takes that long to end.
func (p *parts) part(name string, takes time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		t := time.NewTimer(takes)
		defer t.Stop()
		<-t.C
		p.note(name)
		return nil
	}
}

func TestGroupStopsOuterToInner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p parts
		g := newGroup(slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		for _, name := range []string{"inner", "middle", "outer"} {
			g.start(ctx, name, p.part(name, time.Second))
		}
		cancel() // does not reach the parts: the group's stop does, one after the other
		if err := g.wait(ctx); err != nil {
			t.Errorf("asked to stop: %v", err)
		}
		start := time.Now()
		g.stop(10 * time.Second)
		if want := []string{"outer", "middle", "inner"}; !slices.Equal(p.did, want) {
			t.Errorf("stopped %v, want %v", p.did, want)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v, want 3s", took)
		}
	})
}

// TestGroupDoesNotLetOnePartHoldTheOthersUp: past the deadline the rest is told to
// stop at once.
func TestGroupDoesNotLetOnePartHoldTheOthersUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p parts
		g := newGroup(slog.New(slog.DiscardHandler))
		g.start(t.Context(), "quick", p.part("quick", 0))
		g.start(t.Context(), "slow", p.part("slow", time.Minute))
		start := time.Now()
		g.stop(5 * time.Second)
		if want := []string{"quick", "slow"}; !slices.Equal(p.did, want) {
			t.Errorf("stopped %v, want %v", p.did, want)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("returned after %v, want when the last part had ended", took)
		}
	})
}

func TestGroupTellsOfAPartThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p parts
		g := newGroup(slog.New(slog.DiscardHandler))
		cause := errors.New("port taken")
		g.start(t.Context(), "good", p.part("good", 0))
		g.start(t.Context(), "bad", func(context.Context) error { return cause })
		if err := g.wait(t.Context()); !errors.Is(err, cause) || err.Error() != "bad: port taken" {
			t.Errorf("got %v, want the part and its cause", err)
		}
		g.stop(time.Second)
	})
}
