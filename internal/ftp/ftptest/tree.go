// Package ftptest is what tests of FTP share beside real peers: [TestTree], the
// promises every ftpserver.Tree keeps.
//
// It is imported by tests alone.
package ftptest

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpserver"
)

// TestTree holds trees to what the server expects of them. newTree returns an
// empty tree each time.
func TestTree(t *testing.T, newTree func(t *testing.T) ftpserver.Tree) {
	for name, story := range map[string]func(t *treeTest){
		"publish":   testPublish,
		"abort":     testAbort,
		"replace":   testReplace,
		"hidden":    testHidden,
		"collision": testCollision,
		"resume":    testResume,
		"append":    testAppend,
		"folders":   testFolders,
		"rename":    testRename,
		"kinds":     testKinds,
		"names":     testNames,
		"list":      testList,
		"time":      testTime,
		"mode":      testMode,
		"free":      testFree,
		"concurred": testConcurred,
	} {
		t.Run(name, func(t *testing.T) { story(&treeTest{T: t, tree: newTree(t)}) })
	}
}

type treeTest struct {
	*testing.T
	tree ftpserver.Tree
}

// must fails the test on an error.
func (t *treeTest) must(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// kind wants an error of kind k, with a public text that shows no other path.
func (t *treeTest) kind(err error, k fault.Kind) {
	t.Helper()
	if err == nil {
		t.Errorf("got no error, want one of kind %s", k)
		return
	}
	if got := fault.KindOf(err); got != k {
		t.Errorf("got kind %s (%v), want %s", got, err, k)
	}
	if public := fault.Public(err); strings.Contains(public, os.TempDir()) || public == k.String() {
		t.Errorf("public text %q: want words of its own and no path of this machine", public)
	}
}

func (t *treeTest) start(name, content string) ftpserver.Upload {
	t.Helper()
	u, err := t.tree.Create(name)
	t.must(err)
	_, err = io.WriteString(u.File(), content)
	t.must(err)
	return u
}

func (t *treeTest) put(name, content string) {
	t.Helper()
	t.must(t.start(name, content).Commit())
}

func (t *treeTest) content(name, want string) {
	t.Helper()
	f, err := t.tree.Open(name)
	if err != nil {
		t.Errorf("open %q: %v", name, err)
		return
	}
	b, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil || string(b) != want {
		t.Errorf("content of %q: got %q, %v, want %q", name, b, err, want)
	}
}

func (t *treeTest) gone(name string) {
	t.Helper()
	_, err := t.tree.Stat(name)
	t.kind(err, fault.NotFound)
}

// names lists a folder, folders marked by a slash.
func (t *treeTest) names(name string) string {
	t.Helper()
	dir, err := t.tree.ReadDir(name)
	t.must(err)
	var names []string
	for {
		infos, err := dir.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		t.must(err)
		if len(infos) == 0 {
			t.Fatal("an empty batch before the end")
		}
		for _, info := range infos {
			n := info.Name()
			if info.IsDir() {
				n += "/"
			}
			names = append(names, n)
		}
	}
	if _, err := dir.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("Next after the end: got %v, want io.EOF", err)
	}
	t.must(dir.Close())
	slices.Sort(names)
	return strings.Join(names, " ")
}

func (t *treeTest) list(name, want string) {
	t.Helper()
	if got := t.names(name); got != want {
		t.Errorf("list %q: got %q, want %q", name, got, want)
	}
}

func testPublish(t *treeTest) {
	u := t.start("/a", "hello")
	t.gone("/a")
	t.list("/", "")
	t.must(u.Commit())
	t.content("/a", "hello")
	t.list("/", "a")
	t.must(u.Abort()) // does nothing any more
	t.must(u.Commit())
	t.content("/a", "hello")
}

func testAbort(t *treeTest) {
	u := t.start("/a", "hello")
	t.must(u.Abort())
	t.gone("/a")
	t.must(u.Commit()) // does nothing any more
	t.gone("/a")
	t.list("/", "")
	t.put("/a", "old")
	t.must(t.start("/a", "new").Abort())
	t.content("/a", "old")
}

func testReplace(t *treeTest) {
	t.put("/a", "old and longer")
	reader, err := t.tree.Open("/a")
	t.must(err)
	if runtime.GOOS != "windows" { // where a file that is open keeps its name
		t.put("/a", "new")
		t.content("/a", "new")
	}
	b, err := io.ReadAll(reader)
	if err = errors.Join(err, reader.Close()); err != nil || string(b) != "old and longer" {
		t.Errorf("a reader of the replaced file: got %q, %v, want the old content whole", b, err)
	}
}

func testHidden(t *treeTest) {
	t.must(t.tree.Mkdir("/d"))
	u := t.start("/d/a", "x")
	part := u.File().Name()
	part = part[strings.LastIndexAny(part, `/\`)+1:]
	if part == "a" {
		t.Fatal("an upload under its final name")
	}
	name := "/d/" + part
	t.list("/d", "")
	t.gone(name)
	_, err := t.tree.Open(name)
	t.kind(err, fault.NotFound)
	_, err = t.tree.Create(name)
	t.kind(err, fault.NotFound)
	_, err = t.tree.Resume(name, -1)
	t.kind(err, fault.NotFound)
	t.kind(t.tree.Remove(name), fault.NotFound)
	t.kind(t.tree.Rename(name, "/d/b"), fault.NotFound)
	t.kind(t.tree.Rmdir("/d"), fault.Denied)
	t.must(u.Commit())
	t.list("/d", "a")
}

// testCollision has the final name change into a folder under the upload.
func testCollision(t *treeTest) {
	u := t.start("/a", "x")
	t.must(t.tree.Mkdir("/a"))
	if err := u.Commit(); err == nil {
		t.Error("commit over a folder: got no error")
	}
	t.list("/", "a/")
	t.must(t.tree.Rmdir("/a"))
}

func testResume(t *treeTest) {
	t.put("/a", "hello world")
	u, err := t.tree.Resume("/a", 6)
	t.must(err)
	_, err = io.WriteString(u.File(), "there")
	t.must(err)
	t.must(u.Commit())
	t.content("/a", "hello there")
	_, err = t.tree.Resume("/a", 12)
	t.kind(err, fault.Invalid)
	_, err = t.tree.Resume("/missing", 1)
	t.kind(err, fault.NotFound)
	t.gone("/missing")
	u, err = t.tree.Resume("/a", 11)
	t.must(err)
	_, err = io.WriteString(u.File(), "!")
	t.must(err)
	t.must(u.Abort())
	t.content("/a", "hello there!") // what was added stays, to be resumed again
}

func testAppend(t *treeTest) {
	for _, s := range []string{"one ", "two"} {
		u, err := t.tree.Resume("/a", -1)
		t.must(err)
		_, err = io.WriteString(u.File(), s)
		t.must(err)
		t.must(u.Commit())
	}
	t.content("/a", "one two")
	u, err := t.tree.Resume("/b", -1)
	t.must(err)
	t.must(u.Abort())
	t.gone("/b") // nothing was there, so nothing stays
}

func testFolders(t *treeTest) {
	t.must(t.tree.Mkdir("/d"))
	t.kind(t.tree.Mkdir("/d"), fault.Exists)
	t.kind(t.tree.Mkdir("/x/y"), fault.NotFound)
	t.must(t.tree.Mkdir("/d/e"))
	t.put("/d/f", "x")
	t.list("/", "d/")
	t.list("/d", "e/ f")
	t.kind(t.tree.Rmdir("/d"), fault.Denied)
	t.kind(t.tree.Rmdir("/d/f"), fault.Denied)
	t.kind(t.tree.Remove("/d/e"), fault.Denied)
	t.kind(t.tree.Rmdir("/d/none"), fault.NotFound)
	t.kind(t.tree.Remove("/d/none"), fault.NotFound)
	t.must(t.tree.Rmdir("/d/e"))
	t.must(t.tree.Remove("/d/f"))
	t.must(t.tree.Rmdir("/d"))
	t.list("/", "")
	t.kind(t.tree.Rmdir("/"), fault.Denied)
	t.kind(t.tree.Mkdir("/"), fault.Denied)
	t.kind(t.tree.Rename("/", "/x"), fault.Denied)
}

func testRename(t *treeTest) {
	t.must(t.tree.Mkdir("/d"))
	t.put("/a", "A")
	t.put("/b", "B")
	t.must(t.tree.Rename("/a", "/d/a"))
	t.gone("/a")
	t.content("/d/a", "A")
	t.must(t.tree.Rename("/b", "/d/a")) // a file is replaced
	t.content("/d/a", "B")
	t.kind(t.tree.Rename("/none", "/x"), fault.NotFound)
	t.kind(t.tree.Rename("/d/a", "/none/x"), fault.NotFound)
	t.must(t.tree.Mkdir("/e"))
	t.kind(t.tree.Rename("/d/a", "/e"), fault.Exists) // a folder is not
	t.kind(t.tree.Rename("/d", "/e"), fault.Exists)
	t.must(t.tree.Rename("/d", "/f"))
	t.content("/f/a", "B")
	t.must(t.tree.Rename("/f", "/f")) // to itself
	t.must(t.tree.Rename("/f/a", "/f/a"))
	t.content("/f/a", "B")
	if err := t.tree.Rename("/f", "/f/g"); err == nil {
		t.Error("a folder moved into itself: got no error")
	}
}

func testKinds(t *treeTest) {
	t.must(t.tree.Mkdir("/d"))
	t.put("/f", "x")
	for _, do := range []func(string) error{
		func(n string) error { _, err := t.tree.Open(n); return err },
		func(n string) error { _, err := t.tree.Create(n); return err },
		func(n string) error { _, err := t.tree.Resume(n, -1); return err },
	} {
		t.kind(do("/d"), fault.Denied)
		t.kind(do("/"), fault.Denied)
		t.kind(do("/none/x"), fault.NotFound)
		if err := do("/f/x"); err == nil {
			t.Error("a file as folder: got no error")
		}
	}
	_, err := t.tree.Open("/none")
	t.kind(err, fault.NotFound)
	_, err = t.tree.ReadDir("/none")
	t.kind(err, fault.NotFound)
	if _, err = t.tree.ReadDir("/f"); err == nil {
		t.Error("a file listed as folder: got no error")
	}
}

func testNames(t *treeTest) {
	for _, name := range []string{"", "a", "/a/", "/a//b", "/..", "/../x", "/a/../b", "/./a", "/a\x00b", "/a\rb", "/a\nb", "/" + strings.Repeat("x", 5000)} {
		_, err := t.tree.Stat(name)
		t.kind(err, fault.Invalid)
		_, err = t.tree.Create(name)
		t.kind(err, fault.Invalid)
	}
	_, err := t.tree.Create("/" + strings.Repeat("x", 300))
	t.kind(err, fault.Invalid)
	for _, name := range []string{"/ leading", "/-dash", "/Grüße-数", "/a b"} {
		t.put(name, name)
		t.content(name, name)
		t.must(t.tree.Remove(name))
	}
	if runtime.GOOS != "windows" && runtime.GOOS != "darwin" {
		t.put("/latin-\xfc", "x")
		t.list("/", "latin-\xfc")
		t.put(`/back\slash:`, "x")
		t.content(`/back\slash:`, "x")
	}
	if runtime.GOOS == "windows" {
		for _, name := range []string{"/NUL", "/COM1", "/a:b", `/a\b`} {
			_, err := t.tree.Create(name)
			t.kind(err, fault.Invalid)
		}
	}
}

func testList(t *treeTest) {
	want := make([]string, 0, 1000)
	for i := range 1000 {
		name := "f" + string(rune('0'+i/100)) + string(rune('0'+i/10%10)) + string(rune('0'+i%10))
		want = append(want, name)
		t.put("/"+name, name)
	}
	t.list("/", strings.Join(want, " "))
	info, err := t.tree.Stat("/f123")
	t.must(err)
	if info.Size() != 4 || info.Mode().Type() != 0 || info.Name() != "f123" {
		t.Errorf("stat: got %s of %d bytes, mode %s", info.Name(), info.Size(), info.Mode())
	}
	info, err = t.tree.Stat("/")
	t.must(err)
	if !info.IsDir() {
		t.Errorf("stat of the top: got mode %s, want a folder", info.Mode())
	}
}

func testTime(t *treeTest) {
	t.put("/a", "x")
	want := time.Date(2024, 5, 28, 9, 15, 0, 0, time.UTC)
	t.must(t.tree.SetTime("/a", want))
	info, err := t.tree.Stat("/a")
	t.must(err)
	if !info.ModTime().Equal(want) {
		t.Errorf("time: got %s, want %s", info.ModTime(), want)
	}
	t.kind(t.tree.SetTime("/none", want), fault.NotFound)
}

func testMode(t *treeTest) {
	t.put("/a", "x")
	err := t.tree.SetMode("/a", 0o604)
	if runtime.GOOS == "windows" {
		t.kind(err, fault.Unsupported)
		return
	}
	t.must(err)
	info, err := t.tree.Stat("/a")
	t.must(err)
	if info.Mode().Perm() != 0o604 {
		t.Errorf("mode: got %v, want 0604", info.Mode())
	}
	t.must(t.tree.SetMode("/a", 0o4755)) // the permissions alone
	if info, err = t.tree.Stat("/a"); err != nil || info.Mode() != 0o755 {
		t.Errorf("mode: got %v, %v, want 0755", info.Mode(), err)
	}
	t.kind(t.tree.SetMode("/none", 0o600), fault.NotFound)
	t.kind(t.tree.SetMode("/", 0o600), fault.Denied)
}

func testFree(t *treeTest) {
	n, err := t.tree.Free("/")
	if fault.KindOf(err) == fault.Unsupported {
		return
	}
	t.must(err)
	if n == 0 {
		t.Error("free: got 0 bytes")
	}
	_, err = t.tree.Free("/none")
	t.kind(err, fault.NotFound)
}

// testConcurred has two uploads of one name at once: each is whole, the later
// commit wins.
func testConcurred(t *treeTest) {
	a, b := t.start("/x", "aaaa"), t.start("/x", "bb")
	t.must(b.Commit())
	t.content("/x", "bb")
	t.must(a.Commit())
	t.content("/x", "aaaa")
	t.list("/", "x")
	var info fs.FileInfo
	info, err := t.tree.Stat(path.Join("/", "x"))
	t.must(err)
	if info.Size() != 4 {
		t.Errorf("size: got %d, want 4", info.Size())
	}
}
