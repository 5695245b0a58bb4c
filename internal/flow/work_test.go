package flow_test

import (
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/flow/flowtest"
)

// TestPoison: a file that ends the process is found out, and only that one,
// although others are always under way beside it.
func TestPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0)
		for _, n := range []flow.Path{"a", "b", "poison", "x", "y"} {
			w.src.Put(n, []byte(n), time.Now())
		}
		lives := 0
		for {
			life := flowtest.NewLife(0)
			w.src.Fault = func(op string, name flow.Path) error {
				if op == "open" && name == "poison" {
					time.AfterFunc(time.Second/2, func() { life.Kill("the poison") })
				}
				return nil
			}
			f := flow.Flow{
				Name: "f", Sinks: []flow.Delivery{{Sink: w.dst.Sink()}}, Concurrency: 4,
				Ready: flow.Ready{When: flow.Always}, After: flow.After{Do: flow.Delete},
			}
			done := func() bool { return w.open(t) == 0 && len(w.src.Names()) == 1 }
			ok := w.runFrom(t, life, slowSource{&w.src, time.Second}, f, time.Hour, done)
			if lives++; ok || lives > 40 {
				break
			}
		}
		page, err := w.journal.List(t.Context(), flow.Query{States: []flow.State{flow.Failed}})
		if err != nil || len(page.Transfers) != 1 || page.Transfers[0].File.Path != "poison" {
			t.Fatalf("dead letters: got %+v, %v want the poison", page.Transfers, err)
		}
		if len(w.dst.Names()) != 4 {
			t.Errorf("sink holds %q", w.dst.Names())
		}
		t.Logf("found out after %d lives", lives)
	})
}

// TestVersionsTravelInOrder: a newer version of a file waits for the older one, so
// that the older one cannot replace it.
func TestVersionsTravelInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.f.Sinks[0].Existing = flow.Replace
		var down atomic.Bool
		down.Store(true)
		g.dst.Fault = failing("publish", &down)
		g.put("a", "older")
		g.start()
		g.advance(10 * time.Second) // the older one is whole at the sink, and cannot be published
		g.put("a", "newer!")
		g.advance(time.Minute) // so long that a newer one, had it begun, would be tried first
		down.Store(false)
		g.advance(20 * time.Minute)
		if got, _ := g.dst.Get("a"); string(got) != "newer!" {
			t.Errorf("sink: got %q want the newer one", got)
		}
	})
}

// TestClaimWithoutTask: a process that ended between a claim and its task.
func TestClaimWithoutTask(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		if err := (&flow.Runner{}).Pause("f"); err == nil {
			t.Error("paused a flow that is not there")
		}
		g.f.Every = time.Hour
		g.start()
		if err := g.r.Pause("f"); err != nil {
			t.Fatal(err)
		}
		g.put("a", "hello")
		if _, err := g.r.PollNow(t.Context(), "f"); err != nil {
			t.Fatal(err)
		}
		g.stop()
		tasks, err := g.journal.Tasks(t.Context(), "f")
		if err != nil {
			t.Fatal(err)
		}
		task, err := tasks.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := tasks.Done(task); err != nil {
			t.Fatal(err)
		}
		g.start()
		g.arrived("a", "hello")
	})
}

// deafJournal counts heartbeats and loses them.
type deafJournal struct {
	*flowtest.Journal
	beats *atomic.Int64
}

func (j deafJournal) Tasks(ctx context.Context, name string) (flow.Tasks, error) {
	ts, err := j.Journal.Tasks(ctx, name)
	return deafTasks{ts, j.beats}, err
}

type deafTasks struct {
	flow.Tasks
	beats *atomic.Int64
}

func (d deafTasks) Next(ctx context.Context) (flow.Task, error) {
	task, err := d.Tasks.Next(ctx)
	return deafTask{task, d.beats}, err
}

type deafTask struct {
	flow.Task
	beats *atomic.Int64
}

func (d deafTask) InProgress() error {
	d.beats.Add(1)
	return fault.New(fault.TimedOut, "nobody hears")
}

// slowSource makes reading take time.
type slowSource struct {
	*flowtest.Folder
	each time.Duration
}

func (s slowSource) Open(ctx context.Context, f flow.File) (io.ReadCloser, error) {
	body, err := s.Folder.Open(ctx, f)
	if err != nil {
		return nil, err
	}
	return slowBody{ctx, body, s.each}, nil
}

type slowBody struct {
	ctx context.Context
	io.ReadCloser
	each time.Duration
}

func (s slowBody) Read(p []byte) (int, error) {
	select {
	case <-time.After(s.each):
		return s.ReadCloser.Read(p[:min(len(p), 100)])
	case <-s.ctx.Done():
		return 0, context.Cause(s.ctx)
	}
}

// TestLongTransfer takes far longer than a task may be silent. It is heartened all
// the while; and as every heartbeat gets lost, its task comes again, which begins no
// second attempt.
func TestLongTransfer(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.f.Source = slowSource{&g.src, time.Minute}
		data := strings.Repeat("x", 1000)
		g.put("a", data)
		var beats atomic.Int64
		g.r = &flow.Runner{Journal: deafJournal{&g.journal, &beats}, Flows: []flow.Flow{g.f}}
		ctx, cancel := context.WithCancel(t.Context())
		g.cancel, g.ended = cancel, make(chan error, 1)
		go func() { g.ended <- g.r.Run(ctx) }()
		g.advance(5 * time.Minute)
		if n := beats.Load(); n < 29 {
			t.Errorf("heartened %d times in 5 min want every 10 s", n)
		}
		if s := g.status(); len(s.Active) != 1 || s.Active[0].Bytes == 0 {
			t.Errorf("status: got %+v", s.Active)
		}
		g.advance(10 * time.Minute)
		g.arrived("a", data)
		if d := g.done(); len(d) != 1 || d[0].Begun != 1 {
			t.Errorf("got %+v want one, in one attempt", d)
		}
	})
}

func TestStop(t *testing.T) {
	for _, tt := range []struct {
		name string
		each time.Duration
	}{{"within-grace", time.Second}, {"beyond-grace", time.Hour}} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *rig) {
				g.f.Source = slowSource{&g.src, tt.each}
				g.put("a", "hello")
				g.start()
				began := time.Now()
				g.stop()
				if took := time.Since(began); took > 11*time.Second {
					t.Errorf("the stop took %v", took)
				}
				if tt.each < time.Minute {
					g.arrived("a", "hello")
					return
				}
				g.notArrived("a")
				x := g.transfers(flow.Claimed)
				if len(x) != 1 || x[0].Fails != 0 || x[0].Deaths != 0 || x[0].Running {
					t.Fatalf("got %+v want one that is nobody's failure", x)
				}
				g.f.Source = &g.src
				g.start()
				g.advance(time.Second)
				g.arrived("a", "hello")
				if n := leftovers(g.dst.Names()); len(n) > 0 {
					t.Errorf("left at the sink: %q", n)
				}
			})
		})
	}
}

// TestJournalFails lets every write of the journal fail now and then.
func TestJournalFails(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		j := &failingJournal{Journal: &g.journal}
		for i := range 20 {
			g.put(flow.Path(strings.Repeat("n", i+1)), "hello")
		}
		g.r = &flow.Runner{Journal: j, Flows: []flow.Flow{g.f}}
		ctx, cancel := context.WithCancel(t.Context())
		g.cancel, g.ended = cancel, make(chan error, 1)
		go func() { g.ended <- g.r.Run(ctx) }()
		g.advance(10 * time.Minute)
		for i := range 20 {
			g.arrived(flow.Path(strings.Repeat("n", i+1)), "hello")
		}
		if n := len(g.transfers(flow.Failed, flow.Claimed, flow.Intent, flow.Delivered)); n > 0 || len(g.src.Names()) > 0 {
			t.Errorf("%d transfers are not done, the source holds %q", n, g.src.Names())
		}
		if j.failed.Load() < 10 {
			t.Errorf("only %d writes failed", j.failed.Load())
		}
	})
}

// failingJournal fails every third update: without effect, or after it.
type failingJournal struct {
	*flowtest.Journal
	n, failed atomic.Int64
}

func (j *failingJournal) Update(ctx context.Context, t *flow.Transfer) error {
	n := j.n.Add(1)
	if n%3 != 0 {
		return j.Journal.Update(ctx, t)
	}
	j.failed.Add(1)
	if n%2 == 0 {
		if err := j.Journal.Update(ctx, t); err != nil {
			return err
		}
	}
	return fault.New(fault.TimedOut, "no answer")
}

// TestJournalFailsInTheMiddle: attempts that cannot be written down are no deaths of
// the process, however many there are.
func TestJournalFailsInTheMiddle(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		var full atomic.Bool
		full.Store(true)
		g.put("a", "hello")
		g.r = &flow.Runner{Journal: fullJournal{&g.journal, &full}, Flows: []flow.Flow{g.f}}
		ctx, cancel := context.WithCancel(t.Context())
		g.cancel, g.ended = cancel, make(chan error, 1)
		go func() { g.ended <- g.r.Run(ctx) }()
		g.advance(10 * time.Minute)
		g.notArrived("a")
		full.Store(false)
		g.advance(time.Minute)
		g.arrived("a", "hello")
		if n := leftovers(g.dst.Names()); len(n) > 0 {
			t.Errorf("left at the sink: %q", n)
		}
	})
}

// fullJournal takes no intents while it is full.
type fullJournal struct {
	*flowtest.Journal
	full *atomic.Bool
}

func (j fullJournal) Update(ctx context.Context, t *flow.Transfer) error {
	if t.State == flow.Intent && j.full.Load() {
		return fault.New(fault.Full, "no room")
	}
	return j.Journal.Update(ctx, t)
}
