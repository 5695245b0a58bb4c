package flow

import (
	"context"
	"log/slog"
	"testing"
	"time"
)

// TestRememberNeverGoesBack: a worker that is faster than the poller which claimed
// its file must not leave the lane believing that the transfer is still open, or
// no file of that name would be taken again.
func TestRememberNeverGoesBack(t *testing.T) {
	l := newLane(&Runner{Logger: slog.New(slog.DiscardHandler)}, &Flow{Name: "f"})
	f := File{Path: "a"}
	claimed := Transfer{ID: keyOf("src", f).id("f"), File: f, State: Claimed, Rev: 1}
	done := claimed
	done.State, done.After, done.Outcome, done.Rev = Done, Delete, Arrived, 5
	l.remember(&done)
	l.remember(&claimed)
	if len(l.paths) != 0 {
		t.Errorf("open transfers: %v, want none", l.paths)
	}
	if m := l.known[keyOf("src", f)]; m.state != Done || !m.ends {
		t.Errorf("remembered as %v, want done", m.state)
	}
}

// TestForgottenBeforeRemembered: a worker may even have ended a transfer without
// delivery, and had it forgotten, before the poller comes to remember the claim.
func TestForgottenBeforeRemembered(t *testing.T) {
	l := newLane(&Runner{Logger: slog.New(slog.DiscardHandler), Now: time.Now}, &Flow{Name: "f", Source: noSource{}})
	l.r.Journal = quick{l: l}
	f := File{Path: "a", Size: 1}
	if _, err := l.claim(t.Context(), []Transfer{l.transfer(f)}); err != nil {
		t.Fatal(err)
	}
	if len(l.paths) != 0 || len(l.known) != 0 || len(l.held) != 0 || len(l.claiming) != 0 {
		t.Errorf("remembered: %v, %v, held %v, claiming %v, want nothing", l.paths, l.known, l.held, l.claiming)
	}
}

type noSource struct{ Source }

func (noSource) Properties() SourceProperties { return SourceProperties{Identity: "src"} }

// quick is a journal whose transfers have ended and been forgotten by the time
// their claim is answered.
type quick struct {
	Journal
	l *lane
}

func (q quick) Claim(ctx context.Context, ts []Transfer) ([]Claim, error) {
	t := ts[0]
	t.Rev = 1
	return []Claim{{New: true, Transfer: t}}, q.l.forget(ctx, []string{t.ID})
}

func (quick) Forget(context.Context, []string) error { return nil }
