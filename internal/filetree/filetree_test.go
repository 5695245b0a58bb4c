package filetree_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/filetree"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/ftp/ftptest"
	"sallyport.dev/internal/testkit"
)

// tree opens a folder with the files that lines say.
func tree(t testing.TB, lines ...string) (*filetree.Tree, string) {
	t.Helper()
	// The folder is one below the temporary one, so that there is an outside.
	dir := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	testkit.MakeFS(t, dir, lines)
	tr, err := filetree.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr, dir
}

func TestConformance(t *testing.T) {
	for name, sync := range map[string]bool{"plain": false, "synced": true} {
		t.Run(name, func(t *testing.T) {
			ftptest.TestTree(t, func(t *testing.T) ftpserver.Tree {
				tr, _ := tree(t)
				tr.Sync = sync
				return tr
			})
		})
	}
}

func TestOpenMissing(t *testing.T) {
	_, err := filetree.Open(filepath.Join(t.TempDir(), "none"))
	if fault.KindOf(err) != fault.NotFound || fault.HintOf(err) == "" {
		t.Errorf("got %v, want a NotFound with a hint", err)
	}
}

// operations are all that can be done to one name.
func operations(tr *filetree.Tree) map[string]func(name string) error {
	closing := func(f io.Closer, err error) error {
		if err == nil {
			_ = f.Close()
		}
		return err
	}
	ending := func(u filetree.Upload, err error) error {
		if err != nil {
			return err
		}
		_, werr := io.WriteString(u.File(), "intruder")
		return errors.Join(werr, u.Commit())
	}
	return map[string]func(string) error{
		"stat":   func(n string) error { _, err := tr.Stat(n); return err },
		"open":   func(n string) error { f, err := tr.Open(n); return closing(f, err) },
		"list":   func(n string) error { d, err := tr.ReadDir(n); return closing(d, err) },
		"create": func(n string) error { return ending(tr.Create(n)) },
		"resume": func(n string) error { return ending(tr.Resume(n, -1)) },
		"mkdir":  tr.Mkdir,
		"rmdir":  tr.Rmdir,
		"remove": tr.Remove,
		"rename": func(n string) error { return tr.Rename("/own", n) },
		"chmod":  func(n string) error { return tr.SetMode(n, 0o640) },
		"time":   func(n string) error { return tr.SetTime(n, time.Unix(1e9, 0)) },
		"free":   func(n string) error { _, err := tr.Free(n); return err },
		"take":   func(n string) error { return tr.Rename(n, "/taken") },
	}
}

// TestLinksOut has links that lead out of the folder in every way there is, and
// every operation through them. Outside nothing is read, made or changed.
func TestLinksOut(t *testing.T) {
	for op := range operations(nil) {
		t.Run(op, func(t *testing.T) {
			tr, dir := tree(t, "own=mine", "sub/", "rel => ../outside", "sub/deep => ../../outside", "over => sub/../../outside")
			outside := filepath.Join(filepath.Dir(dir), "outside")
			testkit.MakeFS(t, outside, []string{"f=secret", "d/"})
			if err := os.Symlink(outside, filepath.Join(dir, "abs")); err != nil {
				t.Fatal(err)
			}
			do := operations(tr)[op]
			for _, link := range []string{"/rel", "/sub/deep", "/over", "/abs"} {
				for _, name := range []string{link + "/f", link + "/d", link + "/new"} {
					if err := do(name); err == nil {
						t.Errorf("%s %q: got no error", op, name)
					} else if fault.KindOf(err) == fault.Internal {
						t.Errorf("%s %q: got %v, want a kind", op, name, err)
					}
				}
			}
			if b, err := os.ReadFile(filepath.Join(outside, "f")); err != nil || string(b) != "secret" {
				t.Errorf("the file outside: got %q, %v", b, err)
			}
			if entries, err := os.ReadDir(outside); err != nil || len(entries) != 2 {
				t.Errorf("the folder outside: got %v, %v, want d and f alone", entries, err)
			}
			if b, err := os.ReadFile(filepath.Join(dir, "own")); err != nil || string(b) != "mine" {
				t.Errorf("the file that was to be moved: got %q, %v", b, err)
			}
		})
	}
}

// TestLinkItself: what ends at a link that leads out touches the link, never its
// target.
func TestLinkItself(t *testing.T) {
	tr, dir := tree(t, "own=mine", "out => ../outside", "dangling => nowhere", "in => own")
	testkit.MakeFS(t, filepath.Dir(dir), []string{"outside=secret"})
	for _, name := range []string{"/out", "/dangling"} {
		if _, err := tr.Open(name); err == nil {
			t.Errorf("open %q: got no error", name)
		}
		if _, err := tr.Stat(name); err == nil {
			t.Errorf("stat %q: got no error", name)
		}
	}
	if f, err := tr.Open("/in"); err != nil {
		t.Errorf("open a link within: %v", err)
	} else if err := f.Close(); err != nil {
		t.Error(err)
	}
	u, err := tr.Create("/out") // takes the link's place
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := tr.Remove("/dangling"); err != nil {
		t.Errorf("remove a dangling link: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(filepath.Dir(dir), "outside")); err != nil || string(b) != "secret" {
		t.Errorf("the file outside: got %q, %v", b, err)
	}
}

// TestLinkSwapped turns a folder into a link that leads out, and back, while
// every operation goes through it.
func TestLinkSwapped(t *testing.T) {
	tr, dir := tree(t, "own=mine", "swap/f=fine", "keep/")
	outside := filepath.Join(filepath.Dir(dir), "outside")
	testkit.MakeFS(t, outside, []string{"f=secret", "d/"})
	swap, aside := filepath.Join(dir, "swap"), filepath.Join(dir, "aside")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := errors.Join(os.Rename(swap, aside), os.Symlink(outside, swap), os.Remove(swap), os.Rename(aside, swap)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 300 {
		for op, do := range operations(tr) {
			if op == "rmdir" || op == "take" || op == "rename" {
				continue // would end the game
			}
			for _, name := range []string{"/swap/f", "/swap/new"} {
				_ = do(name) // may work or not: what counts is what happened outside
			}
		}
		if f, err := tr.Open("/swap/f"); err == nil {
			if b, err := io.ReadAll(f); err != nil || string(b) == "secret" {
				t.Fatalf("read %q, %v through a link that leads out", b, err)
			}
			_ = f.Close()
		}
		if d, err := tr.ReadDir("/swap"); err == nil {
			for infos, err := d.Next(); err == nil; infos, err = d.Next() {
				for _, info := range infos {
					if info.Name() == "d" {
						t.Fatal("listed a folder outside")
					}
				}
			}
			_ = d.Close()
		}
	}
	close(stop)
	wg.Wait()
	if b, err := os.ReadFile(filepath.Join(outside, "f")); err != nil || string(b) != "secret" {
		t.Errorf("the file outside: got %q, %v", b, err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 2 {
		t.Errorf("the folder outside: got %v, %v, want d and f alone", entries, err)
	}
}

// TestCommitAfterSwap publishes where the upload began, wherever its folder's
// name leads by then.
func TestCommitAfterSwap(t *testing.T) {
	tr, dir := tree(t, "d/")
	outside := filepath.Join(filepath.Dir(dir), "outside")
	testkit.MakeFS(t, outside, []string{"a=secret"})
	u, err := tr.Create("/d/a")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Rename(filepath.Join(dir, "d"), filepath.Join(dir, "e")), os.Symlink(outside, filepath.Join(dir, "d"))); err != nil {
		t.Fatal(err)
	}
	if err := u.Commit(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(outside, "a")); err != nil || string(b) != "secret" {
		t.Errorf("the file outside: got %q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "e", "a")); err != nil {
		t.Errorf("the upload: %v", err)
	}
}

func TestIsPart(t *testing.T) {
	tr, _ := tree(t)
	u, err := tr.Create("/a")
	if err != nil {
		t.Fatal(err)
	}
	if name := filepath.Base(u.File().Name()); !filetree.IsPart(name) {
		t.Errorf("IsPart(%q): got false for a part", name)
	}
	if err := u.Abort(); err != nil {
		t.Fatal(err)
	}
	if name := ".Sallyport-0123456789ABCDEF.PART"; !filetree.IsPart(name) {
		t.Errorf("IsPart(%q): got false, though a disk may take it for a part's name", name)
	}
	for _, name := range []string{"", "a", ".sallyport-.part", ".sallyport-0123456789abcdeg.part", ".sallyport-0123456789abcdef", "0123456789abcdef.part", "x.sallyport-0123456789abcdef.part"} {
		if filetree.IsPart(name) {
			t.Errorf("IsPart(%q): got true", name)
		}
	}
}
