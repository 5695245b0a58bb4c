package flow_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/expr"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/flow/flowtest"
)

// rig is a world and a runner at work in it, in a bubble of fake time.
type rig struct {
	*world
	t   *testing.T
	f   flow.Flow
	now func() time.Time
	r   *flow.Runner
	log *logBuffer

	cancel context.CancelFunc
	ended  chan error
}

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu sync.Mutex // guards the following
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// bubble runs a test in fake time over a fresh rig, whose flow deletes what it has
// delivered and takes files at first sight.
func bubble(t *testing.T, run func(t *testing.T, g *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := &rig{world: newWorld(0), t: t, log: &logBuffer{}}
		g.f = flow.Flow{
			Name: "f", Source: &g.src, Sinks: []flow.Delivery{{Sink: g.dst.Sink()}},
			Ready: flow.Ready{When: flow.Always}, After: flow.After{Do: flow.Delete}, Every: 30 * time.Second,
		}
		defer func() {
			if g.cancel != nil {
				g.stop()
			}
			if t.Failed() {
				t.Log(g.log.String())
			}
		}()
		run(t, g)
	})
}

func (g *rig) start() {
	g.t.Helper()
	g.r = &flow.Runner{Journal: &g.journal, Flows: []flow.Flow{g.f}, Now: g.now, Logger: slog.New(slog.NewTextHandler(g.log, nil))}
	ctx, cancel := context.WithCancel(g.t.Context())
	g.cancel, g.ended = cancel, make(chan error, 1)
	r, ended := g.r, g.ended
	go func() { ended <- r.Run(ctx) }()
	synctest.Wait()
}

func (g *rig) stop() {
	g.t.Helper()
	g.cancel()
	g.cancel = nil
	if err := <-g.ended; err != nil {
		g.t.Errorf("Run: %v", err)
	}
}

// advance lets time pass.
func (g *rig) advance(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (g *rig) put(name flow.Path, data string) { g.src.Put(name, []byte(data), time.Now()) }

// arrived checks that the sink has a file, given its name once.
func (g *rig) arrived(name flow.Path, want string) {
	g.t.Helper()
	if got, ok := g.dst.Get(name); !ok || string(got) != want {
		g.t.Errorf("sink %q: got %.60q, %v want %.60q", name, got, ok, want)
	}
	if n := g.dst.Arrivals(name); n != 1 {
		g.t.Errorf("sink %q: arrived %d times", name, n)
	}
}

func (g *rig) notArrived(name flow.Path) {
	g.t.Helper()
	if n := g.dst.Arrivals(name); n != 0 {
		g.t.Errorf("sink %q: arrived %d times want none", name, n)
	}
}

func (g *rig) status() flow.Status { return g.r.Snapshot()[0] }

// transfers lists the journal.
func (g *rig) transfers(states ...flow.State) []flow.Transfer {
	g.t.Helper()
	p, err := g.journal.List(context.WithoutCancel(g.t.Context()), flow.Query{States: states})
	if err != nil {
		g.t.Fatal(err)
	}
	return p.Transfers
}

// done lists the transfers that are done, forgotten ones included.
func (g *rig) done() []flow.Transfer {
	g.t.Helper()
	p, err := g.journal.List(context.WithoutCancel(g.t.Context()), flow.Query{Past: true})
	if err != nil {
		g.t.Fatal(err)
	}
	return append(p.Transfers, g.transfers(flow.Done)...)
}

// dead returns the only dead letter.
func (g *rig) dead() flow.Transfer {
	g.t.Helper()
	ts := g.transfers(flow.Failed)
	if len(ts) != 1 {
		g.t.Fatalf("got %d dead letters want 1: %+v", len(ts), ts)
	}
	return ts[0]
}

func (g *rig) filter(text string) *expr.Filter {
	g.t.Helper()
	f, err := expr.ParseFilter(text)
	if err != nil {
		g.t.Fatal(err)
	}
	return f
}

var _ flow.Journal = (*flowtest.Journal)(nil)
