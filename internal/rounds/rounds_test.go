package rounds_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/rounds"
)

// TestShared: who comes while a run is going on shares the next one, and nobody
// the one that had begun before.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rounds.Rounds
		var runs int
		run := func() error {
			<-time.After(time.Second)
			runs++
			return nil
		}
		var wg sync.WaitGroup
		begin := time.Now()
		took := make([]time.Duration, 100)
		for i := range took {
			wg.Go(func() {
				if i > 0 {
					<-time.After(time.Second / 2) // in the middle of the first one's run
				}
				if err := r.Do(run); err != nil {
					t.Error(err)
				}
				took[i] = time.Since(begin)
			})
		}
		wg.Wait()
		if runs != 2 {
			t.Errorf("got %d runs want 2", runs)
		}
		for i, d := range took {
			want := 2 * time.Second
			if i == 0 {
				want = time.Second
			}
			if d != want {
				t.Errorf("call %d returned after %v want %v", i, d, want)
			}
		}
	})
}

// TestNoneMissed: whatever happened before a call has been seen by the run that
// served it.
func TestNoneMissed(t *testing.T) {
	var r rounds.Rounds
	var counter, seen atomic.Int64
	run := func() error { seen.Store(counter.Load()); return nil }
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				mine := counter.Add(1)
				if err := r.Do(run); err != nil {
					t.Error(err)
				}
				if seen.Load() < mine {
					t.Error("served by a run that began before the call")
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestErrorIsOfItsRound(t *testing.T) {
	var r rounds.Rounds
	bad := errors.New("bad")
	if err := r.Do(func() error { return bad }); !errors.Is(err, bad) {
		t.Errorf("got %v want %v", err, bad)
	}
	if err := r.Do(func() error { return nil }); err != nil {
		t.Errorf("the next round: %v", err)
	}
}
