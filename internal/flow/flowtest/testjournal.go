package flowtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
)

// TestJournal holds a journal to what flow.Journal promises. Open opens an empty
// one. Reopen, where a journal outlives its process, closes it and opens it again;
// nil skips what needs that.
func TestJournal(t *testing.T, open func(t *testing.T) flow.Journal, reopen func(t *testing.T, j flow.Journal) flow.Journal) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, j flow.Journal)
	}{
		{"claim", journalClaim},
		{"claim-many", journalClaimMany},
		{"roundtrip", journalRoundTrip},
		{"revision", journalRevision},
		{"update-all", journalUpdateAll},
		{"concurrent", journalConcurrent},
		{"tasks", journalTasks},
		{"tasks-of-flows", journalTasksOfFlows},
		{"tasks-at-speed", journalTasksAtSpeed},
		{"queue-once", journalQueueOnce},
		{"dead-letter", journalDeadLetter},
		{"forget", journalForget},
		{"pages", journalPages},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
	if reopen != nil {
		t.Run("reopen", func(t *testing.T) { journalReopen(t, open(t), reopen) })
	}
}

// sample makes a transfer with every field in use.
func sample(name string, n int) flow.Transfer {
	at := time.Date(2026, 11, 22, 1, 2, 3, 4, time.UTC)
	return flow.Transfer{
		ID: fmt.Sprintf("%s.%032x", flow.Token(name), n), Flow: name, Source: "memory:src",
		File:  flow.File{Path: flow.Path(fmt.Sprintf("in/%d \xff\".xml", n)), Size: int64(n), Time: at, ID: "i"},
		State: flow.Claimed, Claimed: at, Updated: at, After: flow.Move, MoveTo: "archive/\x80",
		Outputs: []flow.Output{{Sink: "memory:dst", Final: "f", Temp: ".sallyport-1.part", Existing: flow.Ignore}},
		Size:    7, Hash: bytes.Repeat([]byte{0xab}, 32), Begun: 2, Running: true, Fails: 1, Deaths: 1,
		Delay: time.Second, NotBefore: at,
		Log:    []flow.Attempt{{Number: 1, End: at, State: flow.Intent, Kind: "busy", Error: "no", Hint: "wait"}},
		Litter: []flow.Litter{{Output: 0, Temp: ".sallyport-0.part"}},
	}
}

func claim(t *testing.T, j flow.Journal, ts ...flow.Transfer) []flow.Claim {
	t.Helper()
	out, err := j.Claim(t.Context(), ts)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != len(ts) {
		t.Fatalf("Claim: got %d answers want %d", len(out), len(ts))
	}
	return out
}

func get(t *testing.T, j flow.Journal, id string) flow.Transfer {
	t.Helper()
	tr, err := j.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func tasksOf(t *testing.T, j flow.Journal, name string) flow.Tasks {
	t.Helper()
	ts, err := j.Tasks(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ts.Close(); err != nil && !errors.Is(err, flow.ErrClosed) {
			t.Errorf("Close: %v", err)
		}
	})
	return ts
}

func next(t *testing.T, ts flow.Tasks) flow.Task {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	task, err := ts.Next(ctx)
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	return task
}

// none sees that no task comes within a while.
func none(t *testing.T, ts flow.Tasks) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if task, err := ts.Next(ctx); err == nil {
		t.Fatalf("got task %s want none", task.ID())
	}
}

func done(t *testing.T, ts flow.Tasks, task flow.Task) {
	t.Helper()
	if err := ts.Done(task); err != nil {
		t.Fatalf("Done: %v", err)
	}
}

func journalClaim(t *testing.T, j flow.Journal) {
	a := sample("f", 1)
	if c := claim(t, j, a); !c[0].New || c[0].Transfer.Rev == 0 {
		t.Errorf("first claim: got %+v", c[0])
	}
	b := a
	b.Size = 99
	if c := claim(t, j, b); c[0].New || c[0].Transfer.Size != a.Size {
		t.Errorf("second claim: got %+v, want the first one's record", c[0])
	}
	if out, err := j.Claim(t.Context(), nil); err != nil || len(out) != 0 {
		t.Errorf("claim of nothing: got %v, %v", out, err)
	}
	if _, err := j.Get(t.Context(), "f.absent"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("Get of what is not there: got %v want not-found", err)
	}
}

func journalClaimMany(t *testing.T, j flow.Journal) {
	const n = 300
	old := sample("f", 17)
	claim(t, j, old)
	var ts []flow.Transfer
	for i := range n {
		ts = append(ts, sample("f", i))
	}
	for i, c := range claim(t, j, ts...) {
		if c.New != (i != 17) || c.Transfer.ID != ts[i].ID {
			t.Errorf("claim %d: got %v %s", i, c.New, c.Transfer.ID)
		}
		if err := j.Update(t.Context(), &c.Transfer); err != nil {
			t.Errorf("update %d with the claim's revision: %v", i, err)
		}
	}
	q := tasksOf(t, j, "f")
	seen := make(map[string]bool)
	for range n {
		task := next(t, q)
		seen[task.ID()] = true
		done(t, q, task)
	}
	if len(seen) != n {
		t.Errorf("got %d tasks want %d", len(seen), n)
	}
	none(t, q)
}

func journalRoundTrip(t *testing.T, j flow.Journal) {
	want := sample("f", 3)
	want.FailedIn, want.Outcome, want.State = flow.Intent, flow.Arrived, flow.Done
	claim(t, j, want)
	got := get(t, j, want.ID)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(flow.Transfer{}, "Rev")); diff != "" {
		t.Errorf("want, got:\n%s", diff)
	}
}

func journalRevision(t *testing.T, j flow.Journal) {
	a := claim(t, j, sample("f", 1))[0].Transfer
	stale := a
	a.State = flow.Intent
	if err := j.Update(t.Context(), &a); err != nil {
		t.Fatal(err)
	}
	if err := j.Update(t.Context(), &stale); !errors.Is(err, flow.ErrStale) {
		t.Errorf("old revision: got %v want stale", err)
	}
	if err := j.Bury(t.Context(), &stale); !errors.Is(err, flow.ErrStale) {
		t.Errorf("bury with old revision: got %v want stale", err)
	}
	a.State = flow.Delivered
	if err := j.Update(t.Context(), &a); err != nil {
		t.Errorf("update after update: %v", err)
	}
	if got := get(t, j, a.ID); got.State != flow.Delivered || got.Rev != a.Rev {
		t.Errorf("got %v at %d want delivered at %d", got.State, got.Rev, a.Rev)
	}
	unknown := sample("f", 2)
	unknown.Rev = a.Rev
	if err := j.Update(t.Context(), &unknown); !errors.Is(err, flow.ErrStale) {
		t.Errorf("update of what is not there: got %v want stale", err)
	}
}

// journalUpdateAll has many updates in one call, of which each third one is stale:
// that one alone is refused.
func journalUpdateAll(t *testing.T, j flow.Journal) {
	const n = 200
	var ts []flow.Transfer
	for i := range n {
		ts = append(ts, sample("f", i))
	}
	claims := claim(t, j, ts...)
	var all []*flow.Transfer
	for i := range claims {
		tr := claims[i].Transfer
		if i%3 == 0 {
			newer := tr
			if err := j.Update(t.Context(), &newer); err != nil {
				t.Fatal(err)
			}
		}
		tr.State = flow.Done
		all = append(all, &tr)
	}
	for i, err := range j.UpdateAll(t.Context(), all) {
		got := get(t, j, all[i].ID)
		switch {
		case i%3 == 0 && !errors.Is(err, flow.ErrStale):
			t.Errorf("update %d: got %v want stale", i, err)
		case i%3 == 0 && got.State != flow.Claimed:
			t.Errorf("update %d was refused and is written", i)
		case i%3 != 0 && (err != nil || got.State != flow.Done || got.Rev != all[i].Rev):
			t.Errorf("update %d: got %v, %v at %d want done at %d", i, err, got.State, got.Rev, all[i].Rev)
		}
	}
	if errs := j.UpdateAll(t.Context(), nil); len(errs) != 0 {
		t.Errorf("no updates: got %v", errs)
	}
}

// journalConcurrent has many updates at once, of which each second one is stale.
func journalConcurrent(t *testing.T, j flow.Journal) {
	const n = 64
	var ts []flow.Transfer
	for i := range n {
		ts = append(ts, sample("f", i))
	}
	claims := claim(t, j, ts...)
	type result struct{ fresh, stale error }
	results := make(chan result, n)
	for i := range claims {
		go func() {
			var r result
			a, b := claims[i].Transfer, claims[i].Transfer
			a.State = flow.Intent
			r.fresh = j.Update(t.Context(), &a)
			r.stale = j.Update(t.Context(), &b)
			if r.fresh == nil {
				a.State = flow.Delivered
				r.fresh = j.Update(t.Context(), &a)
			}
			results <- r
		}()
	}
	for range n {
		r := <-results
		if r.fresh != nil {
			t.Errorf("update: %v", r.fresh)
		}
		if !errors.Is(r.stale, flow.ErrStale) {
			t.Errorf("stale update: got %v", r.stale)
		}
	}
	for i := range claims {
		if got := get(t, j, claims[i].Transfer.ID); got.State != flow.Delivered {
			t.Errorf("%s is %v want delivered", got.ID, got.State)
		}
	}
}

func journalTasks(t *testing.T, j flow.Journal) {
	a := sample("f", 1)
	claim(t, j, a)
	finished := sample("f", 2)
	finished.State = flow.Failed
	claim(t, j, finished) // not open: no task
	q := tasksOf(t, j, "f")
	task := next(t, q)
	if task.ID() != a.ID {
		t.Errorf("got %s want %s", task.ID(), a.ID)
	}
	none(t, q) // it is out
	if err := task.InProgress(); err != nil {
		t.Errorf("InProgress: %v", err)
	}
	begin := time.Now()
	if err := task.Later(700 * time.Millisecond); err != nil {
		t.Errorf("Later: %v", err)
	}
	task = next(t, q)
	if waited := time.Since(begin); waited < 600*time.Millisecond || waited > 5*time.Second {
		t.Errorf("came back after %v want 700ms", waited)
	}
	done(t, q, task)
	none(t, q)
}

func journalTasksOfFlows(t *testing.T, j flow.Journal) {
	names := []string{"orders", "o r.d>e*rs", strings.Repeat("ü", 32), "_x41"}
	for i, n := range names {
		claim(t, j, sample(n, i))
	}
	for i, n := range names {
		q := tasksOf(t, j, n)
		task := next(t, q)
		if want := sample(n, i).ID; task.ID() != want {
			t.Errorf("flow %q: got %s want %s", n, task.ID(), want)
		}
		done(t, q, task)
		none(t, q)
	}
}

// journalTasksAtSpeed has many workers end tasks while others are taken: none may
// be late, though nothing but the queue itself brings them.
func journalTasksAtSpeed(t *testing.T, j flow.Journal) {
	const n, workers = 600, 8
	var ts []flow.Transfer
	for i := range n {
		ts = append(ts, sample("f", i))
	}
	claim(t, j, ts...)
	q := tasksOf(t, j, "f")
	slots := make(chan struct{}, workers)
	errs := make(chan error, n)
	for range n {
		slots <- struct{}{}
		task := next(t, q)
		go func() {
			defer func() { <-slots }()
			tr, err := j.Get(t.Context(), task.ID())
			if err == nil {
				tr.State = flow.Done
				err = j.Update(t.Context(), &tr)
			}
			errs <- errors.Join(err, q.Done(task))
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	none(t, q)
}

func journalQueueOnce(t *testing.T, j flow.Journal) {
	a := sample("f", 1)
	claim(t, j, a)
	ids := []string{a.ID, "f.00000000000000000000000000000bad"}
	for range 3 {
		if err := j.Queue(t.Context(), ids); err != nil {
			t.Fatalf("Queue: %v", err)
		}
	}
	q := tasksOf(t, j, "f")
	task := next(t, q)
	if task.ID() != a.ID {
		t.Fatalf("got task %s want %s", task.ID(), a.ID)
	}
	done(t, q, task)
	none(t, q)
	if err := j.Queue(t.Context(), ids[:1]); err != nil {
		t.Fatalf("Queue after the task was done: %v", err)
	}
	done(t, q, next(t, q))
}

func journalDeadLetter(t *testing.T, j flow.Journal) {
	a := claim(t, j, sample("f", 1))[0].Transfer
	q := tasksOf(t, j, "f")
	done(t, q, next(t, q))
	a.State, a.FailedIn = flow.Failed, flow.Claimed
	if err := j.Bury(t.Context(), &a); err != nil {
		t.Fatal(err)
	}
	page, err := j.List(t.Context(), flow.Query{States: []flow.State{flow.Failed}})
	if err != nil || len(page.Transfers) != 1 || page.Transfers[0].ID != a.ID || page.Transfers[0].Log[0].Error != "no" {
		t.Errorf("dead letters: got %+v, %v", page, err)
	}
	a.State = flow.Claimed
	if err := j.Revive(t.Context(), &a); err != nil {
		t.Fatal(err)
	}
	task := next(t, q)
	if task.ID() != a.ID {
		t.Errorf("got task %s want %s", task.ID(), a.ID)
	}
	done(t, q, task)
	a.State = flow.Failed
	if err := j.Bury(t.Context(), &a); err != nil {
		t.Fatalf("bury again: %v", err)
	}
	a.State = flow.Done
	if err := j.Revive(t.Context(), &a); err != nil {
		t.Fatalf("discard: %v", err)
	}
	none(t, q) // done: no task
}

func journalForget(t *testing.T, j flow.Journal) {
	a := claim(t, j, sample("f", 1))[0].Transfer
	a.State, a.Outcome = flow.Done, flow.Arrived
	if err := j.Update(t.Context(), &a); err != nil {
		t.Fatal(err)
	}
	b := sample("f", 2)
	claim(t, j, b)
	if err := j.Forget(t.Context(), []string{a.ID, "f.00000000000000000000000000000bad"}); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Get(t.Context(), a.ID); fault.KindOf(err) != fault.NotFound {
		t.Errorf("forgotten: got %v want not-found", err)
	}
	page, err := j.List(t.Context(), flow.Query{Past: true, Flow: "f"})
	if err != nil || len(page.Transfers) != 1 || page.Transfers[0].ID != a.ID || page.Transfers[0].Outcome != flow.Arrived {
		t.Errorf("past: got %+v, %v", page, err)
	}
	page, err = j.List(t.Context(), flow.Query{Flow: "f"})
	if err != nil || len(page.Transfers) != 1 || page.Transfers[0].ID != b.ID {
		t.Errorf("present: got %+v, %v", page, err)
	}
	again := claim(t, j, sample("f", 1))[0]
	if !again.New {
		t.Errorf("claim after forget: got %+v want a new one", again)
	}
	if err := j.Update(t.Context(), &again.Transfer); err != nil {
		t.Errorf("update after forget: %v", err)
	}
}

func journalPages(t *testing.T, j flow.Journal) {
	var ts []flow.Transfer
	for i := range 25 {
		ts = append(ts, sample("f", i), sample("g", i))
	}
	claim(t, j, ts...)
	seen := make(map[string]int)
	q := flow.Query{Flow: "f", Limit: 10}
	for pages := 0; ; pages++ {
		p, err := j.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Transfers) > 10 || pages > 5 {
			t.Fatalf("page %d has %d", pages, len(p.Transfers))
		}
		for i := range p.Transfers {
			seen[p.Transfers[i].ID]++
		}
		if q.After = p.Next; q.After == "" {
			break
		}
	}
	if len(seen) != 25 {
		t.Errorf("got %d transfers want 25", len(seen))
	}
	if _, err := j.List(t.Context(), flow.Query{After: "nonsense"}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("page that is none: got %v want invalid", err)
	}
	p, err := j.List(t.Context(), flow.Query{Flow: "absent"})
	if err != nil || len(p.Transfers) > 0 || p.Next != "" {
		t.Errorf("no such flow: got %+v, %v", p, err)
	}
}

// journalReopen: what was acknowledged is there, what was out comes again once it
// is queued.
func journalReopen(t *testing.T, j flow.Journal, reopen func(*testing.T, flow.Journal) flow.Journal) {
	a, b := sample("f", 1), sample("f", 2)
	c := claim(t, j, a, b)
	q := tasksOf(t, j, "f")
	done(t, q, next(t, q))
	out := next(t, tasksOf(t, j, "f")) // never ended
	upd := c[0].Transfer
	upd.State = flow.Delivered
	if err := j.Update(t.Context(), &upd); err != nil {
		t.Fatal(err)
	}
	j = reopen(t, j)
	got := get(t, j, a.ID)
	if got.State != flow.Delivered || got.Rev != upd.Rev {
		t.Errorf("got %v at %d want delivered at %d", got.State, got.Rev, upd.Rev)
	}
	if err := j.Update(t.Context(), &got); err != nil {
		t.Errorf("update after reopening: %v", err)
	}
	if err := j.Queue(t.Context(), []string{out.ID()}); err != nil {
		t.Fatal(err)
	}
	q = tasksOf(t, j, "f")
	task := next(t, q)
	if task.ID() != out.ID() {
		t.Errorf("got task %s want %s again", task.ID(), out.ID())
	}
	done(t, q, task)
	none(t, q)
	if claim(t, j, b)[0].New {
		t.Error("a claim was forgotten")
	}
}
