package filetree_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"sallyport.dev/internal/filetree"
	"sallyport.dev/internal/testkit"
)

// TestDirAgrees compares what is read of a folder, in many batches, with what the
// standard library says of each name.
func TestDirAgrees(t *testing.T) {
	root := t.TempDir()
	testkit.MakeFS(t, root, []string{"a folder/", "set=id", "l => nowhere", "..x=hidden", "\xff\x01=bytes", ".sallyport-0123456789abcdef.part=hidden"})
	for i := range 3000 {
		if err := os.WriteFile(filepath.Join(root, fmt.Sprintf("file %d", i)), make([]byte, i%7), fs.FileMode(0o600+i%0o77)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(root, "set"), fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky|0o751); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(root, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tree, err := filetree.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	want := map[string]fs.FileInfo{}
	names, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if filetree.IsPart(n.Name()) {
			continue
		}
		if want[n.Name()], err = os.Lstat(filepath.Join(root, n.Name())); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time in memory that was used
		agree(t, tree, want)
	}
}

func agree(t *testing.T, tree *filetree.Tree, want map[string]fs.FileInfo) {
	t.Helper()
	d, err := tree.ReadDir("/")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for {
		infos, err := d.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range infos {
			w := want[got.Name()]
			switch {
			case w == nil || seen[got.Name()]:
				t.Errorf("%q: once too often", got.Name())
			case got.Size() != w.Size() || got.Mode() != w.Mode() || !got.ModTime().Equal(w.ModTime()) || got.IsDir() != w.IsDir():
				t.Errorf("%q: got %d, %v, %v, want %d, %v, %v", got.Name(), got.Size(), got.Mode(), got.ModTime(), w.Size(), w.Mode(), w.ModTime())
			}
			seen[got.Name()] = true
		}
	}
	if len(seen) != len(want) {
		t.Errorf("got %d names, want %d", len(seen), len(want))
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
