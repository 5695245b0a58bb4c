package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
	"sallyport.dev/internal/mirror"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/testkit"
)

// record keeps what a run tells.
type record struct {
	mu     sync.Mutex // guards the following
	events []mirror.Event
}

func (r *record) Event(e mirror.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *record) Begin(string, int64, int64) func(int64) { return nil }

// said returns the events as sorted text.
func (r *record) said() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, e := range r.events {
		s := string(e.Action) + " " + e.Path
		if e.Err != nil {
			s += ": " + e.Err.Error()
		}
		if e.Why != "" {
			s += ": " + e.Why
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

func (r *record) has(t *testing.T, parts ...string) {
	t.Helper()
	if !slices.ContainsFunc(r.said(), func(s string) bool {
		return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(s, p) })
	}) {
		t.Errorf("nothing with %q was said:\n%s", parts, strings.Join(r.said(), "\n"))
	}
}

// run runs a sync between two stores.
func run(t *testing.T, s *mirror.Sync) (mirror.Summary, *record, error) {
	t.Helper()
	rec := &record{}
	s.Report = rec
	if s.MaxDelete == 0 {
		s.MaxDelete = -1
	}
	sum, err := s.Run(t.Context())
	return sum, rec, err
}

func local(t *testing.T, dir string) *mirror.Local {
	t.Helper()
	l, err := mirror.OpenLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// remote is a folder on a server that anybody may use.
func remote(t *testing.T, addr, user, password, path string) *mirror.FTP {
	t.Helper()
	host, port, _ := strings.Cut(addr, ":")
	u, err := ftp.ParseURL("ftp://" + user + "@" + host + ":" + port + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	pool := &ftpclient.Pool{Max: 3, Config: ftpclient.Config{
		Addr: addr, User: user, Password: secret.New(password),
		Timeouts: ftpclient.Timeouts{Reply: 20 * time.Second, Stall: 20 * time.Second},
	}}
	t.Cleanup(func() { _ = pool.Close() })
	return &mirror.FTP{Pool: pool, URL: u}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// holds compares a folder with what should be in it, nothing else there.
func holds(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		got[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range want {
		if have, ok := got[name]; !ok || have != content {
			t.Errorf("%q: there %v, %d bytes; want %d", name, ok, len(have), len(content))
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%q should not be there", name)
	}
}

// A listing that is cut, at whatever byte, removes nothing and says so.
func TestCutListingDeletesNothing(t *testing.T) {
	files := map[string]string{"a": "1", "b": "2", "c": "3"}
	have := map[string]string{"a": "1", "b": "2", "c": "3", "only here": "x", "sub/also": "y"}
	for _, how := range []struct {
		name string
		die  ftptest.Death
	}{
		{"reset", ftptest.Death{Reset: true, Reply: "426 cut\r\n"}},
		{"refused_at_the_end", ftptest.Death{Reply: "451 disk error\r\n"}},
		{"control_lost", ftptest.Death{}},
		{"all_lost", ftptest.Death{Reset: true}},
	} {
		for _, features := range [][]string{nil, {"SIZE", "211"}} {
			t.Run(fmt.Sprintf("%s_%d", how.name, len(features)), func(t *testing.T) {
				testkit.NoLeaks(t)
				for after := 0; after < 120; after += 17 {
					die := how.die
					die.After = after
					a := &ftptest.Awkward{Files: files, Quirks: ftptest.Quirks{Die: &die, Features: features}}
					dir := t.TempDir()
					write(t, dir, have)
					sum, rec, err := run(t, &mirror.Sync{From: remote(t, a.Start(t), "u", "p", ""), To: local(t, dir), Delete: true, MaxDelete: 100})
					if sum.Deleted != 0 || err == nil && sum.Failed == 0 {
						t.Errorf("after %d bytes: %+v, %v; %q", after, sum, err, rec.said())
					}
					for name, content := range have {
						if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || len(b) != len(content) {
							t.Errorf("after %d bytes: %q: %v", after, name, err)
						}
					}
				}
			})
		}
	}
}

// The same in a folder below, or in the destination: what could be compared is
// carried, and nothing is removed anywhere.
func TestOneListingThatFailsKeepsEverything(t *testing.T) {
	for _, side := range []string{"source", "destination"} {
		t.Run(side, func(t *testing.T) {
			src, dst := t.TempDir(), t.TempDir()
			write(t, src, map[string]string{"new": "n", "sub/a": "1", "z/b": "2"})
			write(t, dst, map[string]string{"old": "o", "sub/gone": "g"})
			s := &mirror.Sync{From: local(t, src), To: local(t, dst), Delete: true}
			if side == "source" {
				s.From = failing{s.From, "sub"}
			} else {
				s.To = failing{s.To, "sub"}
			}
			sum, rec, err := run(t, s)
			if err != nil || sum.Deleted != 0 || sum.Failed != 2 {
				t.Errorf("%+v, %v: %q", sum, err, rec.said())
			}
			rec.has(t, "error ", "of 1 to be deleted nothing was")
			rec.has(t, "error sub", "the disk is broken")
			holds(t, dst, map[string]string{"old": "o", "sub/gone": "g", "new": "n", "z/b": "2"})
		})
	}
}

// failing is a store in which one folder's listing ends in the middle.
type failing struct {
	mirror.Store
	dir string
}

func (f failing) List(ctx context.Context, dir string) iter.Seq2[mirror.Entry, error] {
	if dir != f.dir {
		return f.Store.List(ctx, dir)
	}
	return func(yield func(mirror.Entry, error) bool) {
		yield(mirror.Entry{}, errors.New("the disk is broken"))
	}
}

// Names from a server lead nowhere: not out of the folder, not into commands.
func TestHostileNames(t *testing.T) {
	for _, name := range []string{
		"../../x", "..", "/etc/x", "sub/../../x", "x\x00y", "x\rDELE y", "C:x", `..\..\x`, `\\host\share`, "a\x1b[2Jb",
		".", "", " ", strings.Repeat("n", 300), "good/",
	} {
		for _, form := range []string{
			"type=file;size=4;modify=20240229123456; %s\r\n",
			"type=dir;modify=20240229123456; %s\r\n",
		} {
			t.Run(fmt.Sprintf("%.20q_%.8s", name, form), func(t *testing.T) {
				testkit.NoLeaks(t)
				a := &ftptest.Awkward{Files: map[string]string{"good": "good", name: "evil"}, Quirks: ftptest.Quirks{
					Listing: fmt.Sprintf(form, name) + "type=file;size=4;modify=20240229123456; good\r\n",
				}}
				up := t.TempDir()
				dir := filepath.Join(up, "one", "two")
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				write(t, up, map[string]string{"x": "mine", "one/x": "mine"})
				_, rec, err := run(t, &mirror.Sync{From: remote(t, a.Start(t), "u", "p", ""), To: local(t, dir), Delete: true})
				for _, p := range []string{"x", "one/x"} {
					if b, err := os.ReadFile(filepath.Join(up, p)); err != nil || string(b) != "mine" {
						t.Errorf("%s: %q, %v", p, b, err)
					}
				}
				for _, outside := range []string{"/etc/x", filepath.Join(filepath.Dir(up), "x")} {
					if _, err := os.Lstat(outside); err == nil {
						t.Errorf("%s was made", outside)
					}
				}
				for _, verb := range a.Commands() {
					if verb == "DELE" {
						t.Errorf("the server was told to delete: %q", a.Commands())
					}
				}
				entries, rerr := os.ReadDir(up)
				if rerr != nil || len(entries) != 2 {
					t.Errorf("%d entries outside: %v", len(entries), rerr)
				}
				_ = err // a listing that is nonsense may fail as a whole
				_ = rec
			})
		}
	}
}

// A local name with CR or LF in it becomes no command.
func TestNameWithCommandStaysHere(t *testing.T) {
	a := &ftptest.Awkward{Files: map[string]string{"y": "keep"}}
	addr := a.Start(t)
	dir := t.TempDir()
	write(t, dir, map[string]string{"a\r\nDELE y": "x", "fine": "f"})
	sum, rec, err := run(t, &mirror.Sync{From: local(t, dir), To: remote(t, addr, "u", "p", "")})
	if err != nil || sum.Failed != 1 || sum.Copied != 1 {
		t.Errorf("%+v, %v: %q", sum, err, rec.said())
	}
	if _, ok := a.File("y"); !ok {
		t.Error("y was deleted")
	}
	if f, _ := a.File("fine"); f != "f" {
		t.Errorf("fine is %q", f)
	}
}

// A transfer that dies is gone on with, in the same run and in the next one.
func TestCutTransfersGoOn(t *testing.T) {
	content := strings.Repeat("0123456789", 10_000)
	t.Run("same_run", func(t *testing.T) {
		testkit.NoLeaks(t)
		die := &ftptest.Death{After: 30_000, Reset: true, Reply: "426 cut\r\n"}
		a := &ftptest.Awkward{Files: map[string]string{"big": content}, Quirks: ftptest.Quirks{Die: die}}
		addr := a.Start(t)
		dir := t.TempDir()
		from := remote(t, addr, "u", "p", "")
		rec := &record{}
		// Each try brings at most 30,000 bytes of 100,000, the listing none.
		s := &mirror.Sync{From: from, To: local(t, dir), Retries: 4, Pause: time.Millisecond, Report: rec}
		sum, err := s.Copy(t.Context(), pairs(t, from, "big"))
		if err != nil || sum.Copied != 1 {
			t.Errorf("%+v, %v: %q", sum, err, rec.said())
		}
		holds(t, dir, map[string]string{"big": content})
	})
	t.Run("next_run", func(t *testing.T) {
		testkit.NoLeaks(t)
		dir := t.TempDir()
		for n := 1; n <= 5; n++ {
			a := &ftptest.Awkward{Files: map[string]string{"big": content}, Quirks: ftptest.Quirks{
				Die: &ftptest.Death{After: 30_000, Reset: true, Reply: "426 cut\r\n"},
			}}
			from := fixed{remote(t, a.Start(t), "u", "p", "")} // the same server, started again
			rec := &record{}
			s := &mirror.Sync{From: from, To: local(t, dir), Report: rec}
			sum, err := s.Copy(t.Context(), pairs(t, from, "big"))
			if n < 5 { // the fourth brings the rest, and is told that it was cut
				if err != nil || sum.Failed != 1 {
					t.Fatalf("run %d: %+v, %v: %q", n, sum, err, rec.said())
				}
				if _, err := os.Lstat(filepath.Join(dir, "big")); err == nil {
					t.Fatalf("run %d: half a file has the final name", n)
				}
				continue
			}
			if err != nil || sum.Copied != 1 || rec.events[0].Resumed != 100_000 {
				t.Errorf("run %d: %+v, %v: %+v", n, sum, err, rec.events)
			}
		}
		holds(t, dir, map[string]string{"big": content})
	})
}

// fixed has one name wherever it is.
type fixed struct{ mirror.Store }

func (fixed) String() string { return "ftp://server/" }

// pairs looks at files and gives them under their own names.
func pairs(t *testing.T, from mirror.Store, names ...string) iter.Seq2[mirror.Pair, error] {
	return func(yield func(mirror.Pair, error) bool) {
		for _, name := range names {
			e, err := from.Stat(t.Context(), name)
			if !yield(mirror.Pair{Src: e, From: name, To: name}, err) {
				return
			}
		}
	}
}

// Two runs do not write one file at once.
func TestTwoRunsAtOnce(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no locks on Windows yet")
	}
	src, dst := t.TempDir(), t.TempDir()
	write(t, src, map[string]string{"a": "content"})
	from, to := local(t, src), local(t, dst)
	e, err := from.Stat(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	w, err := to.Create(t.Context(), mirror.PartName("a", from.String()+"\x00a", e), 0) // the other run
	if err != nil {
		t.Fatal(err)
	}
	sum, rec, err := run(t, &mirror.Sync{From: from, To: local(t, dst)})
	if err != nil || sum.Failed != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
	rec.has(t, "error a", "another run is bringing this file")
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	if sum, rec, err = run(t, &mirror.Sync{From: from, To: local(t, dst)}); err != nil || sum.Copied != 1 {
		t.Errorf("%+v, %v: %q", sum, err, rec.said())
	}
	holds(t, dst, map[string]string{"a": "content"})
}

// A source that changed since is begun anew, and its old part goes.
func TestChangedSourceBeginsAnew(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	write(t, src, map[string]string{"a": "new content"})
	old := mirror.PartName("a", "whatever", mirror.Entry{Size: 11, Time: time.Unix(1, 0)})
	write(t, dst, map[string]string{old: "old", "other.sallyport-0123456789ab.part": "somebody's"})
	sum, rec, err := run(t, &mirror.Sync{From: local(t, src), To: local(t, dst)})
	if err != nil || sum.Copied != 1 || rec.events[0].Resumed != 0 {
		t.Errorf("%+v, %v: %+v", sum, err, rec.events)
	}
	holds(t, dst, map[string]string{"a": "new content", "other.sallyport-0123456789ab.part": "somebody's"})
}

// A file that ends early, over a connection that seems to end well, is not whole.
func TestShortFileIsNotPublished(t *testing.T) {
	testkit.NoLeaks(t)
	a := &ftptest.Awkward{Files: map[string]string{"a": strings.Repeat("x", 1000)}, Quirks: ftptest.Quirks{
		Die: &ftptest.Death{After: 10, Reply: "226 all there\r\n"},
	}}
	from, dir := remote(t, a.Start(t), "u", "p", ""), t.TempDir()
	rec := &record{}
	s := &mirror.Sync{From: from, To: local(t, dir), Report: rec}
	sum, err := s.Copy(t.Context(), pairs(t, from, "a"))
	if err != nil || sum.Failed != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
	rec.has(t, "error a", "10 of 1000 bytes")
	if _, err := os.Lstat(filepath.Join(dir, "a")); err == nil {
		t.Error("a short file has the final name")
	}
}

// Two names that would be one are both refused, the rest is carried.
func TestCaseCollisions(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	write(t, src, map[string]string{"Read.me": "1", "README": "2", "readme": "3", "Same": "s", "z": "z"})
	write(t, dst, map[string]string{"SAME": "s"})
	stamp := time.Unix(1700000000, 0)
	for _, p := range []string{filepath.Join(src, "Same"), filepath.Join(dst, "SAME")} {
		if err := os.Chtimes(p, stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
	sum, rec, err := run(t, &mirror.Sync{From: local(t, src), To: mirror.WithFolds(local(t, dst)), Delete: true})
	if err != nil || sum.Failed != 2 || sum.Copied != 2 || sum.Same != 1 || sum.Deleted != 0 {
		t.Errorf("%+v, %v: %q", sum, err, rec.said())
	}
	rec.has(t, "error README", `"README" and "readme" would be one name`)
	rec.has(t, "error readme")
	holds(t, dst, map[string]string{"Read.me": "1", "SAME": "s", "z": "z"})
}

// Links of the source lead to files within it and nowhere else; those of the
// destination are replaced, not written through.
func TestLinks(t *testing.T) {
	up := t.TempDir()
	src, dst := filepath.Join(up, "src"), filepath.Join(up, "dst")
	write(t, up, map[string]string{"secret": "s", "src/a": "1", "src/sub/b": "2", "src/over": "new", "dst/x": "x", "victim": "v"})
	for link, target := range map[string]string{
		"src/inside": "a", "src/outside": "../secret", "src/absolute": filepath.Join(up, "secret"), "src/ring": ".", "src/dangling": "nothing",
		"dst/over": "../victim", "dst/sub": "..",
	} {
		if err := os.Symlink(target, filepath.Join(up, link)); err != nil {
			testkit.Need(t, false, "the right to make links", err.Error())
		}
	}
	sum, rec, err := run(t, &mirror.Sync{From: local(t, src), To: local(t, dst)})
	if err != nil || sum.Skipped != 4 || sum.Failed != 1 {
		t.Errorf("%+v, %v: %q", sum, err, rec.said())
	}
	rec.has(t, "error sub", "it is a folder, and a link in")
	rec.has(t, "left out ring", "a link to a folder")
	rec.has(t, "left out outside")
	if err := os.Remove(filepath.Join(dst, "sub")); err != nil {
		t.Fatal(err)
	}
	holds(t, dst, map[string]string{"a": "1", "inside": "1", "over": "new", "x": "x"})
	if b, err := os.ReadFile(filepath.Join(up, "victim")); err != nil || string(b) != "v" {
		t.Errorf("the destination's link was written through: %q, %v", b, err)
	}
}

// A run that is interrupted returns soon, publishes nothing half, and the next goes
// on.
func TestInterrupted(t *testing.T) {
	testkit.NoLeaks(t)
	content := strings.Repeat("x", 1<<20)
	a := &ftptest.Awkward{Files: map[string]string{"a": content, "b": content}, Quirks: ftptest.Quirks{Slow: 50 * time.Millisecond}}
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	to := &firstWrite{Store: local(t, dir), then: cancel}
	s := &mirror.Sync{From: remote(t, a.Start(t), "u", "p", ""), To: to, Parallel: 2, MaxDelete: -1, Delete: true, Report: &record{}}
	sum, err := s.Run(ctx)
	if fault.KindOf(err) != fault.Canceled || sum.Copied != 0 || sum.Failed != 0 {
		t.Errorf("%+v, %v", sum, err)
	}
	for _, name := range []string{"a", "b"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is there", name)
		}
	}
}

// firstWrite calls then once something has been written.
type firstWrite struct {
	mirror.Store
	then func()
}

func (f *firstWrite) Create(ctx context.Context, name string, offset int64) (mirror.Writer, error) {
	w, err := f.Store.Create(ctx, name, offset)
	return &tripwire{w, f.then}, err
}

type tripwire struct {
	mirror.Writer
	then func()
}

func (w *tripwire) Write(p []byte) (int, error) {
	defer w.then()
	return w.Writer.Write(p)
}

var _ io.Writer = (*tripwire)(nil)
