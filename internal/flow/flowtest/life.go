package flowtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"sallyport.dev/internal/flow"
)

// ErrKilled is what every step of a process that has ended gives.
var ErrKilled = errors.New("the process has ended")

// Life is one process's life. Whatever an engine does to its surroundings goes
// through wrappers that count steps; at the chosen one the process ends: from then
// on nothing it does has any effect, as after kill -9. Every operation is two
// steps: one before its effect and one after it, when the effect is there and its
// answer is lost.
type Life struct {
	// End is the step the process ends at, counted from 1. Zero is never.
	End int

	mu    sync.Mutex // guards the following
	steps int
	at    string // what it was doing when it ended
	over  chan struct{}
}

// NewLife returns a life that ends at a step.
func NewLife(end int) *Life { return &Life{End: end, over: make(chan struct{})} }

// Over is closed when the process has ended.
func (l *Life) Over() <-chan struct{} { return l.over }

// Steps returns how many steps there have been.
func (l *Life) Steps() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.steps
}

// At says what the process was doing when it ended; "" while it lives.
func (l *Life) At() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

// Kill ends the process now, whatever it is doing.
func (l *Life) Kill(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at == "" {
		l.at = why
		close(l.over)
	}
}

func (l *Life) step(what string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at != "" {
		return ErrKilled
	}
	if l.steps++; l.steps == l.End {
		l.at = fmt.Sprintf("step %d: %s", l.steps, what)
		close(l.over)
		return ErrKilled
	}
	return nil
}

// do runs one operation between its two steps.
func (l *Life) do(what string, f func() error) error {
	if err := l.step("before " + what); err != nil {
		return err
	}
	err := f()
	if killed := l.step("after " + what); killed != nil {
		return killed
	}
	return err
}

// Journal wraps a journal.
func (l *Life) Journal(j flow.Journal) flow.Journal { return mortalJournal{l, j} }

// Source wraps a source.
func (l *Life) Source(s flow.Source) flow.Source { return mortalSource{l, s} }

// Sink wraps a sink.
func (l *Life) Sink(s flow.Sink) flow.Sink { return mortalSink{l, s} }

type mortalJournal struct {
	l *Life
	j flow.Journal
}

func (m mortalJournal) Claim(ctx context.Context, ts []flow.Transfer) (out []flow.Claim, err error) {
	err = m.l.do("claim", func() error { out, err = m.j.Claim(ctx, ts); return err })
	return out, err
}

func (m mortalJournal) Get(ctx context.Context, id string) (out flow.Transfer, err error) {
	err = m.l.do("get", func() error { out, err = m.j.Get(ctx, id); return err })
	return out, err
}

func (m mortalJournal) Update(ctx context.Context, t *flow.Transfer) error {
	return m.l.do("update "+t.State.String(), func() error { return m.j.Update(ctx, t) })
}

// UpdateAll is one operation for each transfer: a batch is not one transaction.
func (m mortalJournal) UpdateAll(ctx context.Context, ts []*flow.Transfer) []error {
	errs := make([]error, len(ts))
	for i, t := range ts {
		errs[i] = m.Update(ctx, t)
	}
	return errs
}

func (m mortalJournal) Queue(ctx context.Context, ids []string) error {
	return m.l.do("queue", func() error { return m.j.Queue(ctx, ids) })
}

func (m mortalJournal) Bury(ctx context.Context, t *flow.Transfer) error {
	return m.l.do("bury", func() error { return m.j.Bury(ctx, t) })
}

func (m mortalJournal) Revive(ctx context.Context, t *flow.Transfer) error {
	return m.l.do("revive", func() error { return m.j.Revive(ctx, t) })
}

func (m mortalJournal) Forget(ctx context.Context, ids []string) error {
	return m.l.do("forget", func() error { return m.j.Forget(ctx, ids) })
}

func (m mortalJournal) List(ctx context.Context, q flow.Query) (p flow.Page, err error) {
	err = m.l.do("list journal", func() error { p, err = m.j.List(ctx, q); return err })
	return p, err
}

func (m mortalJournal) Tasks(ctx context.Context, name string) (flow.Tasks, error) {
	ts, err := m.j.Tasks(ctx, name)
	return mortalTasks{m.l, ts}, err
}

type mortalTasks struct {
	l *Life
	t flow.Tasks
}

func (m mortalTasks) Close() error { return m.t.Close() }

func (m mortalTasks) Done(ended ...flow.Task) error {
	return m.l.do("end tasks", func() error {
		inner := make([]flow.Task, 0, len(ended))
		for _, t := range ended {
			mortal, ok := t.(mortalTask)
			if !ok {
				return fmt.Errorf("end a task of another queue: %T", t)
			}
			inner = append(inner, mortal.t)
		}
		return m.t.Done(inner...)
	})
}

func (m mortalTasks) Next(ctx context.Context) (flow.Task, error) {
	t, err := m.t.Next(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.l.step("take task"); err != nil {
		return nil, err
	}
	return mortalTask{m.l, t}, nil
}

type mortalTask struct {
	l *Life
	t flow.Task
}

func (m mortalTask) ID() string { return m.t.ID() }

func (m mortalTask) InProgress() error { return m.l.do("in progress", m.t.InProgress) }

func (m mortalTask) Later(after time.Duration) error {
	return m.l.do("put task off", func() error { return m.t.Later(after) })
}

type mortalSource struct {
	l *Life
	s flow.Source
}

func (m mortalSource) Properties() flow.SourceProperties { return m.s.Properties() }

func (m mortalSource) List(ctx context.Context) iter.Seq2[flow.File, error] {
	return func(yield func(flow.File, error) bool) {
		for f, err := range m.s.List(ctx) {
			if killed := m.l.step("list"); killed != nil {
				yield(flow.File{}, killed)
				return
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

func (m mortalSource) Open(ctx context.Context, f flow.File) (body io.ReadCloser, err error) {
	err = m.l.do("open", func() error { body, err = m.s.Open(ctx, f); return err })
	if err != nil {
		return nil, err
	}
	return mortalBody{m.l, body}, nil
}

type mortalBody struct {
	l *Life
	io.ReadCloser
}

func (m mortalBody) Read(p []byte) (int, error) {
	if err := m.l.step("read"); err != nil {
		return 0, err
	}
	return m.ReadCloser.Read(p)
}

func (m mortalSource) Unchanged(ctx context.Context, f flow.File) (same bool, err error) {
	err = m.l.do("look at source", func() error { same, err = m.s.Unchanged(ctx, f); return err })
	return same, err
}

func (m mortalSource) Delete(ctx context.Context, f flow.File) error {
	return m.l.do("delete", func() error { return m.s.Delete(ctx, f) })
}

func (m mortalSource) Move(ctx context.Context, f flow.File, to flow.Path) error {
	return m.l.do("move", func() error { return m.s.Move(ctx, f, to) })
}

type mortalSink struct {
	l *Life
	s flow.Sink
}

func (m mortalSink) Properties() flow.SinkProperties { return m.s.Properties() }

func (m mortalSink) Write(ctx context.Context, temp flow.Path, body io.Reader) (w flow.Written, err error) {
	err = m.l.do("write", func() error { w, err = m.s.Write(ctx, temp, body); return err })
	return w, err
}

func (m mortalSink) Publish(ctx context.Context, temp, final flow.Path, replace bool) error {
	return m.l.do("publish", func() error { return m.s.Publish(ctx, temp, final, replace) })
}

func (m mortalSink) Look(ctx context.Context, name flow.Path, hash bool) (k flow.Look, err error) {
	err = m.l.do("look at sink", func() error { k, err = m.s.Look(ctx, name, hash); return err })
	return k, err
}

func (m mortalSink) Discard(ctx context.Context, temp flow.Path) error {
	return m.l.do("discard", func() error { return m.s.Discard(ctx, temp) })
}
