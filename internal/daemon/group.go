package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// group runs parts that were started inner to outer and stops them outer to
// inner, each with its share of one deadline.
type group struct {
	log   *slog.Logger
	ended chan *running // a part that ended without being asked

	mu      sync.Mutex // guards the following
	parts   []*running
	stopped bool

	wg sync.WaitGroup
}

type running struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done is closed
}

// maxParts bounds the parts of one process; a document's flows and sites are
// each one part.
const maxParts = 4096

func newGroup(log *slog.Logger) *group {
	return &group{log: log, ended: make(chan *running, maxParts)}
}

// start runs a part until its context ends. The part's own context is not the
// caller's: it ends when [group.stop] reaches it, or when cancel of what is returned
// is called. A part that is started while the others stop ends at once.
func (g *group) start(ctx context.Context, name string, run func(context.Context) error) *running {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &running{name: name, cancel: cancel, done: make(chan struct{})}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		cancel()
	}
	g.parts = append(g.parts, r)
	g.wg.Go(func() {
		r.err = run(ctx)
		if ctx.Err() == nil {
			g.ended <- r
		}
		close(r.done)
	})
	return r
}

// wait blocks until ctx ends (nil) or a part ends by itself (its error).
func (g *group) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case r := <-g.ended:
		if r.err == nil {
			return fmt.Errorf("%s ended by itself", r.name)
		}
		return fmt.Errorf("%s: %w", r.name, r.err)
	}
}

// stop ends the parts, the last started first, and waits for each; what has not
// ended within grace is named in the log and waited for no longer than another
// grace, since every part bounds its own end.
func (g *group) stop(grace time.Duration) {
	deadline := time.NewTimer(grace)
	defer deadline.Stop()
	g.mu.Lock()
	g.stopped = true
	parts := g.parts
	g.mu.Unlock()
	late := false
	for i := len(parts) - 1; i >= 0; i-- {
		r := parts[i]
		r.cancel()
		if !late {
			select {
			case <-r.done:
			case <-deadline.C:
				late = true
				g.log.Warn("part takes long to stop", "part", r.name)
			}
		}
		if !late && r.err != nil {
			g.log.Debug("part stopped", "part", r.name, "err", r.err)
		}
	}
	g.wg.Wait()
}
