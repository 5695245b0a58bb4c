package flow

import (
	"context"
	"errors"
	"time"

	"sallyport.dev/internal/fault"
)

// settleTime bounds the writing down of how an attempt ended when the process has
// been asked to stop.
const settleTime = 5 * time.Second

// settle writes down how an attempt ended, and says what is to become of its task.
func (l *lane) settle(ctx context.Context, t *Transfer, err error) verdict {
	if err == nil {
		return verdict{}
	}
	if je := (*journalError)(nil); errors.As(err, &je) {
		return l.unwritten(t, err)
	}
	stopped := ctx.Err() != nil
	wctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	t.Running = false
	t.Deaths = 0
	switch {
	case stopped:
		// Asked to stop: nobody's failure.
		if err := l.update(wctx, t); err != nil {
			return l.unwritten(t, err)
		}
		l.log.Info("transfer interrupted by the stop", "transfer", t.ID, "file", t.File.Path, "state", t.State)
		return verdict{again: true}
	case t.fail(l.r.Now(), err, l.f.Retry):
		if t.State == Claimed {
			l.discard(wctx, t)
		}
		if err := l.bury(wctx, t); err != nil {
			return l.unwritten(t, err)
		}
		return verdict{}
	}
	delay := t.Delay
	if err := l.update(wctx, t); err != nil {
		return l.unwritten(t, err)
	}
	l.count(func(c *counters) { c.retries++ })
	l.log.Warn("transfer failed", "transfer", t.ID, "file", t.File.Path, "state", t.State, "attempt", t.Begun,
		"error", err, "hint", fault.HintOf(err), "again_in", delay)
	l.mu.Lock()
	l.asleep[t.ID] = struct{}{}
	l.mu.Unlock()
	return verdict{again: true, after: delay}
}

// fail notes a failed attempt and reports whether it was the last.
func (t *Transfer) fail(now time.Time, err error, r Retry) (last bool) {
	t.note(now, err)
	t.Fails++
	if t.Fails >= r.attempts() || hopeless(err) {
		return true
	}
	t.Delay = r.delay(t.Fails)
	t.NotBefore = now.Add(t.Delay)
	return false
}

// hopeless reports whether another attempt would meet the same: a name that is
// taken and may not be, a request that is malformed or that the peer does not know.
func hopeless(err error) bool {
	switch fault.KindOf(err) {
	case fault.Exists, fault.Invalid, fault.Unsupported:
		return true
	default:
		return false
	}
}

// bury makes the transfer a dead letter.
func (l *lane) bury(ctx context.Context, t *Transfer) error {
	t.FailedIn, t.State, t.Running = t.State, Failed, false
	t.Updated = l.r.Now()
	if err := l.r.Journal.Bury(ctx, t); err != nil {
		return &journalError{err}
	}
	l.remember(t)
	l.count(func(c *counters) { c.failed++ })
	l.log.Error("transfer is a dead letter", "transfer", t.ID, "file", t.File.Path, "state", t.FailedIn,
		"attempts", t.Begun, "error", t.LastError())
	return nil
}

// unwritten is what happens when the journal did not take a record. Nothing more is
// done for the transfer: what the journal last knew is what counts.
func (l *lane) unwritten(t *Transfer, err error) verdict {
	l.mu.Lock()
	l.lost[t.ID] = struct{}{}
	l.mu.Unlock()
	if errors.Is(err, ErrStale) {
		l.log.Info("transfer is in other hands", "transfer", t.ID)
		return verdict{again: true, after: Heartbeat}
	}
	l.log.Error("transfer not written down", "transfer", t.ID, "file", t.File.Path, "error", err, "hint", fault.HintOf(err))
	return verdict{again: true, after: journalPause}
}
