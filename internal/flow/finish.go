package flow

import (
	"context"
	"time"
)

const (
	// maxLate bounds the transfers of one flow whose end has yet to be written down.
	maxLate = 1024
	// lateBatch is how many ends are written down at once, at most.
	lateBatch = 256
	// lateWait is how long an end waits for company, while others are at work.
	lateWait = 20 * time.Millisecond
	// lateTime bounds the writing down of one batch.
	lateTime = 30 * time.Second
)

// finished is a transfer that is done, but for that to be written down, and its task.
type finished struct {
	t     *Transfer
	tasks Tasks
	task  Task
}

// finishAll writes down the ends of transfers, many at a time, and ends their
// tasks, until in is closed and empty. Nobody waits for an end: if it is lost with
// the process, the next one finds the file delivered and the source seen to.
func (l *lane) finishAll(ctx context.Context, in <-chan finished) {
	for first := range in {
		batch := l.company(first, in)
		// The end of ctx is when transfers are given up; these are beyond that.
		wctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lateTime)
		l.finishSome(wctx, batch)
		cancel()
	}
}

// company waits a moment for other ends, as long as others are at work.
func (l *lane) company(first finished, in <-chan finished) []finished {
	batch := []finished{first}
	timer := time.NewTimer(lateWait)
	defer timer.Stop()
	for len(batch) < lateBatch && l.atWork() > len(batch) {
		select {
		case f, ok := <-in:
			if !ok {
				return batch
			}
			batch = append(batch, f)
		case <-timer.C:
			return batch
		}
	}
	return batch
}

// atWork returns how many transfers workers have, those included whose end is late.
func (l *lane) atWork() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.active)
}

// finishSome writes ends down and ends their tasks. What could not be written comes
// again, and only that.
func (l *lane) finishSome(ctx context.Context, batch []finished) {
	ts := make([]*Transfer, len(batch))
	for i, f := range batch {
		f.t.Updated = l.r.Now()
		ts[i] = f.t
	}
	ended := make(map[Tasks][]Task)
	for i, err := range l.r.Journal.UpdateAll(ctx, ts) {
		f := batch[i]
		if err != nil {
			v := l.unwritten(f.t, &journalError{err})
			l.leave(f.t.ID)
			l.put(f.task, v.after)
			continue
		}
		l.remember(f.t)
		l.closed(f.t)
		l.leave(f.t.ID)
		ended[f.tasks] = append(ended[f.tasks], f.task)
	}
	for tasks, done := range ended {
		l.endTasks(tasks, done...)
	}
}
