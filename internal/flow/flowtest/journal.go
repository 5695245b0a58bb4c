// Package flowtest stands in for the world in tests of flows.
//
// [Journal] is a journal in memory and [Folder] a source and sink in memory; both
// work inside a testing/synctest bubble. [TestJournal], [TestSource] and [TestSink]
// are the suites that every implementation passes, these two included. A [Life]
// ends a process at any chosen step between an engine and its surroundings.
package flowtest

import (
	"context"
	"encoding/json"
	"sort"
	"strconv"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
)

// Journal is a [flow.Journal] in memory. Its zero value is ready to use. What is in
// it outlives the runners that use it, as a durable one's content would.
type Journal struct {
	mu      sync.Mutex // guards the following
	rev     uint64
	records map[string]record
	dead    map[string]bool
	queues  map[string]*queue
	past    []flow.Transfer
	closed  bool
}

type record struct {
	rev  uint64
	flow string
	text []byte // as JSON: what does not survive that is not in a durable journal either
}

type queue struct {
	ids     []string             // in order of arrival
	visible map[string]time.Time // when each may be delivered
	changed chan struct{}
}

var _ flow.Journal = (*Journal)(nil)

// Close makes every later call fail.
func (j *Journal) Close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
}

func (j *Journal) lock() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return fault.Wrap(fault.Unreachable, flow.ErrClosed, "use the journal")
	}
	if j.records == nil {
		j.records, j.dead, j.queues = make(map[string]record), make(map[string]bool), make(map[string]*queue)
	}
	return nil
}

func (j *Journal) putLocked(t *flow.Transfer) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	j.rev++
	t.Rev = j.rev
	j.records[t.ID] = record{j.rev, t.Flow, b}
	return nil
}

func (j *Journal) getLocked(id string) (flow.Transfer, error) {
	r, ok := j.records[id]
	if !ok {
		return flow.Transfer{}, fault.New(fault.NotFound, "there is no transfer %q", id)
	}
	var t flow.Transfer
	err := json.Unmarshal(r.text, &t)
	t.Rev = r.rev
	return t, err
}

func (j *Journal) queueLocked(name string) *queue {
	q := j.queues[name]
	if q == nil {
		q = &queue{visible: make(map[string]time.Time), changed: make(chan struct{})}
		j.queues[name] = q
	}
	return q
}

// put makes a task visible at a moment.
func (q *queue) put(id string, at time.Time) {
	if _, ok := q.visible[id]; !ok {
		q.ids = append(q.ids, id)
	}
	q.visible[id] = at
	close(q.changed)
	q.changed = make(chan struct{})
}

// Claim implements [flow.Journal].
func (j *Journal) Claim(_ context.Context, ts []flow.Transfer) ([]flow.Claim, error) {
	if err := j.lock(); err != nil {
		return nil, err
	}
	defer j.mu.Unlock()
	out := make([]flow.Claim, 0, len(ts))
	for _, t := range ts {
		if old, err := j.getLocked(t.ID); err == nil {
			out = append(out, flow.Claim{Transfer: old})
			continue
		}
		if err := j.putLocked(&t); err != nil {
			return out, err
		}
		if t.Open() {
			j.queueLocked(t.Flow).put(t.ID, time.Now())
		}
		out = append(out, flow.Claim{New: true, Transfer: t})
	}
	return out, nil
}

// Get implements [flow.Journal].
func (j *Journal) Get(_ context.Context, id string) (flow.Transfer, error) {
	if err := j.lock(); err != nil {
		return flow.Transfer{}, err
	}
	defer j.mu.Unlock()
	return j.getLocked(id)
}

// Update implements [flow.Journal].
func (j *Journal) Update(_ context.Context, t *flow.Transfer) error {
	if err := j.lock(); err != nil {
		return err
	}
	defer j.mu.Unlock()
	return j.updateLocked(t)
}

// UpdateAll implements [flow.Journal].
func (j *Journal) UpdateAll(ctx context.Context, ts []*flow.Transfer) []error {
	errs := make([]error, len(ts))
	for i, t := range ts {
		errs[i] = j.Update(ctx, t)
	}
	return errs
}

func (j *Journal) updateLocked(t *flow.Transfer) error {
	if r, ok := j.records[t.ID]; !ok || r.rev != t.Rev {
		return flow.Stale(t.ID)
	}
	return j.putLocked(t)
}

// Queue implements [flow.Journal].
func (j *Journal) Queue(_ context.Context, ids []string) error {
	if err := j.lock(); err != nil {
		return err
	}
	defer j.mu.Unlock()
	for _, id := range ids {
		r, ok := j.records[id]
		if !ok {
			continue
		}
		q := j.queueLocked(r.flow)
		if _, ok := q.visible[id]; !ok {
			q.put(id, time.Now())
		}
	}
	return nil
}

// Bury implements [flow.Journal].
func (j *Journal) Bury(_ context.Context, t *flow.Transfer) error {
	if err := j.lock(); err != nil {
		return err
	}
	defer j.mu.Unlock()
	if err := j.updateLocked(t); err != nil {
		return err
	}
	j.dead[t.ID] = true
	return nil
}

// Revive implements [flow.Journal].
func (j *Journal) Revive(_ context.Context, t *flow.Transfer) error {
	if err := j.lock(); err != nil {
		return err
	}
	defer j.mu.Unlock()
	if err := j.updateLocked(t); err != nil {
		return err
	}
	delete(j.dead, t.ID)
	if t.Open() {
		j.queueLocked(t.Flow).put(t.ID, time.Now())
	}
	return nil
}

// Forget implements [flow.Journal].
func (j *Journal) Forget(_ context.Context, ids []string) error {
	if err := j.lock(); err != nil {
		return err
	}
	defer j.mu.Unlock()
	for _, id := range ids {
		t, err := j.getLocked(id)
		if err != nil {
			continue // not known
		}
		delete(j.records, id)
		if j.past = append(j.past, t); len(j.past) > 10_000 {
			j.past = j.past[1:]
		}
	}
	return nil
}

// List implements [flow.Journal].
func (j *Journal) List(_ context.Context, q flow.Query) (flow.Page, error) {
	if err := j.lock(); err != nil {
		return flow.Page{}, err
	}
	defer j.mu.Unlock()
	var all []flow.Transfer
	if q.Past {
		all = append(all, j.past...)
		for i := range all {
			all[i].Rev = uint64(i + 1)
		}
	} else {
		for id := range j.records {
			t, err := j.getLocked(id)
			if err != nil {
				return flow.Page{}, err
			}
			all = append(all, t)
		}
	}
	sort.Slice(all, func(a, b int) bool { return all[a].Rev < all[b].Rev })
	var after uint64
	if q.After != "" {
		n, err := strconv.ParseUint(q.After, 10, 64)
		if err != nil {
			return flow.Page{}, fault.Wrap(fault.Invalid, err, "read page %q", q.After)
		}
		after = n
	}
	var p flow.Page
	for i := range all {
		if all[i].Rev <= after || !q.Wants(&all[i]) {
			continue
		}
		if len(p.Transfers) == q.PageSize() {
			p.Next = strconv.FormatUint(p.Transfers[len(p.Transfers)-1].Rev, 10)
			break
		}
		p.Transfers = append(p.Transfers, all[i])
	}
	return p, nil
}
