package flow

import (
	"context"
	"errors"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
)

// journalPause is the wait before a task is taken up again whose transfer could not
// be written down, and before a queue that fails is asked again.
const journalPause = 2 * time.Second

// dispatch hands tasks to workers until ctx ends, and waits for them. The workers
// themselves are bounded by work.
func (l *lane) dispatch(ctx, work context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	for ctx.Err() == nil {
		if err := l.serve(ctx, work, &workers); err != nil && ctx.Err() == nil {
			l.log.Error("read the queue", "error", err, "hint", fault.HintOf(err), "again_in", journalPause)
			pause(ctx, journalPause)
		}
	}
}

// serve reads one opened queue until ctx ends or the queue fails.
func (l *lane) serve(ctx, work context.Context, workers *sync.WaitGroup) (err error) {
	tasks, err := l.r.Journal.Tasks(ctx, l.f.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tasks.Close()) }()
	for {
		turn, err := l.gate.pass(ctx)
		if err != nil {
			return err
		}
		if err := l.slots.Acquire(ctx, 1); err != nil {
			return err
		}
		task, err := next(ctx, turn, tasks)
		if err != nil || task == nil {
			l.slots.Release(1)
			if err != nil {
				return err
			}
			continue
		}
		if shut, _ := l.gate.state(); shut { // it came just as the gate was shut
			l.slots.Release(1)
			if err := task.Later(0); err != nil {
				l.log.Warn("give a task back", "transfer", task.ID(), "error", err)
			}
			continue
		}
		workers.Go(func() {
			defer l.slots.Release(1)
			l.carry(work, task)
		})
	}
}

// next waits for a task, or until turn closes: then it returns none.
func next(ctx context.Context, turn <-chan struct{}, tasks Tasks) (Task, error) {
	nctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		select {
		case <-turn:
			cancel()
		case <-nctx.Done():
		}
	})
	task, err := tasks.Next(nctx)
	if err != nil && nctx.Err() != nil && ctx.Err() == nil {
		return nil, nil //nolint:nilnil // nothing to do, and nothing wrong
	}
	return task, err
}

// carry sees to one task: it is heartened while the work goes on, and ended.
func (l *lane) carry(ctx context.Context, task Task) {
	hctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { l.hearten(hctx, task) })
	Arrow("taken", task.ID())
	again, after := l.work(ctx, task.ID())
	cancel()
	wg.Wait()
	var err error
	if again {
		err = task.Later(after)
	} else {
		err = task.Done()
		Arrow("ended", task.ID())
	}
	if err != nil {
		// The task comes back by itself; what it is about is in the journal.
		l.log.Warn("end task", "transfer", task.ID(), "error", err)
	}
}

func (l *lane) hearten(ctx context.Context, task Task) {
	t := time.NewTicker(Heartbeat)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := task.InProgress(); err != nil {
				l.log.Warn("hearten task", "transfer", task.ID(), "error", err)
			}
		}
	}
}

// work carries a transfer on and says whether its task is to come again, and when.
func (l *lane) work(ctx context.Context, id string) (again bool, after time.Duration) {
	if !l.enter(id) {
		return true, Heartbeat // this very process is at it: a heartbeat was lost
	}
	defer l.leave(id)
	t, err := l.r.Journal.Get(ctx, id)
	if fault.KindOf(err) == fault.NotFound {
		return false, 0
	}
	if err != nil {
		l.log.Error("read transfer", "transfer", id, "error", err)
		return true, journalPause
	}
	if !t.Open() {
		return false, 0
	}
	if wait := l.sleep(&t); wait > 0 {
		return true, wait
	}
	l.adapt(&t)
	release, err := l.begin(ctx, &t)
	if err != nil && ctx.Err() != nil {
		return true, 0
	}
	if err != nil {
		return l.unwritten(&t, err)
	}
	defer release()
	if t.State == Failed {
		return false, 0
	}
	return l.settle(ctx, &t, l.attempt(ctx, &t))
}

// sleep returns how long a transfer that failed has still to wait. In the process
// that saw it fail the queue has done the waiting; after a restart the written
// moment counts, but never more than the delay itself: clocks are set.
func (l *lane) sleep(t *Transfer) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.asleep[t.ID]; ok || t.Delay == 0 {
		delete(l.asleep, t.ID)
		return 0
	}
	wait := min(t.NotBefore.Sub(l.r.Now()), t.Delay)
	if wait > 0 {
		l.asleep[t.ID] = struct{}{}
	}
	return wait
}

// begin counts the attempt before it is tried, so that a file that kills the
// process is found out. A file that seems to do that is carried alone.
func (l *lane) begin(ctx context.Context, t *Transfer) (release func(), err error) {
	if t.Running && !l.takeUnwritten(t.ID) {
		t.Deaths++
	}
	weight := int64(1)
	if t.Deaths > 1 {
		weight = int64(l.f.concurrency())
	}
	if err := l.alone.Acquire(ctx, weight); err != nil {
		return nil, err
	}
	release = func() { l.alone.Release(weight) }
	t.Updated = l.r.Now()
	if t.Deaths >= maxDeaths {
		t.note(t.Updated, fault.New(fault.Internal, "the process ended %d times in a row while it carried this file", t.Deaths).
			WithHint("see what its log said last; retry the transfer once the cause is gone"))
		if t.State == Claimed {
			l.discard(ctx, t)
		}
		if err := l.bury(ctx, t); err != nil {
			release()
			return nil, err
		}
		return release, nil
	}
	t.Begun++
	t.Running = true
	if t.State == Claimed {
		t.litter()
		for i := range t.Outputs {
			if o := &t.Outputs[i]; !o.Delivered && !o.Ignored {
				o.Temp = tempName(t, i)
			}
		}
	}
	if err := l.update(ctx, t); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// takeUnwritten reports whether the last attempt ended in this process, without its
// end having been written down: that was the journal's fault and no death.
func (l *lane) takeUnwritten(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.lost[id]
	delete(l.lost, id)
	return ok
}

// update writes t down and remembers it.
func (l *lane) update(ctx context.Context, t *Transfer) error {
	t.Updated = l.r.Now()
	if err := l.r.Journal.Update(ctx, t); err != nil {
		return &journalError{err}
	}
	l.remember(t)
	return nil
}

// journalError is a failure to write down, as opposed to one of source or sink.
type journalError struct{ err error }

func (e *journalError) Error() string { return "write the journal: " + e.err.Error() }
func (e *journalError) Unwrap() error { return e.err }

func (l *lane) enter(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active[id] != nil {
		return false
	}
	l.active[id] = &progress{since: l.r.Now()}
	return true
}

func (l *lane) leave(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.active, id)
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
