package flow

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"sallyport.dev/internal/fault"
)

// counters count since the runner began.
type counters struct {
	done, void, failed, retries, bytes int64
}

func (l *lane) count(f func(*counters)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.stat)
}

// progress is a transfer at work.
type progress struct {
	since time.Time
	bytes atomic.Int64
}

func (l *lane) progressOf(id string) *progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active[id]
}

// Status is how a flow stands.
type Status struct {
	Name        string
	Paused      bool
	LastPoll    time.Time // zero before the first
	NextPoll    time.Time
	LastResult  PollResult
	PollError   error     // of the last poll; nil if it went well
	FailedSince time.Time // first of the failing polls in a row; zero if the last went well
	Open        int       // transfers claimed and not finished
	Active      []Active  // those at work now
	Dead        int       // dead letters
	Marks       int       // transfers the journal remembers, open and dead ones included
	Done        int64     // delivered since the runner began
	Void        int64     // ended without delivery, since the source changed or went
	Failed      int64     // became dead letters since the runner began
	Retries     int64     // attempts that failed and were to be repeated
	Bytes       int64     // delivered since the runner began
}

// Active is a transfer at work.
type Active struct {
	ID    string
	Since time.Time
	Bytes int64 // read from the source so far
}

// Snapshot returns how each flow stands, in the order of [Runner.Flows].
func (r *Runner) Snapshot() []Status {
	if r.init() != nil {
		return nil // Run says why
	}
	out := make([]Status, 0, len(r.Flows))
	for i := range r.Flows {
		out = append(out, r.lanes[r.Flows[i].Name].status())
	}
	return out
}

func (l *lane) status() Status {
	shut, _ := l.gate.state()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Status{
		Name: l.f.Name, Paused: shut,
		LastPoll: l.polls.last, NextPoll: l.polls.next, LastResult: l.polls.result, PollError: l.polls.failing,
		Open: len(l.paths), Dead: l.dead, Marks: len(l.known),
		Done: l.stat.done, Void: l.stat.void, Failed: l.stat.failed, Retries: l.stat.retries, Bytes: l.stat.bytes,
	}
	if s.PollError != nil {
		s.FailedSince = l.polls.failedSince
	}
	for id, p := range l.active {
		s.Active = append(s.Active, Active{id, p.since, p.bytes.Load()})
	}
	slices.SortFunc(s.Active, func(a, b Active) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	return s
}

func (r *Runner) lane(flow string) (*lane, error) {
	if err := r.init(); err != nil {
		return nil, err
	}
	if l := r.lanes[flow]; l != nil {
		return l, nil
	}
	names := make([]string, 0, len(r.lanes))
	for n := range r.lanes {
		names = append(names, n)
	}
	slices.Sort(names)
	return nil, fault.New(fault.NotFound, "no flow is named %q", flow).WithHint("there are %q", names)
}

// Pause stops a flow from polling and from beginning attempts. Transfers at work
// go on. The pause ends with the process.
func (r *Runner) Pause(flow string) error { return r.setPause(flow, true) }

// Resume ends a pause.
func (r *Runner) Resume(flow string) error { return r.setPause(flow, false) }

func (r *Runner) setPause(flow string, shut bool) error {
	l, err := r.lane(flow)
	if err != nil {
		return err
	}
	l.gate.set(shut)
	return nil
}

// PollNow polls a flow's source at once, paused or not, and returns what it found.
func (r *Runner) PollNow(ctx context.Context, flow string) (PollResult, error) {
	l, err := r.lane(flow)
	if err != nil {
		return PollResult{}, err
	}
	answer := make(chan pollAnswer, 1)
	select {
	case l.ask <- answer:
	case <-ctx.Done():
		return PollResult{}, fault.As(context.Cause(ctx), "ask flow %q for a poll", flow)
	}
	select {
	case a := <-answer:
		return a.PollResult, a.err
	case <-ctx.Done():
		return PollResult{}, fault.As(context.Cause(ctx), "wait for the poll of flow %q", flow)
	}
}

// Hint says that something at a flow's source may have changed, and brings the
// next poll forward. It does not block. The claim comes from the source's own
// listing, never from the hint.
func (r *Runner) Hint(flow string) error {
	l, err := r.lane(flow)
	if err != nil {
		return err
	}
	select {
	case l.kick <- struct{}{}:
	default: // one is waiting already
	}
	return nil
}

// Retry gives a dead letter as many attempts as a new transfer has. It goes on from
// the state it failed in.
func (r *Runner) Retry(ctx context.Context, id string) error {
	return r.revive(ctx, id, "retry", func(t *Transfer) {
		t.State, t.FailedIn = t.FailedIn, 0
		t.Fails, t.Deaths, t.Running = 0, 0, false
		t.Delay, t.NotBefore = 0, time.Time{}
	})
}

// Discard gives a dead letter up. Its file is left alone until it changes.
func (r *Runner) Discard(ctx context.Context, id string) error {
	return r.revive(ctx, id, "discard", func(t *Transfer) {
		t.State, t.FailedIn, t.Outcome, t.Running = Done, 0, Discarded, false
	})
}

func (r *Runner) revive(ctx context.Context, id, what string, change func(*Transfer)) error {
	if err := r.init(); err != nil {
		return err
	}
	t, err := r.Journal.Get(ctx, id)
	if err != nil {
		return fault.As(err, "%s transfer %q", what, id)
	}
	if t.State != Failed {
		return fault.New(fault.Invalid, "%s transfer %q: it is %s", what, id, t.State).
			WithHint("only dead letters can be retried or discarded: sallyport transfer list")
	}
	if l := r.lanes[t.Flow]; l != nil {
		l.mu.Lock()
		other, taken := l.paths[t.File.Path]
		l.mu.Unlock()
		if taken && other != id && what == "retry" {
			return fault.New(fault.Busy, "retry transfer %q: a newer version of %q is under way as %s", id, t.File.Path, other).
				WithHint("wait for that one, or discard this one")
		}
	}
	change(&t)
	t.Updated = r.Now()
	if err := r.Journal.Revive(ctx, &t); err != nil {
		return fault.As(err, "%s transfer %q", what, id)
	}
	if l := r.lanes[t.Flow]; l != nil {
		l.remember(&t)
	}
	return nil
}
