//go:build linux

package torture_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// audit is what became of a run's files.
type audit struct {
	files, lost, twice, truncated int
	faults                        []string // one line each, these and what else is wrong
}

func (a *audit) bad(format string, args ...any) {
	a.faults = append(a.faults, fmt.Sprintf(format, args...))
}

// compare holds a file to what it ought to be and reports what is wrong with it.
func compare(path string, want sample) error {
	got, err := os.ReadFile(path)
	if err == nil && sha256.Sum256(got) != sha256.Sum256(want.data) {
		err = fmt.Errorf("has %d bytes with another SHA-256 than the %d that were put at the source", len(got), len(want.data))
	}
	return err
}

// sink holds the sink's folder to what was put at the source, and to how often each
// name appeared there.
func (a *audit) checkSink(dir string, want map[string]sample, arrivals map[string]int) {
	for name, s := range want {
		a.files++
		err := compare(filepath.Join(dir, name), s)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			a.lost++
			a.bad("lost: %s is not at the sink", name)
		case err != nil:
			a.truncated++
			a.bad("truncated: %s at the sink %v", name, err)
		}
		if n := arrivals[name]; n > 1 {
			a.twice++
			a.bad("twice: %s arrived %d times", name, n)
		} else if n == 0 && err == nil {
			a.bad("%s is at the sink and was never seen to arrive", name)
		}
	}
	names, err := files(dir)
	if err != nil {
		a.bad("%v", err)
	}
	for _, n := range names {
		if _, ok := want[n]; !ok {
			a.bad("%q is left at the sink", n)
		}
	}
}

// source holds the source to what was to become of its files.
func (a *audit) checkSource(dir, after string, want map[string]sample) {
	kept, err := files(dir)
	if err != nil {
		a.bad("%v", err)
	}
	if after == "keep" {
		for name, s := range want {
			if err := compare(filepath.Join(dir, name), s); err != nil {
				a.bad("%s was to stay at the source: %v", name, err)
			}
		}
		kept = slices.DeleteFunc(kept, func(n string) bool { _, ok := want[n]; return ok })
	}
	if len(kept) > 0 {
		a.bad("left at the source: %q", kept)
	}
	archive := filepath.Join(dir, "archive")
	moved, err := files(archive)
	if err != nil {
		a.bad("%v", err)
	}
	if after != "move" {
		if len(moved) > 0 {
			a.bad("in the archive: %q", moved)
		}
		return
	}
	for name, s := range want {
		if err := compare(filepath.Join(archive, name), s); err != nil {
			a.bad("%s was to be moved to the archive: %v", name, err)
		}
	}
	if len(moved) != len(want) {
		a.bad("%d files in the archive want %d: %q", len(moved), len(want), moved)
	}
}

// journal holds the journal to one transfer for each file, finished by arrival.
// Transfers whose files have left the source are forgotten after a while; then they
// are in the past.
func (a *audit) checkJournal(want map[string]sample, lists ...[]transfer) {
	ids := map[string]string{}
	for _, list := range lists {
		for _, t := range list {
			if t.State != "done" || t.Outcome != "arrived" {
				a.bad("transfer %s of %q is %s %s %v", t.ID, t.File, t.State, t.Outcome, t.Log)
			}
			if other, ok := ids[t.File]; ok && other != t.ID {
				a.bad("%q has two transfers, %s and %s", t.File, other, t.ID)
			}
			ids[t.File] = t.ID
		}
	}
	for name := range want {
		if ids[name] == "" {
			a.bad("the journal knows of no transfer of %s", name)
		}
	}
}

// TestAudit: each of the faults that runs are searched for is found when it is there.
func TestAudit(t *testing.T) {
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	want := map[string]sample{}
	put := func(path string, data []byte) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data := bytes.Repeat([]byte("x"), 100)
	for _, n := range []string{"lost", "short", "other", "twice", "fine"} {
		want[n] = sample{n, data}
		put(filepath.Join(dst, n), data)
		put(filepath.Join(src, "archive", n), data)
	}
	arrivals := map[string]int{"short": 1, "other": 1, "twice": 2, "fine": 1}
	done := func(file string) transfer {
		return transfer{ID: "t." + file, File: file, State: "done", Outcome: "arrived"}
	}
	all := []transfer{done("lost"), done("short"), done("other"), done("twice"), done("fine")}

	good := audit{}
	good.checkSink(dst, want, map[string]int{"lost": 1, "short": 1, "other": 1, "twice": 1, "fine": 1})
	good.checkSource(src, "move", want)
	good.checkJournal(want, all[:2], all[2:])
	if len(good.faults) > 0 || good.files != 5 {
		t.Errorf("everything is as it ought to be: got %d files, %q", good.files, good.faults)
	}

	if err := os.Remove(filepath.Join(dst, "lost")); err != nil {
		t.Fatal(err)
	}
	put(filepath.Join(dst, "short"), data[:99])
	put(filepath.Join(dst, "other"), bytes.Repeat([]byte("y"), 100))
	put(filepath.Join(dst, ".sallyport-1-1-0.part"), nil)
	put(filepath.Join(src, "left"), nil)
	put(filepath.Join(src, "archive", "fine"), data[:1])
	all[0].State, all[1].Outcome, all[2].File = "claimed", "vanished", "fine"
	var bad audit
	bad.checkSink(dst, want, arrivals)
	bad.checkSource(src, "move", want)
	bad.checkJournal(want, all)
	if bad.lost != 1 || bad.truncated != 2 || bad.twice != 1 {
		t.Errorf("got %+v want 1 lost, 2 truncated, 1 twice", bad)
	}
	text := strings.Join(bad.faults, "\n")
	for _, f := range []string{
		"lost: lost ", "truncated: short ", "truncated: other ", "twice: twice ", `".sallyport-1-1-0.part" is left`,
		`left at the source: ["left"]`, "fine was to be moved", "t.lost of", "t.short of", "two transfers", "no transfer of other",
	} {
		if !strings.Contains(text, f) {
			t.Errorf("did not find %q in\n%s", f, text)
		}
	}
	var kept audit
	kept.checkSource(src, "keep", want)
	if len(kept.faults) != 7 { // five are not there, one too many is, and there is an archive
		t.Errorf("keep: got %q", kept.faults)
	}
}
