package mirror_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/mirror"
	"sallyport.dev/internal/testkit"
)

// The whole story against servers of others: up, nothing to do, a change, a removal,
// down, nothing to do.
func TestRealServers(t *testing.T) {
	testkit.NeedRoot(t)
	for _, s := range []struct {
		name  string
		start func(testing.TB, testkit.ServerOptions) *testkit.FTPServer
	}{{"vsftpd", testkit.Vsftpd}, {"proftpd", testkit.Proftpd}, {"pureftpd", testkit.Pureftpd}} {
		t.Run(s.name, func(t *testing.T) {
			testkit.NoLeaks(t)
			srv := s.start(t, testkit.ServerOptions{})
			to := remote(t, srv.Addr, srv.User, srv.Password, "made/here")
			src := t.TempDir()
			files := map[string]string{
				"a.xml": "<a/>", "empty": "", "with space.txt": "s", "grüße.txt": "g", "sub/b": "b", "sub/deep/c": strings.Repeat("c", 300_000),
			}
			for i := range 40 {
				files[fmt.Sprintf("many/%02d", i)] = fmt.Sprint(i)
			}
			write(t, src, files)
			old := time.Now().Add(-48 * time.Hour).Truncate(time.Second)
			for name := range files {
				if err := os.Chtimes(filepath.Join(src, name), old, old); err != nil {
					t.Fatal(err)
				}
			}
			up := func(del bool) (mirror.Summary, *record) {
				t.Helper()
				sum, rec, err := run(t, &mirror.Sync{From: local(t, src), To: to, Delete: del, Parallel: 3})
				if err != nil || sum.Failed > 0 {
					t.Fatalf("%+v, %v: %q", sum, err, rec.said())
				}
				return sum, rec
			}
			if sum, _ := up(false); sum.Copied != 46 {
				t.Errorf("up: %+v", sum)
			}
			holds(t, filepath.Join(srv.Home, "made", "here"), files)
			if sum, rec := up(true); sum.Copied != 0 || sum.Deleted != 0 || sum.Same != 46 {
				t.Errorf("again: %+v %q", sum, rec.said())
			}
			files["a.xml"] = "<changed/>"
			delete(files, "sub/deep/c")
			delete(files, "empty")
			if err := os.RemoveAll(filepath.Join(src, "sub", "deep")); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(src, "empty")); err != nil {
				t.Fatal(err)
			}
			write(t, src, map[string]string{"a.xml": files["a.xml"]})
			if sum, rec := up(true); sum.Copied != 1 || sum.Deleted != 3 {
				t.Errorf("changed: %+v %q", sum, rec.said())
			}
			holds(t, filepath.Join(srv.Home, "made", "here"), files)

			dst := t.TempDir()
			for _, want := range []int64{44, 0} {
				sum, rec, err := run(t, &mirror.Sync{From: to, To: local(t, dst), Delete: true, Parallel: 3})
				if err != nil || sum.Failed > 0 || sum.Copied != want {
					t.Errorf("down: %+v, %v: %q", sum, err, rec.said())
				}
			}
			holds(t, dst, files)
			testResume(t, to, src, filepath.Join(srv.Home, "made", "here"))
		})
	}
}

// testResume sends and fetches with parts that an earlier run left.
func testResume(t *testing.T, to *mirror.FTP, src, home string) {
	content := strings.Repeat("0123456789", 50_000)
	write(t, src, map[string]string{"big": content})
	from := local(t, src)
	e, err := from.Stat(t.Context(), "big")
	if err != nil {
		t.Fatal(err)
	}
	// The part as the engine would have left it.
	w, err := to.Create(t.Context(), mirror.PartName("big", from.String()+"\x00big", e), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content[:200_000])); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	sum, rec, err := run(t, &mirror.Sync{From: from, To: to})
	if err != nil || sum.Copied != 1 || !resumed(rec, 200_000) {
		t.Errorf("up: %+v, %v: %+v", sum, err, rec.said())
	}
	if b, err := os.ReadFile(filepath.Join(home, "big")); err != nil || string(b) != content {
		t.Errorf("big has %d bytes there: %v", len(b), err)
	}
	dst := t.TempDir()
	e, err = to.Stat(t.Context(), "big")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dst, map[string]string{mirror.PartName("big", to.String()+"\x00big", e): content[:100_000]})
	rec = &record{}
	s := &mirror.Sync{From: to, To: local(t, dst), Report: rec}
	if sum, err = s.Copy(t.Context(), pairs(t, to, "big")); err != nil || sum.Copied != 1 || !resumed(rec, 100_000) {
		t.Errorf("down: %+v, %v: %+v", sum, err, rec.said())
	}
	holds(t, dst, map[string]string{"big": content})
}

func resumed(rec *record, n int64) bool {
	for _, e := range rec.events {
		if e.Action == mirror.Copy && e.Resumed == n {
			return true
		}
	}
	return false
}
