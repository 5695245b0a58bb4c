package filetree_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/filetree"
)

// begin starts an upload of text and does not end it.
func begin(t *testing.T, tr *filetree.Tree, name, text string) filetree.Upload {
	t.Helper()
	u, err := tr.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.File().WriteString(text); err != nil {
		t.Fatal(err)
	}
	return u
}

// holds wants the tree's folder to have these files, as "name=text".
func holds(t *testing.T, dir string, want ...string) {
	t.Helper()
	var got []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		got = append(got, filepath.ToSlash(rel)+"="+string(text))
		return err
	})
	if err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// TestKeepParts: what was cut can be gone on with; what never began leaves all as it was.
func TestKeepParts(t *testing.T) {
	tr, dir := tree(t, "old=old")
	tr.KeepParts = true
	for name, text := range map[string]string{"/new": "ne", "/old": "replaced in pa", "/none": ""} {
		if err := begin(t, tr, name, text).Abort(); err != nil {
			t.Fatal(err)
		}
	}
	holds(t, dir, "new=ne", "old=replaced in pa")
	if err := begin(t, tr, "/old", "").Abort(); err != nil {
		t.Fatal(err)
	}
	u, err := tr.Resume("/new", -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.File().WriteString("w"); err != nil {
		t.Fatal(err)
	}
	if err := u.Commit(); err != nil {
		t.Fatal(err)
	}
	holds(t, dir, "new=new", "old=replaced in pa")
}

// TestKeepExisting: no upload changes a file that is there, also if it came to be
// there while the upload ran.
func TestKeepExisting(t *testing.T) {
	tr, dir := tree(t, "old=old")
	tr.KeepExisting = true
	for what, try := range map[string]func() (filetree.Upload, error){
		"create": func() (filetree.Upload, error) { return tr.Create("/old") },
		"append": func() (filetree.Upload, error) { return tr.Resume("/old", -1) },
		"resume": func() (filetree.Upload, error) { return tr.Resume("/old", 1) },
	} {
		if _, err := try(); fault.KindOf(err) != fault.Exists || fault.HintOf(err) == "" {
			t.Errorf("%s: got %v, want Exists with a hint", what, err)
		}
	}
	one, two := begin(t, tr, "/new", "one"), begin(t, tr, "/new", "two")
	if err := one.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := two.Commit(); fault.KindOf(err) != fault.Exists {
		t.Errorf("the second of two: got %v, want Exists", err)
	}
	holds(t, dir, "new=one", "old=old")
}

// TestKeepRenamed: nothing is renamed over a file, and a file over nothing but itself.
func TestKeepRenamed(t *testing.T) {
	tr, dir := tree(t, "a=a", "b=b", "d/f=f")
	tr.KeepRenamed = true
	for from, to := range map[string]string{"/a": "/b", "/d": "/b", "/d/f": "/a"} {
		if err := tr.Rename(from, to); fault.KindOf(err) != fault.Exists {
			t.Errorf("%s to %s: got %v, want Exists", from, to, err)
		}
	}
	for from, to := range map[string]string{"/a": "/a", "/b": "/d/b", "/d": "/e"} {
		if err := tr.Rename(from, to); err != nil && (from != "/b" || fault.KindOf(err) != fault.NotFound) {
			t.Errorf("%s to %s: %v", from, to, err)
		}
	}
	if err := tr.Rename("/none", "/n"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("what is not there: got %v, want NotFound", err)
	}
	if err := tr.Rename("/a", "/e/a"); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "e", "a")); err != nil || string(text) != "a" {
		t.Errorf("moved: got %q, %v", text, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old name: got %v, want it gone", err)
	}
}
