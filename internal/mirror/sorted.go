package mirror

import (
	"bufio"
	"container/heap"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"os"
	"slices"
	"time"

	"sallyport.dev/internal/fault"
)

// inMemory is how many entries of a listing are held in memory. More are sorted in
// pieces of that many on disk.
const inMemory = 16 << 10

// maxRuns bounds the pieces that are merged at once, and so a listing: to a few
// hundred million entries.
const maxRuns = 16 << 10

// Sorted sorts any number of entries. It must be closed.
type Sorted struct {
	cmp  func(a, b *Entry) int
	held []Entry
	disk *spool // the pieces, one after the other; nil while memory has them all
	runs []run
	each int // entries in memory; inMemory but in tests
}

// run is one sorted piece.
type run struct{ from, to int64 }

// NewSorted returns an empty Sorted. cmp is as for [slices.SortFunc].
func NewSorted(cmp func(a, b *Entry) int) *Sorted { return &Sorted{cmp: cmp, each: inMemory} }

// Add adds an entry.
func (s *Sorted) Add(e *Entry) error {
	s.held = append(s.held, *e)
	if len(s.held) < s.each {
		return nil
	}
	return s.spill()
}

// spill puts what is in memory on disk, sorted.
func (s *Sorted) spill() error {
	if len(s.runs) == maxRuns {
		return fault.New(fault.Full, "the listing has more than %d entries", maxRuns*s.each)
	}
	if s.disk == nil {
		var err error
		if s.disk, err = newSpool(); err != nil {
			return err
		}
	}
	s.sort()
	from := s.disk.size
	for i := range s.held {
		if err := s.disk.add(&s.held[i]); err != nil {
			return err
		}
	}
	s.runs = append(s.runs, run{from, s.disk.size})
	s.held = s.held[:0]
	return nil
}

func (s *Sorted) sort() {
	slices.SortStableFunc(s.held, func(a, b Entry) int { return s.cmp(&a, &b) })
}

// Close frees what is on disk.
func (s *Sorted) Close() error {
	if s.disk == nil {
		return nil
	}
	return s.disk.close()
}

// All gives the entries in order. Nothing may be added once it was called.
func (s *Sorted) All() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		s.sort()
		m := &merge{cmp: s.cmp}
		next := 0
		m.add(func() (Entry, error) {
			if next == len(s.held) {
				return Entry{}, io.EOF
			}
			next++
			return s.held[next-1], nil
		})
		if s.disk != nil {
			if err := s.disk.flush(); err != nil {
				yield(Entry{}, err)
				return
			}
			for _, r := range s.runs {
				m.add(s.disk.read(r.from, r.to, 8<<10))
			}
		}
		for m.err == nil && len(m.heads) > 0 {
			if !yield(m.next(), nil) {
				return
			}
		}
		if m.err != nil {
			yield(Entry{}, m.err)
		}
	}
}

// merge gives the entries of sorted pieces in order. It is a heap of their heads.
type merge struct {
	cmp   func(a, b *Entry) int
	heads []head
	err   error
}

type head struct {
	e    Entry
	more func() (Entry, error)
}

func (m *merge) add(more func() (Entry, error)) {
	e, err := more()
	switch {
	case errors.Is(err, io.EOF):
	case err != nil:
		m.err = err
	default:
		heap.Push(m, head{e, more})
	}
}

func (m *merge) next() Entry {
	top := &m.heads[0]
	out := top.e
	e, err := top.more()
	switch {
	case errors.Is(err, io.EOF):
		heap.Pop(m)
	case err != nil:
		m.err = err
	default:
		top.e = e
		heap.Fix(m, 0)
	}
	return out
}

// Len, Less, Swap, Push and Pop implement [heap.Interface].
func (m *merge) Len() int           { return len(m.heads) }
func (m *merge) Less(i, j int) bool { return m.cmp(&m.heads[i].e, &m.heads[j].e) < 0 }
func (m *merge) Swap(i, j int)      { m.heads[i], m.heads[j] = m.heads[j], m.heads[i] }
func (m *merge) Push(x any)         { m.heads = append(m.heads, x.(head)) } //nolint:forcetypeassert // by add alone
func (m *merge) Pop() any {
	last := m.heads[len(m.heads)-1]
	m.heads = m.heads[:len(m.heads)-1]
	return last
}

// spool is a list of entries on disk, in the system's folder for temporary files.
type spool struct {
	f    *os.File
	w    *bufio.Writer
	size int64
	buf  []byte
	n    int64 // entries
}

func newSpool() (*spool, error) {
	f, err := os.CreateTemp("", "sallyport-list-*")
	if err != nil {
		return nil, fault.As(err, "hold a long listing on disk")
	}
	return &spool{f: f, w: bufio.NewWriterSize(f, 64<<10)}, nil
}

func (s *spool) close() error {
	return errors.Join(s.f.Close(), os.Remove(s.f.Name()))
}

func (s *spool) add(e *Entry) error {
	b := binary.AppendUvarint(s.buf[:0], uint64(len(e.Name)))
	b = append(b, e.Name...)
	b = append(b, byte(e.Kind))
	b = binary.AppendVarint(b, e.Size)
	b = binary.AppendVarint(b, int64(e.Precision))
	if e.Time.IsZero() {
		b = append(b, 0)
	} else {
		b = append(b, 1)
		b = binary.AppendVarint(b, e.Time.Unix())
		b = binary.AppendUvarint(b, uint64(e.Time.Nanosecond())) //nolint:gosec // from 0 to 999999999
	}
	s.buf = b
	n, err := s.w.Write(b)
	s.size += int64(n)
	s.n++
	if err != nil {
		return fault.As(err, "hold a long listing on disk")
	}
	return nil
}

func (s *spool) flush() error {
	if err := s.w.Flush(); err != nil {
		return fault.As(err, "hold a long listing on disk")
	}
	return nil
}

// read returns a function that gives the entries between two places, then io.EOF.
func (s *spool) read(from, to int64, buffer int) func() (Entry, error) {
	r := bufio.NewReaderSize(io.NewSectionReader(s.f, from, to-from), buffer)
	return func() (Entry, error) {
		e, err := readEntry(r)
		if err != nil && !errors.Is(err, io.EOF) {
			err = fault.As(err, "read a long listing back from disk")
		}
		return e, err
	}
}

// readEntry reads what add wrote. io.EOF comes only between entries.
func readEntry(r *bufio.Reader) (Entry, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return Entry{}, err
	}
	name := make([]byte, n)
	var e Entry
	var kind, timed byte
	var precision, sec int64
	var nsec uint64
	for _, step := range []func() error{
		func() (err error) { _, err = io.ReadFull(r, name); return err },
		func() (err error) { kind, err = r.ReadByte(); return err },
		func() (err error) { e.Size, err = binary.ReadVarint(r); return err },
		func() (err error) { precision, err = binary.ReadVarint(r); return err },
		func() (err error) { timed, err = r.ReadByte(); return err },
	} {
		if err := step(); err != nil {
			return Entry{}, noEOF(err)
		}
	}
	e.Name, e.Kind, e.Precision = string(name), Kind(kind), time.Duration(precision)
	if timed == 0 {
		return e, nil
	}
	if sec, err = binary.ReadVarint(r); err == nil {
		nsec, err = binary.ReadUvarint(r)
	}
	e.Time = time.Unix(sec, int64(nsec))
	return e, noEOF(err)
}

// noEOF turns an end in the middle into what it is.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
