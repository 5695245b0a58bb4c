package flow_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
)

func TestSecondLookComesInTime(t *testing.T) {
	bubble(t, func(_ *testing.T, g *rig) {
		g.f.Ready = flow.Ready{When: flow.Unchanged, For: 5 * time.Second}
		g.put("a", "hello")
		g.start()
		g.advance(5*time.Second - time.Millisecond)
		g.notArrived("a")
		g.advance(2 * time.Millisecond) // and not at the next poll, 30 s later
		g.arrived("a", "hello")
	})
}

func TestGrowingFileIsNotReady(t *testing.T) {
	bubble(t, func(_ *testing.T, g *rig) {
		g.f.Ready = flow.Ready{When: flow.Unchanged, For: 5 * time.Second}
		g.start()
		text := ""
		for range 20 {
			text += "more "
			g.put("a", text)
			g.advance(4 * time.Second)
		}
		g.notArrived("a")
		g.advance(31 * time.Second)
		g.advance(6 * time.Second)
		g.arrived("a", text)
	})
}

func TestMinimumAge(t *testing.T) {
	bubble(t, func(_ *testing.T, g *rig) {
		g.f.Ready = flow.Ready{When: flow.Always, MinAge: time.Minute}
		g.src.Put("a", []byte("old by its own time"), time.Now().Add(-time.Hour)) // copies keep old times
		g.start()
		g.advance(59 * time.Second)
		g.notArrived("a")
		g.advance(2 * time.Second)
		g.arrived("a", "old by its own time")
	})
}

func TestManyFilesShareALook(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.f.Ready = flow.Ready{When: flow.Unchanged, For: 8 * time.Second}
		lists := g.countLists()
		g.start()
		for i := range 100 {
			g.put(flow.Path(strings.Repeat("x", i+1)), "x")
			if err := g.r.Hint("f"); err != nil {
				t.Fatal(err)
			}
			g.advance(100 * time.Millisecond)
		}
		hinted := lists.Load()
		g.advance(30 * time.Second)
		if n := lists.Load() - hinted; n > 12 {
			t.Errorf("%d looks for files that got ready within 10 s want few", n)
		}
		if n := len(g.dst.Names()); n != 100 {
			t.Errorf("%d arrived want 100", n)
		}
	})
}

// countLists counts the listings of the source.
func (g *rig) countLists() *atomic.Int64 {
	var n atomic.Int64
	g.src.Fault = func(op string, _ flow.Path) error {
		if op == "list" {
			n.Add(1)
		}
		return nil
	}
	return &n
}

func TestPollInterval(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		lists := g.countLists()
		g.start()
		g.advance(5*time.Minute + time.Second)
		if n := lists.Load(); n != 11 {
			t.Errorf("got %d polls in 5 min want 11", n)
		}
	})
}

var errDown = fault.New(fault.Unreachable, "reach the server").WithHint("start it")

func TestFailingSource(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		var down atomic.Bool
		lists := 0
		g.src.Fault = func(op string, _ flow.Path) error {
			if op == "list" && down.Load() {
				lists++
				return errDown
			}
			return nil
		}
		g.f.Every = time.Second
		g.f.After.Do = flow.Keep
		g.put("a", "hello")
		g.start()
		g.arrived("a", "hello")
		down.Store(true)
		g.advance(10 * time.Minute)
		if lists > 25 {
			t.Errorf("%d polls of a source that is down for 10 min want fewer", lists)
		}
		s := g.status()
		if !errors.Is(s.PollError, errDown) || s.FailedSince.IsZero() || s.Marks != 1 {
			t.Errorf("got %+v want the error, since when, and the mark", s)
		}
		down.Store(false)
		g.put("b", "again")
		g.advance(time.Minute + time.Second)
		g.arrived("a", "hello") // a listing that failed was not an empty one
		g.arrived("b", "again")
		if s := g.status(); s.PollError != nil || !s.FailedSince.IsZero() {
			t.Errorf("got %v want none", s.PollError)
		}
	})
}

func TestFilter(t *testing.T) {
	bubble(t, func(_ *testing.T, g *rig) {
		g.f.Filter = g.filter("file.size > 3 && file.ext == 'xml'")
		g.put("a.xml", "hello")
		g.put("b.xml", "x")
		g.put("c.txt", "hello")
		g.start()
		g.arrived("a.xml", "hello")
		g.notArrived("b.xml")
		g.notArrived("c.txt")
	})
}

func TestMarks(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	t.Run("kept", func(t *testing.T) {
		bubble(t, func(_ *testing.T, g *rig) {
			g.f.After.Do = flow.Keep
			g.put("a", "hello")
			g.start()
			g.advance(time.Hour)
			g.stop()
			g.start()
			g.advance(time.Hour)
			g.arrived("a", "hello")
			g.put("a", "hello") // touched: another file
			g.f.Sinks[0].Existing = flow.Replace
			g.stop()
			g.start()
			if n := g.dst.Arrivals("a"); n != 2 {
				g.t.Errorf("arrived %d times want 2", n)
			}
		})
	})
	t.Run("end", func(t *testing.T) {
		for _, wait := range []time.Duration{31 * time.Second, 5 * time.Minute} {
			bubble(t, func(t *testing.T, g *rig) {
				g.f.Sinks[0].Existing = flow.Replace
				g.src.Put("a", []byte("hello"), at)
				g.start()
				g.advance(wait) // a poll has seen that it is gone
				g.src.Put("a", []byte("hello"), at)
				g.advance(31 * time.Second)
				if n := g.dst.Arrivals("a"); n != 2 {
					t.Errorf("the same file came twice, %v apart, and arrived %d times", wait, n)
				}
			})
		}
	})
	t.Run("deleteless", func(t *testing.T) {
		bubble(t, func(t *testing.T, g *rig) {
			g.f.Sinks[0].Existing = flow.Replace
			g.src.Put("a", []byte("hello"), at)
			g.src.Fault = func(op string, name flow.Path) error {
				if op == "delete" { // says it did, and did not
					g.src.Put(name, []byte("hello"), at)
					return fault.New(fault.NotFound, "gone")
				}
				return nil
			}
			g.start()
			g.advance(time.Hour)
			g.arrived("a", "hello")
			if n := strings.Count(g.log.String(), "still listed"); n != 1 {
				t.Errorf("warned %d times want once", n)
			}
		})
	})
}

func TestPauseResumePollHint(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		lists := g.countLists()
		g.f.Every = time.Hour
		g.start()
		if err := g.r.Pause("f"); err != nil {
			t.Fatal(err)
		}
		g.put("a", "hello")
		before := lists.Load()
		if err := g.r.Hint("f"); err != nil {
			t.Fatal(err)
		}
		g.advance(3 * time.Hour)
		if lists.Load() != before || !g.status().Paused {
			t.Errorf("a paused flow polled %d times", lists.Load()-before)
		}
		res, err := g.r.PollNow(t.Context(), "f")
		if err != nil || res.Listed != 1 || res.Claimed != 1 {
			t.Errorf("PollNow: got %+v, %v", res, err)
		}
		g.advance(time.Hour)
		g.notArrived("a") // claimed, and waits
		if err := g.r.Resume("f"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		g.arrived("a", "hello")
		g.put("b", "hello")
		if err := g.r.Hint("f"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		g.arrived("b", "hello")
		if err := g.r.Pause("g"); fault.KindOf(err) != fault.NotFound || !strings.Contains(fault.HintOf(err), `"f"`) {
			t.Errorf("unknown flow: got %v, hint %q", err, fault.HintOf(err))
		}
	})
}

// TestClockIsSet lets the clock of the records jump an hour each way.
func TestClockIsSet(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		bubble(t, func(t *testing.T, g *rig) {
			var offset atomic.Int64
			g.now = func() time.Time { return time.Now().Add(time.Duration(offset.Load())).Round(0) }
			g.f.Ready = flow.Ready{When: flow.Unchanged, For: 5 * time.Second}
			g.f.Retry = flow.Retry{First: 10 * time.Second}
			var fail atomic.Bool
			fail.Store(true)
			g.dst.Fault = func(op string, _ flow.Path) error {
				if op == "write" && fail.Load() {
					return errDown
				}
				return nil
			}
			g.put("a", "hello")
			g.start()
			g.advance(time.Second)
			offset.Store(int64(jump))
			if err := g.r.Hint("f"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n := len(g.transfers()); n != 0 {
				t.Errorf("jump %v: claimed after a second want after five", jump)
			}
			g.advance(6 * time.Second) // claimed and failed once
			fail.Store(false)
			g.stop()
			offset.Store(0) // jumps back while it waits, and over a restart
			g.start()
			g.advance(15 * time.Second)
			g.arrived("a", "hello")
		})
	}
}
