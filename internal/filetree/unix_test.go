//go:build unix

package filetree_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/filetree"
	"sallyport.dev/internal/testkit"
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

// TestModesAndOwners: what is new has what the policy says, whatever the mask is.
func TestModesAndOwners(t *testing.T) {
	testkit.NeedRoot(t)
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	tr, dir := tree(t, "old=x", "shared/f=x")
	if err := errors.Join(os.Chmod(filepath.Join(dir, "old"), 0o604), os.Chmod(filepath.Join(dir, "shared"), 0o755|os.ModeSetgid)); err != nil {
		t.Fatal(err)
	}
	tr.FileMode, tr.DirMode, tr.Owner = 0o646, 0o751, &filetree.Owner{UID: 12345, GID: 23456}
	for _, name := range []string{"/new", "/old", "/cut"} {
		u := begin(t, tr, name, "x")
		if name == "/cut" {
			tr.KeepParts = true
			if err := u.Abort(); err != nil {
				t.Fatal(err)
			}
		} else if err := u.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tr.Mkdir("/d"), tr.Mkdir("/shared/e")); err != nil {
		t.Fatal(err)
	}
	home, err := tr.Sub("/homes/anna", true)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(home.Mkdir("/in"), home.Close()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{
		"new": 0o646, "cut": 0o646, "old": 0o604, "d": os.ModeDir | 0o751, "shared/e": os.ModeDir | os.ModeSetgid | 0o751,
		"homes": os.ModeDir | 0o751, "homes/anna": os.ModeDir | 0o751, "homes/anna/in": os.ModeDir | 0o751,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		who, ok := info.Sys().(*syscall.Stat_t)
		if info.Mode() != want || !ok || who.Uid != 12345 || who.Gid != 23456 {
			t.Errorf("%s: got %s of %+v, want %s of 12345, 23456", name, info.Mode(), who, want)
		}
	}
	if err := tr.SetMode("/shared/e", 0o700); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "shared/e")); err != nil || info.Mode() != os.ModeDir|os.ModeSetgid|0o700 {
		t.Errorf("chmod of a folder: got %v, %v, want it to keep setgid", info.Mode(), err)
	}
}

// TestPartIsNeverWider: nobody can open a part who may not read the file.
func TestPartIsNeverWider(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	tr, dir := tree(t, "old=x")
	if err := os.Chmod(filepath.Join(dir, "old"), 0o600); err != nil {
		t.Fatal(err)
	}
	u := begin(t, tr, "/old", "secret")
	if info, err := u.File().Stat(); err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v, %v, want 0600", info.Mode(), err)
	}
	if err := u.Commit(); err != nil {
		t.Fatal(err)
	}
}
