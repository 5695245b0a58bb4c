package ftpio_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/flow/flowtest"
	"sallyport.dev/internal/flow/ftpio"
)

// disk is a folder reached by the operating system.
type disk string

func (d disk) put(t *testing.T, name string, data []byte, at time.Time) {
	t.Helper()
	p := filepath.Join(string(d), name)
	if err := os.WriteFile(p, data, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(p, at, at); err != nil {
		t.Fatal(err)
	}
}

func (d disk) get(t *testing.T, name string) ([]byte, bool) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(string(d), name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return b, err == nil
}

func (d disk) remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(string(d), name)); err != nil {
		t.Fatal(err)
	}
}

func (d disk) source(s flow.Source) flowtest.SourceHarness {
	return flowtest.SourceHarness{Source: s, Put: d.put, Get: d.get, Remove: d.remove}
}

func (d disk) sink(s flow.Sink) flowtest.SinkHarness {
	return flowtest.SinkHarness{Sink: s, Get: d.get, Put: func(t *testing.T, n string, b []byte) {
		t.Helper()
		d.put(t, n, b, time.Now())
	}}
}

func TestLocalSource(t *testing.T) {
	flowtest.TestSource(t, func(t *testing.T) flowtest.SourceHarness {
		d := disk(t.TempDir())
		return d.source(&ftpio.LocalSource{Path: string(d), Match: "*.xml"})
	})
}

func TestLocalSink(t *testing.T) {
	flowtest.TestSink(t, func(t *testing.T) flowtest.SinkHarness {
		d := disk(t.TempDir())
		return d.sink(&ftpio.LocalSink{Path: string(d)})
	})
}

func TestLocalSourceTakesFilesThatMatch(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "secret.xml")
	if err := os.WriteFile(outside, []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"a.xml", "b.txt", ".sallyport-0-1-0.part", ".hidden.xml"} {
		disk(dir).put(t, n, []byte("x"), time.Now())
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.xml"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link.xml")); err != nil {
		t.Fatal(err)
	}
	for pattern, want := range map[string]string{"*.xml": ".hidden.xml a.xml", "": ".hidden.xml a.xml b.txt", "{a,b}.*": "a.xml b.txt"} {
		var got []string
		s := ftpio.LocalSource{Path: dir, Match: pattern}
		for f, err := range s.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(f.Path))
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%q: got %q want %q", pattern, got, want)
		}
	}
	s := ftpio.LocalSource{Path: dir}
	for _, p := range []flow.Path{"link.xml", "../" + flow.Path(filepath.Base(dir)) + "/a.xml", "folder.xml"} {
		if body, err := s.Open(t.Context(), flow.File{Path: p}); err == nil {
			t.Errorf("opened %q", p)
			_ = body.Close()
		}
	}
}

// TestLocalFolderThatIsNotThere is trouble, and never a file that is gone.
func TestLocalFolderThatIsNotThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "absent")
	s := ftpio.LocalSource{Path: dir}
	f := flow.File{Path: "a.xml"}
	n := 0
	for _, err := range s.List(t.Context()) {
		n++
		if err == nil || fault.HintOf(err) == "" {
			t.Errorf("List: got %v, hint %q", err, fault.HintOf(err))
		}
	}
	if n != 1 {
		t.Errorf("List yields %d times want an error", n)
	}
	_, openErr := s.Open(t.Context(), f)
	_, sameErr := s.Unchanged(t.Context(), f)
	for _, err := range []error{openErr, sameErr, s.Delete(t.Context(), f), s.Move(t.Context(), f, "b")} {
		if err == nil || fault.KindOf(err) == fault.NotFound {
			t.Errorf("got %v want an error that does not say the file is gone", err)
		}
	}
	sink := ftpio.LocalSink{Path: dir}
	if _, err := sink.Look(t.Context(), "a.xml", false); err == nil {
		t.Error("Look at a sink that is not there went well")
	}
}

// TestLocalPublishRace lets many publish one name that may not be replaced.
func TestLocalPublishRace(t *testing.T) {
	dir := t.TempDir()
	sink := &ftpio.LocalSink{Path: dir}
	const n = 16
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		temp := flow.Path(".sallyport-" + string(rune('a'+i)) + ".part")
		if _, err := sink.Write(t.Context(), temp, strings.NewReader(string(temp))); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { errs[i] = sink.Publish(t.Context(), temp, "a.xml", false) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case fault.KindOf(err) != fault.Exists:
			t.Errorf("got %v want exists", err)
		}
	}
	if won != 1 {
		t.Errorf("%d published one name", won)
	}
}

// TestLocalPublishCompletes: a rename by link that was cut short between its two
// halves is completed.
func TestLocalPublishCompletes(t *testing.T) {
	d := disk(t.TempDir())
	sink := &ftpio.LocalSink{Path: string(d)}
	d.put(t, ".sallyport-1.part", []byte("x"), time.Now())
	if err := os.Link(filepath.Join(string(d), ".sallyport-1.part"), filepath.Join(string(d), "a.xml")); err != nil {
		t.Fatal(err)
	}
	if err := sink.Publish(t.Context(), ".sallyport-1.part", "a.xml", false); err != nil {
		t.Fatal(err)
	}
	if _, there := d.get(t, ".sallyport-1.part"); there {
		t.Error("the temporary name is still there")
	}
	if got, _ := d.get(t, "a.xml"); string(got) != "x" {
		t.Errorf("got %q", got)
	}
}

func TestCheckMatch(t *testing.T) {
	for p, ok := range map[string]bool{"*.xml": true, "{a,b}?[0-9]": true, "": true, "[": false, "a/*.xml": false, "**/x": false} {
		err := ftpio.CheckMatch(p)
		if (err == nil) != ok {
			t.Errorf("%q: got %v want ok %v", p, err, ok)
		}
		if err != nil && fault.HintOf(err) == "" {
			t.Errorf("%q: no hint", p)
		}
	}
}
