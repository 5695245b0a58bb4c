package filetree_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"sallyport.dev/internal/fault"
)

// TestReal follows links as the disk does, and nowhere else.
func TestReal(t *testing.T) {
	tr, dir := tree(t, "a/b/f")
	for name, target := range map[string]string{
		"l": "a/b", "a/up": "..", "a/b/far": "../../l/f", "abs": "/etc", "out": "../x", "loop": "loop", "dangling": "a/none", "chain": "l/../up/l/f",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"/": "/", "/a/b/f": "/a/b/f", "/l": "/a/b", "/l/f": "/a/b/f", "/a/up": "/", "/a/up/l/f": "/a/b/f", "/a/b/far": "/a/b/f",
		"/none": "/none", "/l/none": "/a/b/none", "/dangling": "/a/none", "/chain": "/a/b/f",
	} {
		if got, err := tr.Real(name); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]fault.Kind{
		"/abs": fault.Denied, "/out": fault.Denied, "/abs/passwd": fault.Denied, "/loop": fault.Denied,
		"/none/f": fault.NotFound, "/dangling/f": fault.NotFound, "a": fault.Invalid, "/a/..": fault.Invalid,
	} {
		if got, err := tr.Real(name); fault.KindOf(err) != want {
			t.Errorf("%s: got %q, %v; want kind %s", name, got, err, want)
		}
	}
}

// TestSub: a folder as a tree has walls of its own.
func TestSub(t *testing.T) {
	tr, dir := tree(t, "users/bob/f", "secret")
	if err := os.Symlink("../../secret", filepath.Join(dir, "users/bob/out")); err != nil {
		t.Fatal(err)
	}
	bob, err := tr.Sub("/users/bob", false)
	if err != nil {
		t.Fatal(err)
	}
	_, ferr := bob.Stat("/f")
	if _, err := bob.Stat("/out"); ferr != nil || fault.KindOf(err) != fault.Denied {
		t.Errorf("inside: %v; a link out of it: %v, want Denied", ferr, err)
	}
	if _, err := tr.Sub("/users/eve/new", false); fault.KindOf(err) != fault.NotFound {
		t.Errorf("missing: got %v, want NotFound", err)
	}
	eve, err := tr.Sub("/users/eve/new", true)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(bob.Close(), eve.Close()); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "users/eve/new")); err != nil || !info.IsDir() {
		t.Errorf("made: %v, %v", info, err)
	}
	if _, err := tr.Sub("/", false); fault.KindOf(err) != fault.Denied {
		t.Errorf("the top: got %v, want Denied", err)
	}
}
