package flow_test

import (
	"sync/atomic"
	"testing"
	"time"

	"sallyport.dev/internal/flow"
)

// TestFileReturns: a file that was delivered and deleted comes again just as it was,
// while the end of its mark waits for company, and its second transfer takes long.
// The end of the mark must not take the new transfer along.
func TestFileReturns(t *testing.T) {
	at := time.Date(1999, 5, 5, 5, 5, 5, 0, time.UTC)
	for wait := 31 * time.Second; wait < 4*time.Minute; wait += 30 * time.Second {
		t.Run(wait.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, g *rig) {
				g.f.Sinks[0].Existing = flow.Replace
				var down atomic.Bool
				g.dst.Fault = failing("write", &down)
				g.src.Put("a", []byte("hello"), at)
				g.start()
				g.advance(wait)
				down.Store(true)
				g.src.Put("a", []byte("hello"), at)
				g.advance(3 * time.Minute) // a sweep comes by
				if n := len(g.transfers(flow.Claimed)); n != 1 {
					t.Errorf("the journal holds %d open transfers want the second", n)
				}
				down.Store(false)
				g.advance(10 * time.Minute)
				if n := g.dst.Arrivals("a"); n != 2 {
					t.Errorf("it came twice and arrived %d times", n)
				}
				if s := g.status(); s.Open != 0 || len(g.src.Names()) > 0 {
					t.Errorf("%d transfers are open, the source holds %q", s.Open, g.src.Names())
				}
			})
		})
	}
}
