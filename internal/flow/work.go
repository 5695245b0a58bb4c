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
	var workers, finisher sync.WaitGroup
	late := make(chan finished, maxLate)
	finisher.Go(func() { l.finishAll(work, late) })
	defer finisher.Wait()
	defer close(late)
	defer workers.Wait()
	for first := true; ctx.Err() == nil; first = false {
		if err := l.serve(ctx, work, &workers, late, first); err != nil && ctx.Err() == nil {
			l.log.Error("read the queue", "error", err, "hint", fault.HintOf(err), "again_in", journalPause)
			pause(ctx, journalPause)
		}
	}
}

// serve reads one opened queue until ctx ends or the queue fails. A queue that
// failed may have lost its tasks: what is open is queued again then.
func (l *lane) serve(ctx, work context.Context, workers *sync.WaitGroup, late chan<- finished, first bool) (err error) {
	tasks, err := l.r.Journal.Tasks(ctx, l.f.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tasks.Close()) }()
	if !first {
		if err := l.queue(ctx, l.open()); err != nil {
			return err
		}
	}
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
			l.carry(work, tasks, task, late)
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

// carry sees to one task: it is heartened while the work goes on, and ended, or
// handed on to be ended once its transfer's end is written down.
func (l *lane) carry(ctx context.Context, tasks Tasks, task Task, late chan<- finished) {
	id := task.ID()
	Arrow("taken", id)
	if !l.enter(id) {
		l.put(task, Heartbeat) // this very process is at it: a heartbeat was lost
		return
	}
	hctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { l.hearten(hctx, task) })
	v := l.work(ctx, id)
	cancel()
	wg.Wait()
	if v.late != nil {
		late <- finished{v.late, tasks, task}
		return
	}
	l.leave(id)
	if v.again {
		l.put(task, v.after)
	} else {
		l.endTasks(tasks, task)
	}
}

// verdict is what is to become of a task whose transfer was carried on.
type verdict struct {
	again bool
	after time.Duration // for again
	late  *Transfer     // done, and that has yet to be written down
}

// put has a task come again after a while.
func (l *lane) put(task Task, after time.Duration) {
	if err := task.Later(after); err != nil {
		// It comes back by itself; what it is about is in the journal.
		l.log.Warn("put task off", "transfer", task.ID(), "error", err)
	}
}

// endTasks ends tasks of one queue.
func (l *lane) endTasks(tasks Tasks, ended ...Task) {
	if err := tasks.Done(ended...); err != nil {
		// They come back by themselves, and are found to be done.
		l.log.Warn("end tasks", "tasks", len(ended), "transfer", ended[0].ID(), "error", err)
	}
	for _, t := range ended {
		Arrow("ended", t.ID())
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

// work carries a transfer on and says what is to become of its task.
func (l *lane) work(ctx context.Context, id string) verdict {
	t := l.release(id)
	fresh := t != nil
	if !fresh {
		got, err := l.r.Journal.Get(ctx, id)
		if fault.KindOf(err) == fault.NotFound {
			return verdict{}
		}
		if err != nil {
			l.log.Error("read transfer", "transfer", id, "error", err)
			return verdict{again: true, after: journalPause}
		}
		t = &got
	}
	if !t.Open() {
		l.ended(t)
		return verdict{}
	}
	if wait := l.sleep(t); wait > 0 {
		return verdict{again: true, after: wait}
	}
	l.adapt(t)
	release, err := l.begin(ctx, t, fresh)
	if err != nil && ctx.Err() != nil {
		return verdict{again: true}
	}
	if err != nil {
		return l.unwritten(t, err)
	}
	defer release()
	if t.State == Failed {
		return verdict{}
	}
	late, err := l.attempt(ctx, t)
	if late && err == nil {
		return verdict{late: t}
	}
	return l.settle(ctx, t, err)
}

// ended catches up with a transfer that is found to have ended. If this process
// believed it open, the end was written down and the answer was lost.
func (l *lane) ended(t *Transfer) {
	k, ok := parseKey(t.ID)
	if !ok {
		return
	}
	l.mu.Lock()
	m, known := l.known[k]
	l.rememberLocked(t)
	l.mu.Unlock()
	if known && m.state.open() && t.State == Done {
		l.closed(t)
	}
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
// process is found out. A file that seems to do that is carried alone. The first
// attempt in the process that claimed the file is the claim's own: nothing is
// written for it.
func (l *lane) begin(ctx context.Context, t *Transfer, fresh bool) (release func(), err error) {
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
	t.Running = true
	if fresh {
		return release, nil
	}
	t.Begun++
	if t.State == Claimed {
		t.litter()
		t.nameTemps()
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
