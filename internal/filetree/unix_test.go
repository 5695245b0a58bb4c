//go:build unix

package filetree_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"sallyport.dev/internal/fault"
)

// TestSpecialFiles wants pipes and devices refused, at once and untouched.
func TestSpecialFiles(t *testing.T) {
	tr, dir := tree(t, "f=x")
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	// A reader makes the pipe one that opening for writing succeeds on.
	r, err := os.OpenFile(filepath.Join(dir, "pipe"), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // only read
	for op, do := range operations(tr) {
		switch op {
		case "stat", "remove", "take":
			continue // a pipe may be seen, deleted and moved
		}
		err := do("/pipe")
		if k := fault.KindOf(err); k != fault.Denied && k != fault.Exists && k != fault.NotFound {
			t.Errorf("%s: got %v, want a refusal", op, err)
		}
	}
	if info, err := os.Lstat(filepath.Join(dir, "pipe")); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		t.Errorf("the pipe: got %v, %v, want it as it was", info, err)
	}
}

// TestModeKept: a file that is replaced hands on who may read it.
func TestModeKept(t *testing.T) {
	tr, dir := tree(t, "f=x")
	if err := os.Chmod(filepath.Join(dir, "f"), 0o640); err != nil {
		t.Fatal(err)
	}
	u, err := tr.Create("/f")
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Commit(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "f")); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode: got %v, %v, want 0640", info.Mode(), err)
	}
}
