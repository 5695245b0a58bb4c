package mirror_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"sallyport.dev/internal/mirror"
)

func byName(a, b *mirror.Entry) int { return cmp.Compare(a.Name, b.Name) }

func TestSortedOnDisk(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var want []mirror.Entry
	for _, n := range []int{0, 1, 9, 10, 11, 1000} {
		s := mirror.WithMemory(mirror.NewSorted(byName), 10)
		want = want[:0]
		for range n {
			e := mirror.Entry{Name: fmt.Sprintf("%d\n\x00", r.IntN(1<<30)), Kind: mirror.Kind(r.IntN(4)), Size: r.Int64N(1<<40) - 1, Precision: time.Minute}
			if r.IntN(2) == 0 {
				e.Time = time.Unix(r.Int64N(1<<33), r.Int64N(1e9))
			}
			want = append(want, e)
			if err := s.Add(&e); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortStableFunc(want, func(a, b mirror.Entry) int { return byName(&a, &b) })
		i := 0
		for e, err := range s.All() {
			if err != nil {
				t.Fatal(err)
			}
			w := want[i]
			if e.Name != w.Name || e.Kind != w.Kind || e.Size != w.Size || e.Precision != w.Precision || !e.Time.Equal(w.Time) || e.Time.IsZero() != w.Time.IsZero() {
				t.Fatalf("%d of %d: got %+v, want %+v", i, n, e, w)
			}
			i++
		}
		if i != n {
			t.Errorf("got %d entries, want %d", i, n)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Many entries stay on disk.
func TestSortedMemory(t *testing.T) {
	const many = 200_000
	s := mirror.WithMemory(mirror.NewSorted(byName), 4096)
	defer s.Close()
	before := heap()
	r := rand.New(rand.NewPCG(3, 4))
	for range many {
		if err := s.Add(&mirror.Entry{Name: fmt.Sprintf("invoice-%016x.xml", r.Uint64()), Size: 4096, Time: time.Unix(1.7e9, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	n, last, peak := 0, "", uint64(0)
	for e, err := range s.All() {
		if err != nil {
			t.Fatal(err)
		}
		if e.Name < last {
			t.Fatalf("%q comes after %q", e.Name, last)
		}
		if last = e.Name; n%50_000 == 0 {
			peak = max(peak, heap())
		}
		n++
	}
	if n != many {
		t.Errorf("got %d entries", n)
	}
	if grown := int64(peak) - int64(before); grown > 6<<20 {
		t.Errorf("%d bytes of memory for %d entries", grown, many)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
