package flowtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
)

// Folder is a [flow.Source] and [flow.Sink] in memory. Its zero value is an empty
// folder.
type Folder struct {
	// Name makes its identity.
	Name string
	// Fault, if set, sees each operation ("list", "open", "read", "unchanged",
	// "delete", "move", "write", "publish", "look", "discard") and may fail it.
	Fault func(op string, name flow.Path) error
	// NoHash makes Look leave out hashes, as a server that cannot compute them.
	NoHash bool

	mu       sync.Mutex // guards the following
	files    map[flow.Path]stored
	arrivals map[flow.Path]int
}

type stored struct {
	data []byte
	time time.Time
}

var (
	_ flow.Source = (*Folder)(nil)
	_ flow.Sink   = sink{}
)

// Put stores a file under a name.
func (d *Folder) Put(name flow.Path, data []byte, modified time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files == nil {
		d.files = make(map[flow.Path]stored)
	}
	d.files[name] = stored{slices.Clone(data), modified}
}

// Get returns a file's content.
func (d *Folder) Get(name flow.Path) ([]byte, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.files[name]
	return s.data, ok
}

// Remove takes a file away.
func (d *Folder) Remove(name flow.Path) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, name)
}

// Names returns the names of all files, sorted.
func (d *Folder) Names() []flow.Path {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.files))
}

// Arrivals returns how often a file was given this name by Publish.
func (d *Folder) Arrivals(name flow.Path) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.arrivals[name]
}

func (d *Folder) fail(op string, name flow.Path) error {
	if d.Fault == nil {
		return nil
	}
	return d.Fault(op, name)
}

// Properties implements [flow.Source].
func (d *Folder) Properties() flow.SourceProperties {
	return flow.SourceProperties{Identity: "memory:" + d.Name}
}

// List implements [flow.Source].
func (d *Folder) List(_ context.Context) iter.Seq2[flow.File, error] {
	return func(yield func(flow.File, error) bool) {
		if err := d.fail("list", ""); err != nil {
			yield(flow.File{}, err)
			return
		}
		d.mu.Lock()
		files := maps.Clone(d.files)
		d.mu.Unlock()
		for _, p := range slices.Sorted(maps.Keys(files)) {
			if !yield(flow.File{Path: p, Size: int64(len(files[p].data)), Time: files[p].time}, nil) {
				return
			}
		}
	}
}

func (d *Folder) get(op string, name flow.Path) (stored, error) {
	if err := d.fail(op, name); err != nil {
		return stored{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.files[name]
	if !ok {
		return s, fault.New(fault.NotFound, "%s %q: there is no such file", op, name)
	}
	return s, nil
}

// Open implements [flow.Source].
func (d *Folder) Open(ctx context.Context, f flow.File) (io.ReadCloser, error) {
	s, err := d.get("open", f.Path)
	if err != nil {
		return nil, err
	}
	return &body{ctx, d, f.Path, bytes.NewReader(s.data)}, nil
}

type body struct {
	ctx  context.Context
	d    *Folder
	name flow.Path
	r    *bytes.Reader
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if err := b.d.fail("read", b.name); err != nil {
		return 0, err
	}
	return b.r.Read(p)
}

func (b *body) Close() error { return nil }

// Unchanged implements [flow.Source].
func (d *Folder) Unchanged(_ context.Context, f flow.File) (bool, error) {
	s, err := d.get("unchanged", f.Path)
	return err == nil && s.time.Equal(f.Time) && int64(len(s.data)) == f.Size, err
}

// Delete implements [flow.Source].
func (d *Folder) Delete(_ context.Context, f flow.File) error {
	if _, err := d.get("delete", f.Path); err != nil {
		return err
	}
	d.Remove(f.Path)
	return nil
}

// Move implements [flow.Source].
func (d *Folder) Move(_ context.Context, f flow.File, to flow.Path) error {
	if _, err := d.get("move", f.Path); err != nil {
		return err
	}
	return d.rename(f.Path, to, false)
}

func (d *Folder) rename(from, to flow.Path, replace bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, taken := d.files[to]; taken && !replace {
		return fault.New(fault.Exists, "rename %q to %q: the name is taken", from, to)
	}
	s, ok := d.files[from]
	if !ok {
		return fault.New(fault.NotFound, "rename %q to %q: there is no such file", from, to)
	}
	delete(d.files, from)
	d.files[to] = s
	return nil
}

// Sink returns the folder as a [flow.Sink].
func (d *Folder) Sink() flow.Sink { return sink{d} }

type sink struct{ d *Folder }

func (s sink) Properties() flow.SinkProperties {
	return flow.SinkProperties{Identity: "memory:" + s.d.Name}
}

func (s sink) Write(ctx context.Context, temp flow.Path, r io.Reader) (flow.Written, error) {
	var b bytes.Buffer
	if _, err := flow.Copy(&b, r); err != nil {
		s.d.Put(temp, b.Bytes(), time.Now()) // what had come so far lies there, as on a disk
		return flow.Written{}, err
	}
	if err := ctx.Err(); err != nil {
		return flow.Written{}, err
	}
	if err := s.d.fail("write", temp); err != nil {
		s.d.Put(temp, b.Bytes()[:b.Len()/2], time.Now())
		return flow.Written{}, err
	}
	s.d.Put(temp, b.Bytes(), time.Now())
	w := flow.Written{Size: int64(b.Len())}
	if !s.d.NoHash {
		sum := sha256.Sum256(b.Bytes())
		w.Hash = sum[:]
	}
	return w, nil
}

func (s sink) Publish(_ context.Context, temp, final flow.Path, replace bool) error {
	if err := s.d.fail("publish", final); err != nil {
		return err
	}
	if err := s.d.rename(temp, final, replace); err != nil {
		return err
	}
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if s.d.arrivals == nil {
		s.d.arrivals = make(map[flow.Path]int)
	}
	s.d.arrivals[final]++
	return nil
}

func (s sink) Look(_ context.Context, name flow.Path, hash bool) (flow.Look, error) {
	if err := s.d.fail("look", name); err != nil {
		return flow.Look{}, err
	}
	data, ok := s.d.Get(name)
	l := flow.Look{There: ok, Size: int64(len(data))}
	if ok && hash && !s.d.NoHash {
		sum := sha256.Sum256(data)
		l.Hash = sum[:]
	}
	return l, nil
}

func (s sink) Discard(_ context.Context, temp flow.Path) error {
	if err := s.d.fail("discard", temp); err != nil {
		return err
	}
	s.d.Remove(temp)
	return nil
}
