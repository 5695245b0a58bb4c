//go:build linux

package torture_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// watch counts, by inotify, what happens in a sink's folder. It believes nobody but
// the kernel: a file arrives when its final name appears, by whatever call.
type watch struct {
	file *os.File
	ctl  string // a folder of the watch's own, see flush
	dir  int32  // watch descriptors
	own  int32
	done chan struct{} // closed when the reader has ended

	mu       sync.Mutex     // guards the following
	changed  chan struct{}  // closed, and made anew, at each event
	arrivals map[string]int // by final name
	begun    int            // temporary files made
	arrived  int            // sum of arrivals
	faults   []string       // what must never happen
	from     map[uint32]string
	flushed  map[string]bool
}

// isTemp reports whether a name is one that the program writes files under.
func isTemp(name string) bool {
	return strings.HasPrefix(name, ".sallyport-") && strings.HasSuffix(name, ".part")
}

// watchFolder watches dir until the test ends, or close.
func watchFolder(t testing.TB, dir string) *watch {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatalf("watch %q: %v", dir, err)
	}
	w := &watch{
		file: os.NewFile(uintptr(fd), "inotify"), ctl: t.TempDir(), done: make(chan struct{}),
		changed: make(chan struct{}), arrivals: map[string]int{}, from: map[uint32]string{}, flushed: map[string]bool{},
	}
	for _, f := range []struct {
		wd  *int32
		dir string
	}{{&w.dir, dir}, {&w.own, w.ctl}} {
		wd, err := unix.InotifyAddWatch(fd, f.dir, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_MOVED_FROM|unix.IN_DELETE|unix.IN_MODIFY|unix.IN_ONLYDIR)
		if err != nil {
			t.Fatalf("watch %q: %v", f.dir, err)
		}
		*f.wd = int32(wd) //nolint:gosec // a small number
	}
	go w.read()
	t.Cleanup(w.close)
	return w
}

// close ends the watch and waits for its reader.
func (w *watch) close() {
	_ = w.file.Close() // twice does no harm
	<-w.done
}

// read reads events until the watch is closed.
func (w *watch) read() {
	defer close(w.done)
	buf := make([]byte, 256<<10)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			return // closed
		}
		w.mu.Lock()
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			// struct inotify_event: wd, mask, cookie, len, name
			wd := int32(binary.NativeEndian.Uint32(b)) //nolint:gosec // as the kernel has it
			mask, cookie, size := binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[8:]), binary.NativeEndian.Uint32(b[12:])
			name := b[unix.SizeofInotifyEvent : unix.SizeofInotifyEvent+size]
			w.eventLocked(wd, mask, cookie, string(bytes.TrimRight(name, "\x00")))
			b = b[unix.SizeofInotifyEvent+size:]
		}
		close(w.changed)
		w.changed = make(chan struct{})
		w.mu.Unlock()
	}
}

// eventLocked counts one event.
func (w *watch) eventLocked(wd int32, mask, cookie uint32, name string) {
	bad := func(format string, args ...any) { w.faults = append(w.faults, fmt.Sprintf(format, args...)) }
	switch {
	case mask&unix.IN_Q_OVERFLOW != 0:
		bad("the kernel lost events: the count is worth nothing")
	case wd == w.own:
		w.flushed[name] = true
	case wd != w.dir || mask&(unix.IN_IGNORED|unix.IN_UNMOUNT) != 0:
	case isTemp(name):
		switch {
		case mask&unix.IN_CREATE != 0:
			w.begun++
		case mask&unix.IN_MOVED_FROM != 0:
			w.from[cookie] = name
		case mask&unix.IN_MOVED_TO != 0:
			bad("%q was renamed to a temporary name", name)
		}
	case mask&unix.IN_MOVED_TO != 0:
		w.arrivals[name]++
		w.arrived++
		if _, ok := w.from[cookie]; !ok {
			bad("%q came from a name that is not temporary", name)
		}
		delete(w.from, cookie)
	case mask&unix.IN_CREATE != 0:
		w.arrivals[name]++
		w.arrived++
		bad("%q was made under its final name", name)
	case mask&unix.IN_MODIFY != 0:
		bad("%q was written to after it had its final name", name)
	default:
		bad("%q was taken away", name)
	}
}

// state returns the counts, and what closes when they change.
func (w *watch) state() (begun, arrived int, changed <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.begun, w.arrived, w.changed
}

// flush waits until every event that has happened so far is counted: events come in
// order, so it makes one and waits for that.
func (w *watch) flush(t testing.TB) {
	t.Helper()
	f, err := os.CreateTemp(w.ctl, "")
	if err != nil {
		t.Fatalf("flush the watch: %v", err)
	}
	defer f.Close()
	for {
		w.mu.Lock()
		seen, changed := w.flushed[filepath.Base(f.Name())], w.changed
		w.mu.Unlock()
		if seen {
			return
		}
		select {
		case <-changed:
		case <-w.done:
			t.Fatal("the watch has ended")
		}
	}
}

// counted returns how often each file has arrived, and what must not have happened.
// Call flush before.
func (w *watch) counted() (arrivals map[string]int, faults []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	arrivals = make(map[string]int, len(w.arrivals))
	for n, c := range w.arrivals {
		arrivals[n] = c
	}
	return arrivals, slices.Clone(w.faults)
}

// TestWatch: the watch counts names that appear twice, and sees what no sink may do.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	w := watchFolder(t, dir)
	at := func(n string) string { return filepath.Join(dir, n) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, temp := range []string{".sallyport-1-1-0.part", ".sallyport-1-2-0.part"} {
		must(os.WriteFile(at(temp), []byte("x"), 0o600))
		must(os.Rename(at(temp), at("twice")))
	}
	must(os.WriteFile(at(".sallyport-2-1-0.part"), nil, 0o600))
	must(os.Rename(at(".sallyport-2-1-0.part"), at("once")))
	w.flush(t)
	if n, faults := w.counted(); n["twice"] != 2 || n["once"] != 1 || len(faults) > 0 {
		t.Errorf("got %v, faults %q want 2 and 1, and none", n, faults)
	}
	must(os.WriteFile(at("direct"), nil, 0o600))
	must(os.Truncate(at("once"), 7))
	must(os.Link(at("once"), at("linked")))
	must(os.Rename(at("linked"), at("elsewhere")))
	must(os.Remove(at("direct")))
	w.flush(t)
	n, faults := w.counted()
	for _, name := range []string{"direct", "linked", "elsewhere"} {
		if n[name] != 1 {
			t.Errorf("%s: got %d arrivals want 1", name, n[name])
		}
	}
	want := []string{
		`"direct" was made under its final name`,
		`"once" was written to after it had its final name`,
		`"linked" was made under its final name`,
		`"linked" was taken away`,
		`"elsewhere" came from a name that is not temporary`,
		`"direct" was taken away`,
	}
	if !slices.Equal(faults, want) {
		t.Errorf("got faults %q want %q", faults, want)
	}
	if begun, arrived, _ := w.state(); begun != 3 || arrived != 6 {
		t.Errorf("got %d begun, %d arrived want 3, 6", begun, arrived)
	}
}
