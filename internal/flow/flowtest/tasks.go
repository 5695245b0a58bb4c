package flowtest

import (
	"context"
	"slices"
	"time"

	"sallyport.dev/internal/flow"
)

// Tasks implements [flow.Journal]. What was out is delivered again.
func (j *Journal) Tasks(_ context.Context, name string) (flow.Tasks, error) {
	if err := j.lock(); err != nil {
		return nil, err
	}
	defer j.mu.Unlock()
	q := j.queueLocked(name)
	for id := range q.visible {
		q.visible[id] = time.Now()
	}
	return &tasks{j, q}, nil
}

type tasks struct {
	j *Journal
	q *queue
}

func (*tasks) Close() error { return nil }

func (ts *tasks) Next(ctx context.Context) (flow.Task, error) {
	for {
		id, wait, changed, err := ts.take()
		if err != nil {
			return nil, err
		}
		if id != "" {
			return &task{ts, id}, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take takes the first visible task, or says how long to wait for one.
func (ts *tasks) take() (id string, wait time.Duration, changed <-chan struct{}, err error) {
	if err := ts.j.lock(); err != nil {
		return "", 0, nil, err
	}
	defer ts.j.mu.Unlock()
	now := time.Now()
	wait = time.Hour
	for _, id := range ts.q.ids {
		at := ts.q.visible[id]
		if !at.After(now) {
			ts.q.visible[id] = now.Add(3 * flow.Heartbeat)
			return id, 0, nil, nil
		}
		wait = min(wait, at.Sub(now))
	}
	return "", wait, ts.q.changed, nil
}

type task struct {
	ts *tasks
	id string
}

func (t *task) ID() string { return t.id }

func (t *task) InProgress() error { return t.Later(3 * flow.Heartbeat) }

func (t *task) Later(after time.Duration) error {
	if err := t.ts.j.lock(); err != nil {
		return err
	}
	defer t.ts.j.mu.Unlock()
	if _, ok := t.ts.q.visible[t.id]; ok {
		t.ts.q.put(t.id, time.Now().Add(after))
	}
	return nil
}

func (ts *tasks) Done(ended ...flow.Task) error {
	if err := ts.j.lock(); err != nil {
		return err
	}
	defer ts.j.mu.Unlock()
	for _, t := range ended {
		delete(ts.q.visible, t.ID())
		ts.q.ids = slices.DeleteFunc(ts.q.ids, func(id string) bool { return id == t.ID() })
	}
	return nil
}
