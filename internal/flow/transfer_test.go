package flow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/flow/flowtest"
)

// failing makes an operation fail while the flag is set.
func failing(op string, on *atomic.Bool) func(string, flow.Path) error {
	return func(o string, _ flow.Path) error {
		if o == op && on.Load() {
			return errDown
		}
		return nil
	}
}

func TestRetriesWaitLongerEachTime(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		var tries []time.Time
		g.dst.Fault = func(op string, _ flow.Path) error {
			if op == "write" {
				tries = append(tries, time.Now())
				return errDown
			}
			return nil
		}
		g.f.Retry = flow.Retry{Attempts: 6, First: time.Second, Max: 10 * time.Second}
		g.put("a", "hello")
		g.start()
		g.advance(10 * time.Minute)
		if len(tries) != 6 {
			t.Fatalf("tried %d times want 6", len(tries))
		}
		for i, want := range []time.Duration{1, 2, 4, 8, 10} {
			want *= time.Second
			if got := tries[i+1].Sub(tries[i]); got < want*4/5 || got > want*6/5 {
				t.Errorf("wait %d: got %v want about %v", i+1, got, want)
			}
		}
		d := g.dead()
		if len(d.Log) != 6 || d.FailedIn != flow.Claimed || !strings.Contains(d.LastError(), "reach the server") ||
			d.Log[5].Hint != "start it" || d.Log[5].Kind != "unreachable" {
			t.Errorf("dead letter: got %+v", d)
		}
		if n := leftovers(g.dst.Names()); len(n) > 0 {
			t.Errorf("left at the sink: %q", n)
		}
		if _, there := g.src.Get("a"); !there {
			t.Error("the source has lost a file that was not delivered")
		}
		if s := g.status(); s.Dead != 1 || s.Failed != 1 || s.Retries != 5 || s.Open != 0 {
			t.Errorf("status: got %+v", s)
		}
	})
}

func TestSinkDownForTenMinutes(t *testing.T) {
	bubble(t, func(_ *testing.T, g *rig) {
		var down atomic.Bool
		down.Store(true)
		g.dst.Fault = failing("write", &down)
		g.put("a", "hello")
		g.start()
		g.advance(10 * time.Minute)
		down.Store(false)
		g.advance(11 * time.Minute)
		g.arrived("a", "hello")
	})
}

func TestRetryAndDiscardByHand(t *testing.T) {
	for _, op := range []string{"write", "publish", "delete"} {
		t.Run(op, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *rig) {
				var down atomic.Bool
				down.Store(true)
				g.dst.Fault = failing(op, &down)
				g.src.Fault = failing(op, &down)
				g.f.Retry.Attempts = 1
				g.put("a", "hello")
				g.start()
				id := g.dead().ID
				g.advance(time.Hour)
				g.stop()
				g.start() // a dead letter stays one
				g.advance(time.Hour)
				down.Store(false)
				if err := g.r.Retry(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				g.arrived("a", "hello")
				if _, there := g.src.Get("a"); there {
					t.Error("it is still at the source")
				}
				if err := g.r.Retry(t.Context(), id); fault.KindOf(err) != fault.Invalid {
					t.Errorf("retry of what is done: got %v want invalid", err)
				}
			})
		})
	}
	t.Run("discard", func(t *testing.T) {
		bubble(t, func(t *testing.T, g *rig) {
			var down atomic.Bool
			down.Store(true)
			g.dst.Fault = failing("write", &down)
			g.f.Retry.Attempts = 1
			g.put("a", "hello")
			g.start()
			if err := g.r.Discard(t.Context(), g.dead().ID); err != nil {
				t.Fatal(err)
			}
			down.Store(false)
			g.advance(time.Hour)
			g.notArrived("a")
			g.put("a", "changed")
			g.advance(time.Minute)
			g.arrived("a", "changed")
			if err := g.r.Discard(t.Context(), "f.absent"); fault.KindOf(err) != fault.NotFound {
				t.Errorf("got %v want not-found", err)
			}
		})
	})
}

func TestExisting(t *testing.T) {
	for _, e := range []flow.Existing{flow.Fail, flow.Replace, flow.Ignore} {
		t.Run(e.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, g *rig) {
				g.f.Sinks[0].Existing = e
				g.dst.Put("a", []byte("theirs"), time.Now())
				g.put("a", "ours")
				g.start()
				g.advance(time.Minute)
				_, atSource := g.src.Get("a")
				want := map[flow.Existing]string{flow.Fail: "theirs", flow.Replace: "ours", flow.Ignore: "theirs"}[e]
				if got, _ := g.dst.Get("a"); string(got) != want || atSource != (e == flow.Fail) {
					t.Errorf("got %q, at source %v", got, atSource)
				}
				if e != flow.Fail {
					return
				}
				d := g.dead()
				if d.Begun != 1 || !strings.Contains(d.Log[0].Hint, "existing: replace") {
					t.Errorf("got %d attempts, hint %q want one and what to do", d.Begun, d.Log[0].Hint)
				}
			})
		})
	}
}

// TestNameIsTakenMeanwhile: what decides is the rename, not the look before it.
func TestNameIsTakenMeanwhile(t *testing.T) {
	for _, e := range []flow.Existing{flow.Fail, flow.Ignore} {
		bubble(t, func(t *testing.T, g *rig) {
			g.f.Sinks[0].Existing = e
			g.dst.Fault = func(op string, name flow.Path) error {
				if op == "publish" {
					g.dst.Put(name, []byte("theirs"), time.Now())
				}
				return nil
			}
			g.put("a", "ours")
			g.start()
			if got, _ := g.dst.Get("a"); string(got) != "theirs" {
				t.Errorf("%v: got %q", e, got)
			}
			if n := leftovers(g.dst.Names()); e == flow.Ignore && len(n) > 0 {
				t.Errorf("left at the sink: %q", n)
			}
		})
	}
}

func TestSourceChanges(t *testing.T) {
	for _, at := range []string{"open", "read", "publish"} {
		t.Run(at, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *rig) {
				g.f.Sinks[0].Existing = flow.Replace
				once := false
				change := func(op string, _ flow.Path) error {
					if op == at && !once {
						once = true
						g.src.Put("a", []byte("NEWER"), time.Now().Add(time.Second)) // the size stays
					}
					return nil
				}
				g.src.Fault, g.dst.Fault = change, change
				g.put("a", "older")
				g.start()
				g.advance(2 * time.Minute)
				if got, _ := g.dst.Get("a"); string(got) != "NEWER" {
					t.Errorf("sink: got %q want the newer file", got)
				}
				want := 1
				if at == "publish" {
					want = 2 // the older one was whole, and delivered
				}
				if n := g.dst.Arrivals("a"); n != want {
					t.Errorf("arrived %d times want %d", n, want)
				}
				if _, there := g.src.Get("a"); there {
					t.Error("the newer one is still at the source")
				}
			})
		})
	}
}

func TestSourceGoes(t *testing.T) {
	for _, at := range []string{"open", "publish"} {
		t.Run(at, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *rig) {
				gone := func(op string, _ flow.Path) error {
					if op == at {
						g.src.Remove("a")
					}
					return nil
				}
				g.src.Fault, g.dst.Fault = gone, gone
				g.put("a", "hello")
				g.start()
				g.advance(time.Minute)
				if at == "publish" {
					g.arrived("a", "hello")
				} else {
					g.notArrived("a")
				}
				if n := len(g.transfers(flow.Failed, flow.Claimed, flow.Intent, flow.Delivered)); n > 0 {
					t.Errorf("%d transfers are not done", n)
				}
			})
		})
	}
}

// TestShortRead: a body that ends early, of a file that has not changed, is no file.
func TestShortRead(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		var short atomic.Bool
		short.Store(true)
		g.f.Source = shortSource{&g.src, &short}
		g.put("a", "hello")
		g.start()
		g.advance(time.Second)
		g.notArrived("a")
		short.Store(false)
		g.advance(10 * time.Minute)
		g.arrived("a", "hello")
	})
}

type shortSource struct {
	*flowtest.Folder
	short *atomic.Bool
}

func (s shortSource) Open(ctx context.Context, f flow.File) (io.ReadCloser, error) {
	body, err := s.Folder.Open(ctx, f)
	if err != nil || !s.short.Load() {
		return body, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(body, 2), body}, nil
}

func TestTwoSinksAndSteps(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.f.Steps = []flow.Step{func(_ context.Context, _ flow.File, r io.Reader) (io.Reader, error) {
			return io.MultiReader(strings.NewReader("<"), r, strings.NewReader(">")), nil
		}}
		g.f.Sinks = append(g.f.Sinks, flow.Delivery{Sink: g.two.Sink(), Name: template(t, "copy/${file.stem}-${flow}.${file.ext}")})
		var down atomic.Bool
		down.Store(true)
		g.two.Fault = failing("write", &down)
		body := strings.Repeat("0123456789", 100_000)
		g.put("a.xml", body)
		g.start()
		g.advance(time.Second)
		g.notArrived("a.xml") // neither gets it before both have it
		down.Store(false)
		g.advance(10 * time.Minute)
		g.arrived("a.xml", "<"+body+">")
		if got, _ := g.two.Get("copy/a-f.xml"); string(got) != "<"+body+">" {
			t.Errorf("second sink: got %d bytes", len(got))
		}
	})
}

func TestNamesThatCannotBe(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.f.Sinks[0].Name = template(t, "${file.name == 'up' ? '../../etc/passwd' : file.name == 'abs' ? '/etc/passwd' : file.name}")
		for _, n := range []flow.Path{"up", "abs", "fine"} {
			g.put(n, "hello")
		}
		g.start()
		g.arrived("fine", "hello")
		dead := g.transfers(flow.Failed)
		if len(dead) != 2 {
			t.Fatalf("got %d dead letters want 2", len(dead))
		}
		for _, d := range dead {
			if d.Log[0].Kind != "invalid" || d.Log[0].Hint == "" {
				t.Errorf("%q: got %+v", d.File.Path, d.Log)
			}
		}
		g.advance(time.Hour)
		if n := len(g.dst.Names()); n != 1 {
			t.Errorf("sink holds %q", g.dst.Names())
		}
	})
}

func TestArchiveIsNotReplaced(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.f.Filter = g.filter("file.dir == ''")
		g.f.After = flow.After{Do: flow.Move, To: template(t, "archive/${file.name}")}
		g.f.Sinks[0].Existing = flow.Replace
		g.src.Put("archive/a", []byte("older"), time.Now())
		g.put("a", "newer")
		g.start()
		var archived []string
		for _, n := range g.src.Names() {
			b, _ := g.src.Get(n)
			archived = append(archived, string(b))
		}
		if diff := cmp.Diff([]string{"older", "newer"}, archived); diff != "" {
			t.Errorf("archive: %s", diff)
		}
	})
}

// TestDocumentChanges: a transfer outlives a change of its flow's sinks.
func TestDocumentChanges(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		var down atomic.Bool
		down.Store(true)
		g.dst.Fault = failing("publish", &down)
		g.put("a", "hello")
		g.start()
		g.stop()
		g.f.Sinks = []flow.Delivery{{Sink: g.two.Sink(), Name: template(t, "new/${file.name}")}, {Sink: g.two.Sink()}}
		g.start()
		g.advance(time.Minute)
		for _, n := range []flow.Path{"new/a", "a"} {
			if got, _ := g.two.Get(n); string(got) != "hello" {
				t.Errorf("%q: got %q", n, got)
			}
		}
		g.stop()
		g.put("b", "theirs")
		other := flowtest.Folder{Name: "other"}
		g.f.Source = &other
		g.start()
		g.advance(time.Minute)
		if got, _ := g.src.Get("b"); string(got) != "theirs" {
			t.Errorf("a source that is no longer the flow's was touched")
		}
	})
}

func TestFlowsAreChecked(t *testing.T) {
	var d flowtest.Folder
	good := flow.Flow{Name: "f", Source: &d, Sinks: []flow.Delivery{{Sink: d.Sink()}}}
	for name, spoil := range map[string]func(*flow.Flow){
		"name":     func(f *flow.Flow) { f.Name = "" },
		"source":   func(f *flow.Flow) { f.Source = nil },
		"sinks":    func(f *flow.Flow) { f.Sinks = nil },
		"sink":     func(f *flow.Flow) { f.Sinks = []flow.Delivery{{}} },
		"negative": func(f *flow.Flow) { f.Every = -1 },
		"move":     func(f *flow.Flow) { f.After.Do = flow.Move },
	} {
		f := good
		spoil(&f)
		r := flow.Runner{Journal: &flowtest.Journal{}, Flows: []flow.Flow{f}}
		if err := r.Run(t.Context()); fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
			t.Errorf("%s: got %v want invalid, with a hint", name, err)
		}
	}
	twice := flow.Runner{Journal: &flowtest.Journal{}, Flows: []flow.Flow{good, good}}
	if err := twice.Run(t.Context()); fault.KindOf(err) != fault.Invalid {
		t.Errorf("two of one name: got %v want invalid", err)
	}
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"a", "a/b.xml", "../a", "a/../b", "/a", "a//b", "./a", "a/", "\x00", "a\r\nb", "\xff", ".sallyport-1.part", strings.Repeat("x", 256)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := flow.ParsePath(s)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid || p != "" {
				t.Fatalf("%q: got %q, %v", s, p, err)
			}
			return
		}
		again, err := flow.ParsePath(string(p))
		if err != nil || again != p {
			t.Fatalf("%q: %q does not parse to itself: %q, %v", s, p, again, err)
		}
		for e := range strings.SplitSeq(string(p), "/") {
			if e == "" || e == "." || e == ".." {
				t.Fatalf("%q: element %q in %q", s, e, p)
			}
		}
		b, err := json.Marshal(p)
		var back flow.Path
		if err != nil || json.Unmarshal(b, &back) != nil || !bytes.Equal([]byte(back), []byte(p)) {
			t.Fatalf("%q: JSON %s gives %q back", p, b, back)
		}
	})
}
