package access_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport.dev/internal/access"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/filetree"
)

// site is a folder with rules.
type site struct {
	dir    string
	tree   *filetree.Tree
	access access.Site
}

// newSite makes files, each with its own name as content; "a -> b" is a link.
func newSite(t testing.TB, folders []string, files ...string) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	for _, f := range files {
		name, target, link := strings.Cut(f, " -> ")
		full := filepath.Join(s.dir, name)
		err := os.MkdirAll(filepath.Dir(full), 0o755)
		if link {
			err = errors.Join(err, os.Symlink(target, full))
		} else {
			err = errors.Join(err, os.WriteFile(full, []byte("/"+name), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tree, err := filetree.Open(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	s.tree, s.access.Folders = tree, folders
	return s
}

func (s *site) guard(rules ...access.Rule) *access.Guard {
	return s.access.Guard(s.tree, "/", access.New(rules...))
}

// everything is each operation on one name.
func everything(g *access.Guard, name string) map[string]error {
	did := map[string]error{}
	_, did["stat"] = g.Stat(name)
	_, did["free"] = g.Free(name)
	did["time"] = g.SetTime(name, time.Now())
	did["mode"] = g.SetMode(name, 0o600)
	d, err := g.ReadDir(name)
	if did["list"] = err; err == nil {
		_ = d.Close()
	}
	f, err := g.Open(name)
	if did["read"] = err; err == nil {
		_ = f.Close()
	}
	for verb, start := range map[string]func() (access.Upload, error){
		"create": func() (access.Upload, error) { return g.Create(name) },
		"resume": func() (access.Upload, error) { return g.Resume(name, -1) },
	} {
		u, err := start()
		if did[verb] = err; err == nil {
			_ = u.Abort()
		}
	}
	did["mkdir"] = g.Mkdir(name)
	did["rename from"] = g.Rename(name, "/in/moved")
	did["rename to"] = g.Rename("/in/a", name)
	did["rmdir"] = g.Rmdir(name)
	did["remove"] = g.Remove(name)
	return did
}

// TestDeniedIsClosed tries every operation on what is denied, by its own name, by
// names in another case and through links, and each is refused in words that give
// nothing away.
func TestDeniedIsClosed(t *testing.T) {
	s := newSite(t, []string{"/secret", "/in"},
		"secret/f", "secret/sub/g", "pub/f", "in/a", "in/link -> ../secret", "in/file -> ../secret/f", "pub/way -> ../in/link/sub",
		"in/loop -> loop", "in/up -> ../../..")
	g := s.guard(
		access.Rule{Path: "/", Allow: true, What: access.Read},
		access.Rule{Path: "/in", Allow: true, What: access.Read | access.Write},
		access.Rule{Path: "/secret", What: access.Read | access.Write},
	)
	follows := []string{"stat", "free", "list", "read", "resume", "time", "mode"}
	for _, name := range []string{"/secret", "/secret/f", "/secret/none", "/SECRET/f", "/in/link/f", "/in/link/none", "/pub/way/g", "/in/link", "/in/file", "/in/loop", "/in/up", "/in/up/etc"} {
		for op, err := range everything(g, name) {
			switch {
			case path.Dir(name) == "/in" && !slices.Contains(follows, op):
				continue // the link itself is his
			case err == nil:
				t.Errorf("%s %s: allowed", op, name)
			case strings.Contains(err.Error(), s.dir):
				t.Errorf("%s %s: says %v", op, name, err)
			case strings.HasPrefix(strings.ToLower(name), "/secret") && fault.KindOf(err) != fault.Denied:
				t.Errorf("%s %s: gives away %v", op, name, err)
			}
		}
	}
	if b, err := os.ReadFile(filepath.Join(s.dir, "secret/f")); err != nil || string(b) != "/secret/f" {
		t.Errorf("afterwards: %q, %v", b, err)
	}
}

func names(t *testing.T, g *access.Guard, name string) string {
	t.Helper()
	d, err := g.ReadDir(name)
	if err != nil {
		return err.Error()
	}
	defer d.Close() //nolint:errcheck // only read
	var all []string
	for {
		infos, err := d.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			slices.Sort(all)
			return strings.Join(all, " ")
		}
		for _, i := range infos {
			all = append(all, i.Name())
		}
	}
}

// TestListings show what may be read and the way to what may be used.
func TestListings(t *testing.T) {
	s := newSite(t, nil, "a/b/mine/f", "a/b/other/f", "a/x", "drop/old", "pub/f")
	g := s.guard(
		access.Rule{Path: "/a/b/mine", Allow: true, What: access.Read},
		access.Rule{Path: "/drop", Allow: true, What: access.Write},
	)
	for name, want := range map[string]string{
		"/": "a drop", "/a": "b", "/a/b": "mine", "/a/b/mine": "f", "/drop": "", "/pub": `you may not read "/pub"`,
	} {
		if got := names(t, g, name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if _, err := g.Open("/drop/old"); fault.KindOf(err) != fault.Denied {
		t.Errorf("read from a drop box: %v", err)
	}
	u, err := g.Create("/drop/new")
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Commit(); err != nil {
		t.Fatal(err)
	}
}

// TestMoves: nothing is moved out of the reach of a rule.
func TestMoves(t *testing.T) {
	s := newSite(t, []string{"/a/drop", "/a/others"}, "a/drop/f", "a/others/f", "a/f", "a/d/g")
	g := s.guard(
		access.Rule{Path: "/", Allow: true, What: access.Read | access.Write},
		access.Rule{Path: "/a/drop", What: access.Read},
	)
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"/a/drop/f", "/a/seen", false},
		{"/a/drop", "/drop2", false},
		{"/a/others", "/o", false}, // a rule for somebody else
		{"/a", "/b", false},
		{"/a/f", "/a/others", false},
		{"/a/d", "/a/e", true},
		{"/a/f", "/a/drop/f2", true},
		{"/a/drop/f2", "/a/drop/f3", true},
	} {
		if err := g.Rename(c.from, c.to); (err == nil) != c.ok || err != nil && fault.KindOf(err) != fault.Denied {
			t.Errorf("%s to %s: got %v, want allowed %v", c.from, c.to, err, c.ok)
		}
	}
}

// TestHome: rules are about the site's paths, also for who sees a part of it.
func TestHome(t *testing.T) {
	s := newSite(t, []string{"/users/bob/private"}, "users/bob/f", "users/bob/private/f")
	home, err := s.tree.Sub("/users/bob", false)
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close() //nolint:errcheck // only read
	g := s.access.Guard(home, "/users/bob", access.New(
		access.Rule{Path: "/users", Allow: true, What: access.Read},
		access.Rule{Path: "/users/bob/private", What: access.Read}))
	if got := names(t, g, "/"); got != "f" {
		t.Errorf("home: got %q", got)
	}
	if _, err := g.Stat("/private/f"); fault.KindOf(err) != fault.Denied {
		t.Errorf("got %v, want Denied", err)
	}
}

// TestMovingWhileReading swaps a folder for one with a link in it, over and over,
// while somebody reads through the name: never does he read what is denied.
func TestMovingWhileReading(t *testing.T) {
	s := newSite(t, []string{"/secret"}, "secret/f", "in/plain/x/f", "in/linked/x -> ../../secret")
	g := s.guard(
		access.Rule{Path: "/", Allow: true, What: access.Read | access.Write},
		access.Rule{Path: "/secret", What: access.Read | access.Write},
	)
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		for range 300 {
			for _, d := range []string{"plain", "linked"} {
				for _, move := range [][2]string{{"/in/" + d, "/in/now"}, {"/in/now", "/in/" + d}} {
					if err := g.Rename(move[0], move[1]); err != nil {
						t.Error(err)
						return
					}
				}
			}
		}
	})
	read := 0
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		f, err := g.Open("/in/now/x/f")
		if err != nil {
			continue
		}
		b, err := io.ReadAll(f)
		_ = f.Close()
		if err != nil || string(b) != "/in/plain/x/f" {
			t.Fatalf("read %q, %v", b, err)
		}
		read++
	}
	wg.Wait()
	t.Logf("read %d times", read)
}

// FuzzGuard plays operations of one who must not read /secret, nor change /fixed,
// and looks afterwards whether he did.
func FuzzGuard(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	f.Add([]byte("move the link to where it can be read"))
	pool := []string{"/", "/secret", "/secret/f", "/in", "/in/l", "/in/l/f", "/in/d", "/in/d/f", "/fixed", "/fixed/f", "/in/m", "/in/m/f", "/Secret/f", "/in/d/l", "/in/d/l/f", "/secret/n"}
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 120 {
			return
		}
		s := newSite(t, []string{"/secret", "/fixed"}, "secret/f", "fixed/f", "in/d/f", "in/l -> ../secret", "in/d/l -> ../../secret", "in/m -> ../fixed")
		g := s.guard(
			access.Rule{Path: "/", Allow: true, What: access.Read | access.Write},
			access.Rule{Path: "/secret", What: access.Read | access.Write},
			access.Rule{Path: "/fixed", What: access.Write},
		)
		for i := 0; i+2 < len(ops); i += 3 {
			a, b := pool[int(ops[i+1])%len(pool)], pool[int(ops[i+2])%len(pool)]
			switch ops[i] % 8 {
			case 0:
				_ = g.Rename(a, b)
			case 1:
				_ = g.Remove(a)
			case 2:
				_ = g.Rmdir(a)
			case 3:
				_ = g.Mkdir(a)
			case 4:
				if u, err := g.Create(a); err == nil {
					_, _ = fmt.Fprint(u.File(), "his")
					_ = u.Commit()
				}
			case 5:
				if u, err := g.Resume(a, 0); err == nil {
					_, _ = fmt.Fprint(u.File(), "his")
					_ = u.Commit()
				}
			case 6:
				_ = g.SetMode(a, 0o600)
			case 7:
				if f, err := g.Open(a); err == nil {
					b, _ := io.ReadAll(f)
					_ = f.Close()
					if strings.Contains(string(b), "/secret") {
						t.Fatalf("read %q by %s", b, a)
					}
				}
			}
		}
		for _, name := range []string{"secret/f", "fixed/f"} {
			if b, err := os.ReadFile(filepath.Join(s.dir, name)); err != nil || string(b) != "/"+name {
				t.Errorf("%s: %q, %v", name, b, err)
			}
		}
		for _, name := range []string{"secret", "fixed"} {
			if e, err := os.ReadDir(filepath.Join(s.dir, name)); err != nil || len(e) != 1 {
				t.Errorf("%s has %d entries, %v", name, len(e), err)
			}
		}
	})
}
