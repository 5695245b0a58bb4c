package jetstream_test

import (
	"errors"
	"strings"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/flow/flowtest"
	"sallyport.dev/internal/flow/jetstream"
	"sallyport.dev/internal/testkit"
)

func open(t *testing.T, dir string) *jetstream.Journal {
	t.Helper()
	j, err := jetstream.Open(t.Context(), jetstream.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return j
}

func TestJournal(t *testing.T) {
	dirs := make(map[flow.Journal]string)
	flowtest.TestJournal(t,
		func(t *testing.T) flow.Journal {
			dir := t.TempDir()
			j := open(t, dir)
			dirs[j] = dir
			return j
		},
		func(t *testing.T, j flow.Journal) flow.Journal {
			if err := j.(*jetstream.Journal).Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, dirs[j])
		})
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := jetstream.Open(t.Context(), jetstream.Options{Dir: dir})
	if fault.KindOf(err) != fault.Busy || !strings.Contains(fault.HintOf(err), "--state") {
		t.Errorf("got %v, hint %q want busy and what to do", err, fault.HintOf(err))
	}
}

func TestClosed(t *testing.T) {
	testkit.NoLeaks(t)
	j := open(t, t.TempDir())
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Get(t.Context(), "f.00"); !errors.Is(err, flow.ErrClosed) {
		t.Errorf("Get: got %v want closed", err)
	}
	tr := flow.Transfer{ID: "f.00", State: flow.Claimed, Rev: 1}
	if err := j.Update(t.Context(), &tr); !errors.Is(err, flow.ErrClosed) {
		t.Errorf("Update: got %v want closed", err)
	}
	if _, err := j.Tasks(t.Context(), "f"); !errors.Is(err, flow.ErrClosed) {
		t.Errorf("Tasks: got %v want closed", err)
	}
}

func TestIDsAreChecked(t *testing.T) {
	j := open(t, t.TempDir())
	for _, id := range []string{"", "f", "f.", ".a", "f.>", "f.*", "f.a.b", "f a.b", "f.a\r\nPUB x", strings.Repeat("f", 600) + ".a"} {
		if _, err := j.Get(t.Context(), id); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%.20q: got %v want invalid", id, err)
		}
	}
}
