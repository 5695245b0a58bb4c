package flow_test

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/flow/flowtest"
)

// moments are the operations of a transfer, in order, at the beginning of which
// something may happen to the file at the source. What happens between the last
// look and the deletion cannot be helped: no protocol deletes a file only if it is
// still the same.
var moments = []struct {
	op    string
	times int // at the n-th time
}{
	{"open", 1}, {"read", 1}, {"write", 1}, {"unchanged", 1}, {"publish", 1}, {"unchanged", 2},
}

// changes are what may happen to it. The file was put at changedAt.
var (
	changedAt = time.Date(1999, 5, 5, 5, 5, 5, 0, time.UTC)
	changes   = []struct {
		name, newer string
		at          time.Time
	}{
		{"same-size", "NEWER", changedAt.Add(time.Second)},
		{"same-time", "newer and longer", changedAt},
		{"older-time", "newer?", changedAt.Add(-time.Hour)},
		{"empty", "", changedAt.Add(time.Second)},
	}
)

// TestSourceChangesAtAnyMoment: a file that is replaced while its older version is
// carried survives at the source, and travels as a transfer of its own. Of the older
// one nothing but the whole is ever delivered.
func TestSourceChangesAtAnyMoment(t *testing.T) {
	for _, after := range []flow.Action{flow.Delete, flow.Move, flow.Keep} {
		for _, m := range moments {
			for _, c := range changes {
				if after == flow.Keep && m.op == "unchanged" && m.times == 2 {
					continue // a file that is kept is looked at once
				}
				t.Run(fmt.Sprintf("%v-%s%d-%s", after, m.op, m.times, c.name), func(t *testing.T) {
					bubble(t, func(t *testing.T, g *rig) {
						var seen []string
						g.f.Sinks[0].Existing = flow.Replace
						g.f.After = flow.After{Do: after, To: template(t, "archive/${file.name}")}
						g.f.Filter = g.filter("file.dir == ''")
						n := 0
						change := func(op string, name flow.Path) error {
							if op == "publish" {
								if b, ok := g.dst.Get("a"); ok {
									seen = append(seen, string(b)) // of the delivery before
								}
							}
							if op != m.op {
								return nil
							}
							if n++; n == m.times {
								g.src.Put("a", []byte(c.newer), c.at)
							}
							return nil
						}
						g.src.Fault, g.dst.Fault = change, change
						g.src.Put("a", []byte("older"), changedAt)
						g.start()
						g.advance(5 * time.Minute)
						got, _ := g.dst.Get("a")
						for _, s := range append(seen, string(got)) {
							if s != "older" && s != c.newer {
								t.Errorf("the sink had %q", s)
							}
						}
						if string(got) != c.newer {
							t.Errorf("sink: got %q want the newer file", got)
						}
						if k := g.dst.Arrivals("a"); k > 2 {
							t.Errorf("arrived %d times want at most once each", k)
						}
						if _, there := g.src.Get("a"); there != (after == flow.Keep) {
							t.Errorf("at the source: %v after %v", there, after)
						}
						if after == flow.Move {
							if b, _ := g.src.Get("archive/a"); string(b) != c.newer {
								t.Errorf("archive: got %q want the newer file", b)
							}
						}
						if open := g.transfers(flow.Failed, flow.Claimed, flow.Intent, flow.Delivered); len(open) > 0 {
							t.Errorf("not done: %+v", open)
						}
					})
				})
			}
		}
	}
}

// TestSourceGoesAtAnyMoment: a file that somebody else takes away is delivered whole
// or not at all, and is no failure.
func TestSourceGoesAtAnyMoment(t *testing.T) {
	for _, m := range moments {
		t.Run(fmt.Sprintf("%s%d", m.op, m.times), func(t *testing.T) {
			bubble(t, func(t *testing.T, g *rig) {
				n := 0
				gone := func(op string, _ flow.Path) error {
					if op == m.op {
						if n++; n == m.times {
							g.src.Remove("a")
						}
					}
					return nil
				}
				g.src.Fault, g.dst.Fault = gone, gone
				g.put("a", "hello")
				g.start()
				g.advance(5 * time.Minute)
				if b, there := g.dst.Get("a"); there && string(b) != "hello" {
					t.Errorf("sink: got %q", b)
				}
				if open := g.transfers(flow.Failed, flow.Claimed, flow.Intent, flow.Delivered); len(open) > 0 {
					t.Errorf("not done: %+v", open)
				}
				if left := leftovers(g.dst.Names()); len(left) > 0 {
					t.Errorf("left at the sink: %q", left)
				}
			})
		})
	}
}

// TestListingLies: a source that lists nothing once, by mistake, or half of what it
// has. Nothing that was carried is carried again.
func TestListingLies(t *testing.T) {
	for _, lie := range []string{"empty", "breaks-off"} {
		t.Run(lie, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *rig) {
				g.f.After.Do = flow.Keep
				src := &lyingSource{Folder: &g.src}
				g.f.Source = src
				g.put("a", "hello")
				g.put("b", "world")
				g.start()
				g.advance(time.Minute)
				src.lie.Store(&lie)
				g.advance(time.Minute)
				src.lie.Store(nil)
				g.advance(10 * time.Minute)
				g.arrived("a", "hello")
				g.arrived("b", "world")
			})
		})
	}
}

// lyingSource lists nothing, or breaks its listing off, while lie says so.
type lyingSource struct {
	*flowtest.Folder
	lie atomic.Pointer[string]
}

func (s *lyingSource) List(ctx context.Context) iter.Seq2[flow.File, error] {
	lie := s.lie.Load()
	return func(yield func(flow.File, error) bool) {
		for f, err := range s.Folder.List(ctx) {
			if lie != nil && *lie == "empty" {
				return
			}
			if !yield(f, err) {
				return
			}
			if lie != nil {
				yield(flow.File{}, fault.New(fault.Unreachable, "the listing broke off"))
				return
			}
		}
	}
}
