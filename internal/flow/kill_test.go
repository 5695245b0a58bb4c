package flow_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/expr"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/flow/flowtest"
)

// world is what outlives a process: source, sinks and journal.
type world struct {
	journal  flowtest.Journal
	src      flowtest.Folder
	dst, two flowtest.Folder
	want     map[flow.Path][]byte
	taken    map[flow.Path][]byte // from dst
}

func newWorld(files int) *world {
	w := &world{want: make(map[flow.Path][]byte)}
	w.src.Name, w.dst.Name, w.two.Name = "src", "dst", "two"
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range files {
		data := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, rng.IntN(20_000))
		p := flow.Path(fmt.Sprintf("file %d.xml", i))
		w.want[p] = data
		w.src.Put(p, data, time.Now().Add(-time.Hour))
	}
	return w
}

// run runs a process over the world until it dies or done says so, and reports
// whether it is done.
func (w *world) run(t *testing.T, life *flowtest.Life, f flow.Flow, limit time.Duration, done func() bool) bool {
	t.Helper()
	return w.runFrom(t, life, &w.src, f, limit, done)
}

// runFrom is run with another view of the source.
func (w *world) runFrom(t *testing.T, life *flowtest.Life, src flow.Source, f flow.Flow, limit time.Duration, done func() bool) bool {
	t.Helper()
	var log logBuffer
	f.Source = life.Source(src)
	f.Sinks = append([]flow.Delivery(nil), f.Sinks...)
	for i := range f.Sinks {
		f.Sinks[i].Sink = life.Sink(f.Sinks[i].Sink)
	}
	r := flow.Runner{Journal: life.Journal(&w.journal), Flows: []flow.Flow{f}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	deadline := time.After(limit)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	ok := false
wait:
	for {
		select {
		case <-life.Over():
			break wait
		case <-tick.C:
			if ok = done(); ok {
				break wait
			}
		case <-deadline:
			t.Errorf("not done after %v; log:\n%s", limit, log.String())
			break wait
		}
	}
	cancel()
	if err := <-ended; err != nil && life.At() == "" {
		t.Errorf("Run: %v", err)
	}
	return ok
}

func (w *world) open(t *testing.T) int {
	t.Helper()
	page, err := w.journal.List(context.WithoutCancel(t.Context()), flow.Query{Limit: flow.MaxPage})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := range page.Transfers {
		if page.Transfers[i].Open() {
			n++
		}
	}
	return n
}

// consume takes delivered files away from the sink, as those do for whom they are
// meant. A file that was renamed and could not be recorded is left: nobody could
// know of it.
func (w *world) consume(t *testing.T, after flow.Action, endedAt string) {
	t.Helper()
	record := "before update delivered"
	if after == flow.Keep {
		record = "before update done" // one write says both
	}
	if strings.HasSuffix(endedAt, "after publish") || strings.HasSuffix(endedAt, record) {
		return
	}
	w.taken = make(map[flow.Path][]byte)
	for p := range w.want {
		if data, ok := w.dst.Get(p); ok {
			w.taken[p] = data
			w.dst.Remove(p)
		}
	}
}

// restore lets verify see what was taken.
func (w *world) restore() {
	for p, data := range w.taken {
		w.dst.Put(p, data, time.Now())
	}
}

func template(t *testing.T, s string) *expr.Template {
	t.Helper()
	tmpl, err := expr.ParseTemplate(s)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

// finished reports whether every file is where it belongs.
func (w *world) finished(t *testing.T, after flow.Action) bool {
	if w.open(t) > 0 {
		return false
	}
	for p := range w.want {
		if w.dst.Arrivals(p) == 0 && w.two.Arrivals(p) == 0 {
			return false
		}
		if _, there := w.src.Get(p); there && after != flow.Keep {
			return false
		}
	}
	return true
}

// verify holds the world to the promise: each file once under its final name,
// whole, the source seen to, and nothing left over.
func (w *world) verify(t *testing.T, after flow.Action, sinks ...*flowtest.Folder) {
	t.Helper()
	for _, d := range sinks {
		for p, data := range w.want {
			if got, _ := d.Get(p); !bytes.Equal(got, data) {
				t.Errorf("%s %q: got %d bytes want %d", d.Name, p, len(got), len(data))
			}
			if n := d.Arrivals(p); n != 1 {
				t.Errorf("%s %q: arrived %d times", d.Name, p, n)
			}
		}
		if got := len(d.Names()); got != len(w.want) {
			t.Errorf("%s holds %q, want %d files", d.Name, d.Names(), len(w.want))
		}
	}
	for p, data := range w.want {
		_, there := w.src.Get(p)
		moved, _ := w.src.Get("archive/" + p)
		switch {
		case there != (after == flow.Keep):
			t.Errorf("source has %q: %v after %v", p, there, after)
		case after == flow.Move && !bytes.Equal(moved, data):
			t.Errorf("archive of %q: got %d bytes want %d", p, len(moved), len(data))
		}
	}
	if n := w.open(t); n > 0 {
		t.Errorf("%d transfers are open", n)
	}
}

// TestKilledAtEveryStep ends the process at each step it takes, one after the
// other, and lets the next one finish.
func TestKilledAtEveryStep(t *testing.T) {
	for _, after := range []flow.Action{flow.Keep, flow.Delete, flow.Move} {
		for _, existing := range []flow.Existing{flow.Fail, flow.Replace} {
			for _, kind := range []string{"hash", "nohash", "twosinks", "consumed"} {
				if existing == flow.Fail && kind == "twosinks" || existing == flow.Replace && kind == "nohash" {
					continue // nothing that the others do not show
				}
				t.Run(fmt.Sprintf("%v-%v-%s", after, existing, kind), func(t *testing.T) {
					steps := killRun(t, after, existing, kind, 0)
					for end := 1; end <= steps && !t.Failed(); end++ {
						killRun(t, after, existing, kind, end)
					}
					t.Logf("killed at each of %d steps", steps)
				})
			}
		}
	}
}

// killRun carries two files, with a first process that ends at a step, and returns
// the steps of the first.
func killRun(t *testing.T, after flow.Action, existing flow.Existing, kind string, end int) (steps int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(2)
		w.dst.NoHash = kind == "nohash"
		f := flow.Flow{
			Name: "f", Concurrency: 1, Every: 30 * time.Second,
			Sinks: []flow.Delivery{{Sink: w.dst.Sink(), Existing: existing}},
			After: flow.After{Do: after, To: template(t, "archive/${file.name}")},
		}
		folders := []*flowtest.Folder{&w.dst}
		if kind == "twosinks" {
			f.Sinks = append(f.Sinks, flow.Delivery{Sink: w.two.Sink(), Existing: existing})
			folders = append(folders, &w.two)
		}
		if after == flow.Move {
			filter, err := expr.ParseFilter("file.dir == ''")
			if err != nil {
				t.Fatal(err)
			}
			f.Filter = filter
		}
		// One poll more than is needed shows that nothing travels again.
		polls := 0
		done := func() bool {
			if w.finished(t, after) {
				polls++
			}
			return polls > 35
		}
		first := flowtest.NewLife(end)
		ok := w.run(t, first, f, 10*time.Minute, done)
		if !ok && end > 0 {
			polls = 0
			if kind == "consumed" {
				w.consume(t, after, first.At())
			}
			w.run(t, flowtest.NewLife(0), f, 10*time.Minute, done)
		}
		w.restore()
		w.verify(t, after, folders...)
		if t.Failed() {
			t.Logf("the first process ended at %s", first.At())
		}
		steps = first.Steps()
	})
	return steps
}

// TestKilledOften ends processes at random steps, again and again, over many files
// at once.
func TestKilledOften(t *testing.T) {
	for seed := range uint64(12) {
		after := []flow.Action{flow.Keep, flow.Delete, flow.Move}[seed%3]
		t.Run(fmt.Sprintf("seed%d-%v", seed, after), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 7))
				w := newWorld(50)
				w.dst.NoHash = seed%2 == 0
				filter, err := expr.ParseFilter("file.dir == ''")
				if err != nil {
					t.Fatal(err)
				}
				f := flow.Flow{
					Name: "f", Concurrency: 1 + int(seed%2)*7, Filter: filter,
					Sinks: []flow.Delivery{{Sink: w.dst.Sink(), Existing: flow.Fail}},
					After: flow.After{Do: after, To: template(t, "archive/${file.name}")},
				}
				done := func() bool { return w.finished(t, after) }
				lives, ok := 0, false
				for !ok && lives < 60 && !t.Failed() {
					lives++
					ok = w.run(t, flowtest.NewLife(1+rng.IntN(600)), f, time.Hour, done)
				}
				if !ok {
					w.run(t, flowtest.NewLife(0), f, time.Hour, done)
				}
				w.verify(t, after, &w.dst)
				t.Logf("%d lives", lives)
			})
		})
	}
}

// leftovers are temporary names among names.
func leftovers(names []flow.Path) (out []flow.Path) {
	for _, n := range names {
		if n.Temporary() || strings.HasSuffix(string(n), ".part") {
			out = append(out, n)
		}
	}
	return out
}
