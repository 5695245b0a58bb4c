package jetstream_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/flow/flowtest"
	"sallyport.dev/internal/flow/jetstream"
	"sallyport.dev/internal/testkit"
)

// fillUp takes all the room but some KiB, and returns how to give it back.
func fillUp(t *testing.T, dir string, leave int64) (empty func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, int64(s.Bavail)*s.Bsize-leave<<10); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFloor: a journal whose disk is short of room claims nothing, says so, and
// finishes what it has.
func TestFloor(t *testing.T) {
	dir := testkit.SmallDisk(t, 64)
	j, err := jetstream.Open(t.Context(), jetstream.Options{Dir: dir, MinFree: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}()
	c, err := j.Claim(t.Context(), []flow.Transfer{numbered(0)})
	if err != nil {
		t.Fatal(err)
	}
	empty := fillUp(t, dir, 8<<10)
	_, err = j.Claim(t.Context(), []flow.Transfer{numbered(1)})
	if fault.KindOf(err) != fault.Full || !strings.Contains(err.Error(), "16 MiB") || fault.HintOf(err) == "" {
		t.Errorf("claim below the floor: got %v, hint %q", err, fault.HintOf(err))
	}
	if _, err := j.Get(t.Context(), numbered(1).ID); fault.KindOf(err) != fault.NotFound {
		t.Errorf("what was refused: got %v want not-found", err)
	}
	c[0].Transfer.State = flow.Done
	if err := j.Update(t.Context(), &c[0].Transfer); err != nil {
		t.Errorf("update below the floor: %v", err)
	}
	empty()
	if _, err := j.Claim(t.Context(), []flow.Transfer{numbered(1)}); err != nil {
		t.Errorf("claim with room again: %v", err)
	}
}

func numbered(n int) flow.Transfer {
	return flow.Transfer{
		ID: fmt.Sprintf("f.%032x", n), Flow: "f", State: flow.Claimed, Begun: 1,
		Source: strings.Repeat("x", 2000), Claimed: time.Unix(int64(n), 0).UTC(),
	}
}

// TestJournalOnAFullDisk fills the disk to the last byte under a journal without a
// floor. What was acknowledged is there afterwards, nothing hangs, and the journal
// works again by itself once there is room.
func TestJournalOnAFullDisk(t *testing.T) {
	dir := testkit.SmallDisk(t, 16)
	testkit.NoLeaks(t)
	open := func() *jetstream.Journal {
		j, err := jetstream.Open(t.Context(), jetstream.Options{Dir: dir, MinFree: -1})
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	j := open()
	empty := fillUp(t, dir, 256)
	var stored []flow.Transfer
	for i := 0; ; i++ {
		c, err := j.Claim(t.Context(), []flow.Transfer{numbered(i)})
		if err != nil {
			if fault.KindOf(err) != fault.Full {
				t.Errorf("claim on a full disk: got %v want full", err)
			}
			break
		}
		if stored = append(stored, c[0].Transfer); i > 5000 {
			t.Fatal("the disk does not fill up")
		}
	}
	if len(stored) == 0 {
		t.Fatal("nothing was stored before the disk was full")
	}
	empty()
	deadline := time.After(time.Minute)
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		err := j.Update(t.Context(), &stored[0])
		if err == nil {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not back after a minute: %v", err)
		}
	}
	check := func(when string) {
		t.Helper()
		for i := range stored {
			got, err := j.Get(t.Context(), stored[i].ID)
			if err != nil || got.Rev != stored[i].Rev {
				t.Errorf("%s: %s is at %d, %v want %d", when, stored[i].ID, got.Rev, err, stored[i].Rev)
			}
		}
	}
	check("back at work")
	if _, err := j.Claim(t.Context(), []flow.Transfer{numbered(100_000)}); err != nil {
		t.Errorf("claim after that: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	j = open()
	check("opened again")
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("%d records survived", len(stored))
}

// TestFlowOverAFullDisk: the disk under a journal fills up while a flow is at work.
// It stands still, and carries everything once there is room.
func TestFlowOverAFullDisk(t *testing.T) {
	dir := testkit.SmallDisk(t, 16)
	j, err := jetstream.Open(t.Context(), jetstream.Options{Dir: dir, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	src, dst := &flowtest.Folder{Name: "src"}, &flowtest.Folder{Name: "dst"}
	const files = 600
	for i := range files {
		src.Put(flow.Path(fmt.Sprintf("%d", i)), []byte("hello"), time.Now())
	}
	r := flow.Runner{Journal: j, Flows: []flow.Flow{{
		Name: "f", Source: src, Sinks: []flow.Delivery{{Sink: dst.Sink()}}, Every: time.Second,
		Ready: flow.Ready{When: flow.Always}, After: flow.After{Do: flow.Delete},
	}}}
	empty := fillUp(t, dir, 160) // enough for some claims and not for all
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	freed := false
	for s := r.Snapshot()[0]; s.Done < files; s = r.Snapshot()[0] {
		if s.Failed > 0 {
			t.Fatalf("dead letters: %+v", s)
		}
		if !freed && s.PollError != nil {
			if fault.KindOf(s.PollError) != fault.Full {
				t.Errorf("poll: got %v want full", s.PollError)
			}
			empty()
			freed = true
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not done: %+v", s)
		}
	}
	if !freed {
		t.Error("the disk never was full")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if left := src.Names(); len(left) > 0 {
		t.Errorf("left at the source: %q", left)
	}
	for i := range files {
		if n := dst.Arrivals(flow.Path(fmt.Sprintf("%d", i))); n != 1 {
			t.Errorf("file %d arrived %d times", i, n)
		}
	}
}
