package flowtest

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
)

// SourceHarness is a source over an empty folder, and a way round it to the files.
type SourceHarness struct {
	Source flow.Source
	// Put stores a file with a modification time (to the second), Get reads one and
	// Remove takes one away.
	Put    func(t *testing.T, name string, data []byte, modified time.Time)
	Get    func(t *testing.T, name string) ([]byte, bool)
	Remove func(t *testing.T, name string)
}

// TestSource holds a source to what flow.Source promises. Make makes a new one over
// an empty folder.
func TestSource(t *testing.T, make func(t *testing.T) SourceHarness) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, h SourceHarness)
	}{
		{"list", sourceList},
		{"list-stopped", sourceListStopped},
		{"odd-names", sourceOddNames},
		{"open", sourceOpen},
		{"open-given-up", sourceGivenUp},
		{"unchanged", sourceUnchanged},
		{"delete", sourceDelete},
		{"move", sourceMove},
		{"canceled", sourceCanceled},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, make(t)) })
	}
}

var sampleTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func list(t *testing.T, s flow.Source) map[flow.Path]flow.File {
	t.Helper()
	out := make(map[flow.Path]flow.File)
	for f, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		if _, twice := out[f.Path]; twice {
			t.Errorf("List yields %q twice", f.Path)
		}
		out[f.Path] = f
	}
	return out
}

// one lists a source that holds one file.
func one(t *testing.T, s flow.Source) flow.File {
	t.Helper()
	files := list(t, s)
	if len(files) != 1 {
		t.Fatalf("got %d files want 1", len(files))
	}
	return files[slices.Collect(maps.Keys(files))[0]]
}

func sourceList(t *testing.T, h SourceHarness) {
	if h.Source.Properties().Identity == "" {
		t.Error("a source needs an identity")
	}
	if files := list(t, h.Source); len(files) != 0 {
		t.Errorf("empty folder: got %v", files)
	}
	h.Put(t, "a.xml", []byte("hello"), sampleTime)
	h.Put(t, "empty.xml", nil, sampleTime)
	files := list(t, h.Source)
	if f := files["a.xml"]; f.Size != 5 || !f.Time.Equal(sampleTime) {
		t.Errorf("got %+v want 5 bytes of %v", f, sampleTime)
	}
	if f, ok := files["empty.xml"]; !ok || f.Size != 0 {
		t.Errorf("got %+v want an empty file", f)
	}
	again := list(t, h.Source)
	for p, f := range files {
		if again[p] != f {
			t.Errorf("%q was %+v and is %+v without having changed", p, f, again[p])
		}
	}
}

func sourceListStopped(t *testing.T, h SourceHarness) {
	for _, n := range []string{"a.xml", "b.xml", "c.xml"} {
		h.Put(t, n, []byte(n), sampleTime)
	}
	for range h.Source.List(t.Context()) {
		break
	}
	if files := list(t, h.Source); len(files) != 3 {
		t.Errorf("after a listing that was left: got %d want 3", len(files))
	}
}

func sourceOddNames(t *testing.T, h SourceHarness) {
	names := []string{"two words.xml", "-dash.xml", "ümlaut.xml", "quote\"'.xml", "per%20cent.xml", "semi;colon.xml", "a.b.c.xml"}
	for _, n := range names {
		h.Put(t, n, []byte(n), sampleTime)
	}
	files := list(t, h.Source)
	for _, n := range names {
		f, ok := files[flow.Path(n)]
		if !ok {
			t.Errorf("%q is not listed", n)
			continue
		}
		if got := read(t, h.Source, f); string(got) != n {
			t.Errorf("%q: got %q", n, got)
		}
		if same, err := h.Source.Unchanged(t.Context(), f); !same || err != nil {
			t.Errorf("%q: got %v, %v want unchanged", n, same, err)
		}
		if err := h.Source.Delete(t.Context(), f); err != nil {
			t.Errorf("delete %q: %v", n, err)
		}
	}
	if files := list(t, h.Source); len(files) != 0 {
		t.Errorf("left: %v", files)
	}
}

func read(t *testing.T, s flow.Source, f flow.File) []byte {
	t.Helper()
	body, err := s.Open(t.Context(), f)
	if err != nil {
		t.Fatalf("Open %q: %v", f.Path, err)
	}
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatalf("read %q: %v", f.Path, err)
	}
	if err := body.Close(); err != nil {
		t.Fatalf("close %q: %v", f.Path, err)
	}
	return data
}

func sourceOpen(t *testing.T, h SourceHarness) {
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	h.Put(t, "a.xml", want, sampleTime)
	f := one(t, h.Source)
	for range 2 {
		if got := read(t, h.Source, f); !bytes.Equal(got, want) {
			t.Errorf("got %d bytes want %d", len(got), len(want))
		}
	}
	h.Remove(t, "a.xml")
	if _, err := h.Source.Open(t.Context(), f); fault.KindOf(err) != fault.NotFound {
		t.Errorf("open what is gone: got %v want not-found", err)
	}
}

func sourceGivenUp(t *testing.T, h SourceHarness) {
	h.Put(t, "a.xml", make([]byte, 4<<20), sampleTime)
	f := one(t, h.Source)
	for range 3 {
		body, err := h.Source.Open(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(body, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		_ = body.Close() // given up; what it says does not matter
	}
	if got := read(t, h.Source, f); len(got) != 4<<20 {
		t.Errorf("got %d bytes", len(got))
	}
}

func sourceUnchanged(t *testing.T, h SourceHarness) {
	h.Put(t, "a.xml", []byte("hello"), sampleTime)
	f := one(t, h.Source)
	check := func(what string, want bool) {
		t.Helper()
		if got, err := h.Source.Unchanged(t.Context(), f); err != nil || got != want {
			t.Errorf("%s: got %v, %v want %v", what, got, err, want)
		}
	}
	check("as it was", true)
	h.Put(t, "a.xml", []byte("hello again"), sampleTime)
	check("other size", false)
	h.Put(t, "a.xml", []byte("HELLO"), sampleTime.Add(time.Minute))
	check("other time", false)
	h.Remove(t, "a.xml")
	if _, err := h.Source.Unchanged(t.Context(), f); fault.KindOf(err) != fault.NotFound {
		t.Errorf("gone: got %v want not-found", err)
	}
}

func sourceDelete(t *testing.T, h SourceHarness) {
	h.Put(t, "a.xml", []byte("hello"), sampleTime)
	f := one(t, h.Source)
	if err := h.Source.Delete(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if _, there := h.Get(t, "a.xml"); there {
		t.Error("it is still there")
	}
	if err := h.Source.Delete(t.Context(), f); fault.KindOf(err) != fault.NotFound {
		t.Errorf("delete again: got %v want not-found", err)
	}
}

func sourceMove(t *testing.T, h SourceHarness) {
	h.Put(t, "a.xml", []byte("first"), sampleTime)
	f := one(t, h.Source)
	if err := h.Source.Move(t.Context(), f, "archive/2026/a b.xml"); err != nil {
		t.Fatal(err)
	}
	if got, _ := h.Get(t, "archive/2026/a b.xml"); string(got) != "first" {
		t.Errorf("moved: got %q", got)
	}
	if err := h.Source.Move(t.Context(), f, "archive/2026/other.xml"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("move what is gone: got %v want not-found", err)
	}
	h.Put(t, "a.xml", []byte("second"), sampleTime)
	if err := h.Source.Move(t.Context(), f, "archive/2026/a b.xml"); fault.KindOf(err) != fault.Exists {
		t.Errorf("move onto a file: got %v want exists", err)
	}
	if got, _ := h.Get(t, "archive/2026/a b.xml"); string(got) != "first" {
		t.Errorf("the file there: got %q want %q", got, "first")
	}
	if got, _ := h.Get(t, "a.xml"); string(got) != "second" {
		t.Errorf("the file that stays: got %q want %q", got, "second")
	}
}

func sourceCanceled(t *testing.T, h SourceHarness) {
	h.Put(t, "a.xml", make([]byte, 1<<20), sampleTime)
	f := one(t, h.Source)
	ctx, cancel := context.WithCancel(t.Context())
	body, err := h.Source.Open(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_, _ = io.Copy(io.Discard, body) // ends, one way or the other
	_ = body.Close()
	if got := read(t, h.Source, f); len(got) != 1<<20 {
		t.Errorf("afterwards: got %d bytes", len(got))
	}
}
