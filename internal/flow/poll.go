package flow

import (
	"context"
	"slices"
	"time"

	"sallyport.dev/internal/fault"
)

const (
	// claimBatch is how many files are claimed at once.
	claimBatch = 256
	// maxListed bounds the files of one listing that are looked at.
	maxListed = 2_000_000
	// maxWaiting bounds the transfers of one flow that are open; what is beyond it
	// waits at the source, which keeps it safe.
	maxWaiting = 20_000
	// maxBackoff bounds the time between polls of a source that fails.
	maxBackoff = time.Minute
	// forgetEvery is how long marks that are over may wait for company.
	forgetEvery = time.Minute
	// leaveTime bounds what is written when the poller is asked to stop.
	leaveTime = 5 * time.Second
)

// sighting is what earlier polls saw of a file that is not yet ready.
type sighting struct {
	file  File
	since time.Time // first look that saw it like this, by the monotonic clock
	gen   uint64    // last poll that saw it
}

// pollAnswer is the result of one poll.
type pollAnswer struct {
	PollResult
	err error
}

// PollResult is what one poll found.
type PollResult struct {
	Listed  int // files that match
	Claimed int // new transfers
	Waiting int // not yet ready
}

// pollState is what status shows of polling.
type pollState struct {
	last, next  time.Time
	result      PollResult
	failing     error
	failedSince time.Time
	failures    int
}

// poll looks at the source until ctx ends: every [Flow.Every], sooner when a file's
// second look is due or when it is asked to, later when the source fails.
func (l *lane) poll(ctx context.Context) {
	next := time.Now()
	for {
		answer, ok := l.awaitPoll(ctx, next)
		if !ok {
			l.leavePoll(ctx)
			return
		}
		began := time.Now()
		due, res, err := l.look(ctx)
		if ctx.Err() != nil {
			l.leavePoll(ctx)
			return
		}
		next = l.polled(began, due, res, err)
		if answer != nil {
			answer <- pollAnswer{res, err} // it has room for one
		}
	}
}

// leavePoll has the journal forget what is over before the poller ends.
func (l *lane) leavePoll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	if err := l.forgetOver(ctx); err != nil {
		l.log.Warn("end marks", "error", err)
	}
}

// awaitPoll waits for the next poll. While the flow is paused only somebody who
// asks for a poll gets one.
func (l *lane) awaitPoll(ctx context.Context, next time.Time) (chan pollAnswer, bool) {
	for {
		shut, turn := l.gate.state()
		timer, kick := make(<-chan time.Time), l.kick
		if shut {
			kick = nil
		} else {
			t := time.NewTimer(time.Until(next))
			defer t.Stop()
			timer = t.C
		}
		select {
		case <-ctx.Done():
			return nil, false
		case answer := <-l.ask:
			return answer, true
		case <-turn:
		case <-timer:
			return nil, true
		case <-kick:
			return nil, true
		}
	}
}

// polled notes a poll and returns when the next one is due.
func (l *lane) polled(began, due time.Time, res PollResult, err error) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.polls
	wait := l.f.every()
	if err != nil {
		if p.failures == 0 {
			p.failedSince = l.r.Now()
		}
		p.failures++
		for range min(p.failures, 10) - 1 {
			wait *= 2
		}
		wait = max(l.f.every(), min(wait, maxBackoff))
		due = time.Time{}
		l.log.Warn("poll source", "error", err, "hint", fault.HintOf(err), "again_in", wait)
	} else if p.failures > 0 {
		l.log.Info("source answers again", "after_failures", p.failures)
		p.failures = 0
	}
	p.failing, p.result, p.last = err, res, l.r.Now()
	next := began.Add(wait)
	if !due.IsZero() && due.Before(next) {
		// Many files that become ready one after the other share a look.
		next = due
		if earliest := began.Add(l.f.Ready.wait() / 4); next.Before(earliest) {
			next = earliest
		}
	}
	p.next = p.last.Add(time.Until(next))
	return next
}

// look lists the source once, claims what is ready and returns when the first file
// that is not will be.
func (l *lane) look(ctx context.Context) (due time.Time, res PollResult, err error) {
	l.gen++
	began := time.Now()
	var batch []Transfer
	for f, err := range l.f.Source.List(ctx) {
		if err != nil {
			return due, res, err
		}
		if res.Listed++; res.Listed > maxListed {
			return due, res, fault.New(fault.Full, "source lists over %d files", maxListed).
				WithHint("narrow match:, or spread the files over several directories")
		}
		if err := l.returned(ctx, f); err != nil {
			return due, res, err
		}
		ready, at, err := l.consider(f, began)
		switch {
		case err != nil:
			return due, res, err
		case ready:
			batch = append(batch, l.transfer(f))
		case !at.IsZero():
			res.Waiting++
			if due.IsZero() || at.Before(due) {
				due = at
			}
		}
		if len(batch) == claimBatch {
			n, err := l.claim(ctx, batch)
			if res.Claimed += n; err != nil {
				return due, res, err
			}
			batch = batch[:0]
		}
	}
	n, err := l.claim(ctx, batch)
	if res.Claimed += n; err != nil {
		return due, res, err
	}
	return due, res, l.sweep(ctx, began)
}

// consider decides about one listed file: ready now, or not before a moment, or
// (neither) not for us.
func (l *lane) consider(f File, began time.Time) (ready bool, at time.Time, err error) {
	if f.Path.Temporary() {
		return false, at, nil
	}
	if l.f.Filter != nil {
		ok, err := l.f.Filter.Match(f.env(l.r.Now(), l.f.Name))
		if err != nil || !ok {
			return false, at, err
		}
	}
	if !l.claimable(f, began) {
		return false, at, nil
	}
	wait, now := l.f.Ready.wait(), time.Now()
	s, ok := l.seen[f.Path]
	if !ok || !s.file.same(f) {
		s = sighting{file: f, since: now}
	}
	s.gen = l.gen
	l.seen[f.Path] = s
	if now.Sub(s.since) < wait {
		return false, s.since.Add(wait), nil
	}
	delete(l.seen, f.Path)
	return true, at, nil
}

// claimable reports whether the file is new, and no older version of it is under
// way. A file that stays listed, as it was, after it was deleted or moved is left
// alone: the source may not have done what it said, and to carry it again would be
// to deliver it again at every poll.
func (l *lane) claimable(f File, began time.Time) bool {
	k := keyOf(l.f.Source.Properties().Identity, f)
	l.mu.Lock()
	defer l.mu.Unlock()
	if m, ok := l.known[k]; ok {
		m.gen = l.gen
		if m.ends && !m.warned && m.done.Before(began) {
			m.warned = true
			l.log.Warn("file is still listed as it was when it was done with; left alone until it changes or goes",
				"transfer", k.id(l.f.Name), "file", f.Path)
		}
		l.known[k] = m
		return false
	}
	_, open := l.paths[f.Path]
	return !open && len(l.paths) < maxWaiting
}

// sweep ends, after a complete listing, what is over: sightings of files that are
// gone, and marks whose file is no longer listed.
func (l *lane) sweep(ctx context.Context, began time.Time) error {
	for p, s := range l.seen {
		if s.gen != l.gen {
			delete(l.seen, p)
		}
	}
	l.mu.Lock()
	for k, m := range l.known {
		// A transfer done while the listing ran may be missing from it by chance.
		if m.ends && !m.over && m.gen != l.gen && m.done.Before(began) {
			m.over = true
			l.known[k] = m
			l.over = append(l.over, k.id(l.f.Name))
		}
	}
	due := len(l.over) >= claimBatch || time.Since(l.forgot) > forgetEvery
	l.mu.Unlock()
	if !due {
		return nil
	}
	return l.forgetOver(ctx)
}

// forgetOver has the journal forget the marks that are over. It does so for many
// at a time, since each time costs syncs.
func (l *lane) forgetOver(ctx context.Context) error {
	l.mu.Lock()
	ids := l.over
	l.over, l.forgot = nil, time.Now()
	l.mu.Unlock()
	if err := l.forget(ctx, ids); err != nil {
		l.mu.Lock()
		l.over = append(l.over, ids...)
		l.mu.Unlock()
		return err
	}
	return nil
}

// returned sees to a file that is listed again, just as it was, after it had been
// gone: its mark must be forgotten before it can be claimed.
func (l *lane) returned(ctx context.Context, f File) error {
	k := keyOf(l.f.Source.Properties().Identity, f)
	l.mu.Lock()
	over := l.known[k].over
	l.mu.Unlock()
	if !over {
		return nil
	}
	id := k.id(l.f.Name)
	if err := l.forget(ctx, []string{id}); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// What is claimed under this id from here on must not be forgotten with the rest.
	l.over = slices.DeleteFunc(l.over, func(o string) bool { return o == id })
	return nil
}
