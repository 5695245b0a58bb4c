package lockfile_test

import (
	"path/filepath"
	"strings"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/lockfile"
)

func TestSecondHolderIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "lock")
	first, err := lockfile.Acquire(path, "state folder")
	if err != nil {
		t.Fatal(err)
	}
	_, err = lockfile.Acquire(path, "state folder")
	if got := fault.KindOf(err); got != fault.Busy {
		t.Fatalf("got %v (%v), want busy", got, err)
	}
	if !strings.Contains(err.Error(), "process ") || fault.HintOf(err) == "" {
		t.Errorf("refusal %q (hint %q) should name the holder and what to do", err, fault.HintOf(err))
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := lockfile.Acquire(path, "state folder")
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	if err := again.Release(); err != nil {
		t.Fatal(err)
	}
}
