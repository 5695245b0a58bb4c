package filetree_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sallyport.dev/internal/filetree"
	"sallyport.dev/internal/testkit"
)

// TestSweep removes stale parts and nothing else.
func TestSweep(t *testing.T) {
	part := func(n int) string { return fmt.Sprintf(".sallyport-%016x.part", n) }
	old := []string{part(1), "d/e/" + part(2), "d/" + part(3)}
	kept := []string{
		"f", part(4) + "x", ".sallyport-1.part", ".Sallyport-0123456789abcdef.part", ".sallyport-0123456789abcdef-1-0.part", "d/" + part(5) + "/f",
	}
	tr, dir := tree(t, append(append([]string{}, old...), kept...)...)
	long := time.Now().Add(-2 * filetree.StaleAfter)
	for _, name := range append(append([]string{}, old...), kept...) {
		if err := os.Chtimes(filepath.Join(dir, name), long, long); err != nil {
			t.Fatal(err)
		}
	}
	running := begin(t, tr, "/d/running", "slow")
	if err := os.Chtimes(running.File().Name(), long, long); err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(dir, "d", part(6)) // of a crash just now
	if err := os.WriteFile(fresh, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(filepath.Dir(dir), part(7))
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(outside, long, long); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{part(8): "f", "up": "..", "round": "d"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			testkit.Need(t, false, "the right to make links", err.Error())
		}
	}
	// A tree of its own sees the running part as another process would: its lock
	// belongs to the open file, not to the process.
	other, err := filetree.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close() //nolint:errcheck // only read
	removed, err := other.Sweep(t.Context(), filetree.StaleAfter)
	if err != nil || removed != len(old) {
		t.Errorf("got %d, %v, want %d removed", removed, err, len(old))
	}
	for _, name := range old {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: got %v, want it gone", name, err)
		}
	}
	for _, name := range append(kept, part(8), "d/"+part(6), "../"+part(7)) {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Errorf("%s: %v, want it kept", name, err)
		}
	}
	if err := running.Commit(); err != nil {
		t.Errorf("the upload that ran: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := other.Sweep(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: got %v", err)
	}
}
