package filetree_test

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/filetree"
	"sallyport.dev/internal/testkit"
)

// TestFullDisk fills a disk of one megabyte: the upload fails with its kind, the
// file that was to be replaced stays, no part does.
func TestFullDisk(t *testing.T) {
	testkit.NeedRoot(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		testkit.Need(t, false, "the right to mount a tmpfs", "run the tests as root on a machine that allows it")
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	testkit.MakeFS(t, dir, []string{"f=old"})
	tr, err := filetree.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close() //nolint:errcheck // only a directory
	u, err := tr.Create("/f")
	if err != nil {
		t.Fatal(err)
	}
	_, err = u.File().Write(make([]byte, 2<<20))
	if fault.KindOf(err) != fault.Full {
		t.Errorf("write: got %v, want no room", err)
	}
	if err := u.Abort(); err != nil {
		t.Error(err)
	}
	f, err := tr.Open("/f")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil || string(b) != "old" {
		t.Errorf("the old file: got %q, %v", b, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left on the disk: %v, %v", entries, err)
	}
}
