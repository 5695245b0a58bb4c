package flow

import (
	"log/slog"
	"testing"
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
