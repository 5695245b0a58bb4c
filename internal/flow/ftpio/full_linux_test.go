package ftpio_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/flow/flowtest"
	"sallyport.dev/internal/flow/ftpio"
	"sallyport.dev/internal/testkit"
)

// TestFullDisk: a sink without room says so, keeps nothing half, and gets the file
// once there is room.
func TestFullDisk(t *testing.T) {
	dir := testkit.SmallDisk(t, 1)
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 900<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("x"), 512<<10)
	sink := &ftpio.LocalSink{Path: dir}
	_, err := sink.Write(t.Context(), ".sallyport-0-1-0.part", bytes.NewReader(data))
	if fault.KindOf(err) != fault.Full || fault.HintOf(err) == "" {
		t.Errorf("got %v, hint %q want full, and what to do", err, fault.HintOf(err))
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("got %v, %v want the filler alone", names, err)
	}

	src := &flowtest.Folder{Name: "src"}
	src.Put("a", data, time.Now())
	r := flow.Runner{Journal: &flowtest.Journal{}, Flows: []flow.Flow{{
		Name: "f", Source: src, Sinks: []flow.Delivery{{Sink: sink}}, Ready: flow.Ready{When: flow.Always},
		After: flow.After{Do: flow.Delete}, Retry: flow.Retry{First: 50 * time.Millisecond, Max: 100 * time.Millisecond, Attempts: 1000},
	}}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for freed := false; ; <-tick.C {
		s := r.Snapshot()[0]
		if !freed && s.Retries >= 3 {
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			freed = true
		}
		if s.Done == 1 || s.Failed > 0 {
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes, %v want %d", len(got), err, len(data))
	}
	if left := src.Names(); len(left) > 0 {
		t.Errorf("left at the source: %q", left)
	}
}
