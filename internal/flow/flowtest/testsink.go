package flowtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
)

// SinkHarness is a sink over an empty folder, and a way round it to the files.
type SinkHarness struct {
	Sink flow.Sink
	Get  func(t *testing.T, name string) ([]byte, bool)
	Put  func(t *testing.T, name string, data []byte)
}

// TestSink holds a sink to what flow.Sink promises. Make makes a new one over an
// empty folder.
func TestSink(t *testing.T, make func(t *testing.T) SinkHarness) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, h SinkHarness)
	}{
		{"publish", sinkPublish},
		{"replace", sinkReplace},
		{"broken-body", sinkBrokenBody},
		{"folders", sinkFolders},
		{"odd-names", sinkOddNames},
		{"discard", sinkDiscard},
		{"big", sinkBig},
		{"canceled", sinkCanceled},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, make(t)) })
	}
}

const sampleTemp = flow.Path(".sallyport-0123456789abcdef-1-0.part")

func write(t *testing.T, s flow.Sink, temp flow.Path, data string) {
	t.Helper()
	w, err := s.Write(t.Context(), temp, strings.NewReader(data))
	if err != nil {
		t.Fatalf("Write %q: %v", temp, err)
	}
	if w.Size >= 0 && w.Size != int64(len(data)) {
		t.Errorf("Write %q: got size %d want %d", temp, w.Size, len(data))
	}
	if sum := sha256.Sum256([]byte(data)); w.Hash != nil && !bytes.Equal(w.Hash, sum[:]) {
		t.Errorf("Write %q: got hash %x want %x", temp, w.Hash, sum)
	}
}

// there checks what a look says of a name.
func there(t *testing.T, s flow.Sink, name flow.Path, want string) {
	t.Helper()
	for _, hash := range []bool{false, true} {
		l, err := s.Look(t.Context(), name, hash)
		if err != nil || !l.There || l.Size >= 0 && l.Size != int64(len(want)) {
			t.Errorf("Look %q: got %+v, %v want %d bytes", name, l, err, len(want))
		}
		if sum := sha256.Sum256([]byte(want)); hash && l.Hash != nil && !bytes.Equal(l.Hash, sum[:]) {
			t.Errorf("Look %q: got hash %x want %x", name, l.Hash, sum)
		}
	}
}

func absent(t *testing.T, s flow.Sink, name flow.Path) {
	t.Helper()
	if l, err := s.Look(t.Context(), name, true); err != nil || l.There {
		t.Errorf("Look %q: got %+v, %v want nothing there", name, l, err)
	}
}

func sinkPublish(t *testing.T, h SinkHarness) {
	if h.Sink.Properties().Identity == "" {
		t.Error("a sink needs an identity")
	}
	for name, data := range map[flow.Path]string{"a.xml": "hello", "empty.xml": ""} {
		absent(t, h.Sink, name)
		write(t, h.Sink, sampleTemp, data)
		there(t, h.Sink, sampleTemp, data)
		absent(t, h.Sink, name)
		if err := h.Sink.Publish(t.Context(), sampleTemp, name, false); err != nil {
			t.Fatal(err)
		}
		there(t, h.Sink, name, data)
		absent(t, h.Sink, sampleTemp)
		if got, ok := h.Get(t, string(name)); !ok || string(got) != data {
			t.Errorf("%q: got %q want %q", name, got, data)
		}
	}
}

func sinkReplace(t *testing.T, h SinkHarness) {
	h.Put(t, "a.xml", []byte("theirs"))
	write(t, h.Sink, sampleTemp, "ours")
	if err := h.Sink.Publish(t.Context(), sampleTemp, "a.xml", false); fault.KindOf(err) != fault.Exists {
		t.Errorf("publish onto a file: got %v want exists", err)
	}
	there(t, h.Sink, sampleTemp, "ours")
	if got, _ := h.Get(t, "a.xml"); string(got) != "theirs" {
		t.Errorf("got %q want %q", got, "theirs")
	}
	if err := h.Sink.Publish(t.Context(), sampleTemp, "a.xml", true); err != nil {
		t.Fatalf("replace: %v", err)
	}
	if got, _ := h.Get(t, "a.xml"); string(got) != "ours" {
		t.Errorf("got %q want %q", got, "ours")
	}
	absent(t, h.Sink, sampleTemp)
}

var errBody = errors.New("the body broke")

func sinkBrokenBody(t *testing.T, h SinkHarness) {
	body := io.MultiReader(bytes.NewReader(make([]byte, 300_000)), brokenReader{})
	if _, err := h.Sink.Write(t.Context(), sampleTemp, body); !errors.Is(err, errBody) {
		t.Errorf("got %v want the body's error", err)
	}
	if err := h.Sink.Discard(t.Context(), sampleTemp); err != nil {
		t.Errorf("discard: %v", err)
	}
	absent(t, h.Sink, sampleTemp)
	write(t, h.Sink, sampleTemp, "second try")
	there(t, h.Sink, sampleTemp, "second try")
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBody }

func sinkFolders(t *testing.T, h SinkHarness) {
	temp := "in/2026/" + sampleTemp
	write(t, h.Sink, temp, "hello")
	if err := h.Sink.Publish(t.Context(), temp, "in/2026/a.xml", false); err != nil {
		t.Fatal(err)
	}
	if got, _ := h.Get(t, "in/2026/a.xml"); string(got) != "hello" {
		t.Errorf("got %q", got)
	}
	write(t, h.Sink, temp, "two")
	if err := h.Sink.Publish(t.Context(), temp, "in/2026/b.xml", true); err != nil {
		t.Fatal(err)
	}
	there(t, h.Sink, "in/2026/b.xml", "two")
	absent(t, h.Sink, "not/there/at all.xml")
	if err := h.Sink.Discard(t.Context(), "not/there/x.part"); err != nil {
		t.Errorf("discard in a folder that is not there: %v", err)
	}
}

func sinkOddNames(t *testing.T, h SinkHarness) {
	for _, n := range []flow.Path{"two words.xml", "-dash.xml", "ümlaut.xml", "quote\"'.xml", "per%20cent.xml"} {
		write(t, h.Sink, sampleTemp, string(n))
		if err := h.Sink.Publish(t.Context(), sampleTemp, n, false); err != nil {
			t.Errorf("publish %q: %v", n, err)
			continue
		}
		if got, ok := h.Get(t, string(n)); !ok || string(got) != string(n) {
			t.Errorf("%q: got %q", n, got)
		}
	}
}

func sinkDiscard(t *testing.T, h SinkHarness) {
	write(t, h.Sink, sampleTemp, "hello")
	for range 2 {
		if err := h.Sink.Discard(t.Context(), sampleTemp); err != nil {
			t.Errorf("Discard: %v", err)
		}
		absent(t, h.Sink, sampleTemp)
	}
}

func sinkBig(t *testing.T, h SinkHarness) {
	data := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB
	write(t, h.Sink, sampleTemp, data)
	there(t, h.Sink, sampleTemp, data)
}

func sinkCanceled(t *testing.T, h SinkHarness) {
	ctx, cancel := context.WithCancel(t.Context())
	body := io.MultiReader(bytes.NewReader(make([]byte, 200_000)), cancelReader{cancel}, bytes.NewReader(make([]byte, 8<<20)))
	if _, err := h.Sink.Write(ctx, sampleTemp, body); err == nil {
		t.Error("a write whose context ended went well")
	}
	write(t, h.Sink, sampleTemp, "second try")
	there(t, h.Sink, sampleTemp, "second try")
}

// cancelReader ends a context when it is read, and is empty.
type cancelReader struct{ cancel context.CancelFunc }

func (c cancelReader) Read([]byte) (int, error) {
	c.cancel()
	return 0, io.EOF
}
