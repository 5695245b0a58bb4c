package ftpio_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/flow/ftpio"
	"sallyport.dev/internal/flow/jetstream"
)

// fsyncTime measures what one sync costs in a folder.
func fsyncTime(t testing.TB, dir string) time.Duration {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const n = 200
	begin := time.Now()
	for range n {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(begin) / n
}

// carryAll runs a flow over a journal on disk until so many files are done.
func carryAll(t testing.TB, f flow.Flow, files int) time.Duration {
	t.Helper()
	j, err := jetstream.Open(t.Context(), jetstream.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := j.Close(); err != nil {
			t.Errorf("close journal: %v", err)
		}
	}()
	r := flow.Runner{Journal: j, Flows: []flow.Flow{f}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	begin := time.Now()
	go func() { ended <- r.Run(ctx) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(90 * time.Second)
	for {
		s := r.Snapshot()[0]
		if s.Done >= int64(files) {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after 90 s: %+v", s)
		}
	}
	took := time.Since(begin)
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	return took
}

// TestLocalSpeed prints figures: files a second from folder to folder, journalled
// and synced, beside what a sync costs on this disk.
func TestLocalSpeed(t *testing.T) {
	files := 300
	if testing.Short() {
		files = 100
	}
	for _, concurrency := range []int{1, 8} {
		t.Run(fmt.Sprintf("concurrency%d", concurrency), func(t *testing.T) {
			src, dst := disk(t.TempDir()), disk(t.TempDir())
			data := bytes.Repeat([]byte("x"), 4096)
			for i := range files {
				src.put(t, fmt.Sprintf("%d.xml", i), data, time.Now())
			}
			took := carryAll(t, flow.Flow{
				Name: "speed", Concurrency: concurrency, Every: time.Second,
				Source: &ftpio.LocalSource{Path: string(src)},
				Sinks:  []flow.Delivery{{Sink: &ftpio.LocalSink{Path: string(dst)}}},
				Ready:  flow.Ready{When: flow.Always},
				After:  flow.After{Do: flow.Delete},
			}, files)
			for i := range files {
				name := fmt.Sprintf("%d.xml", i)
				if got, _ := dst.get(t, name); !bytes.Equal(got, data) {
					t.Errorf("%s: got %d bytes", name, len(got))
				}
				if _, there := src.get(t, name); there {
					t.Errorf("%s is still at the source", name)
				}
			}
			t.Logf("%d files of 4 KiB in %v: %.0f files/s; a sync takes %v here", files, took.Round(time.Millisecond),
				float64(files)/took.Seconds(), fsyncTime(t, t.TempDir()))
		})
	}
}
