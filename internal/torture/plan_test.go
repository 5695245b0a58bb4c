//go:build linux

package torture_test

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"

	"sallyport.dev/internal/flow"
)

// filesInRun is how many files a run carries.
const filesInRun = 50

// cell is what the table has a row for.
type cell struct {
	after       string // delete, move or keep
	sink        string // ftp or local
	concurrency int
}

func (c cell) String() string { return fmt.Sprintf("%s-%s-%d", c.after, c.sink, c.concurrency) }

// plan is everything about a run that its seed decides. What it leaves to the
// machine is how fast things go.
type plan struct {
	cell
	seed   uint64
	source string     // ftp or local
	ends   []end      // one life of the program after the other, each ended by force
	waves  [][]sample // the files that come with each life, the last one's after all
	every  time.Duration
}

// sample is a file to be carried.
type sample struct {
	name string
	data []byte
}

// end says when a life ends.
type end struct {
	arrow string // halted there by the program itself; empty for the shipped program
	times int    // at the how-manieth passing of the arrow

	kind  kind
	count int           // of events at the sink, for atArrival and atBeginning
	later time.Duration // from the event to the kill
	stop  bool          // SIGTERM comes first, and the kill while it stops
}

// kind is what a random end is counted from.
type kind int

const (
	atStart     kind = iota // from the start of the process
	atBeginning             // from the count-th temporary file at the sink
	atArrival               // from the count-th file that got its final name
	atRewrite               // the same, or from a rewrite of a journal's file if that comes first
)

// String says when a life is ended.
func (e end) String() string {
	if e.arrow != "" {
		return fmt.Sprintf("halted at %s (%d), killed %v later", e.arrow, e.times, e.later)
	}
	s := fmt.Sprintf("killed %v after ", e.later)
	switch e.kind {
	case atStart:
		s += "its start"
	case atBeginning:
		s += fmt.Sprintf("temporary file %d", e.count)
	case atArrival:
		s += fmt.Sprintf("arrival %d", e.count)
	case atRewrite:
		s += fmt.Sprintf("a rewrite in the journal, at the latest arrival %d", e.count)
	}
	if e.stop {
		s += ", while it stops"
	}
	return s
}

var afters = []string{"delete", "move", "keep"}

// newPlan makes the plan of a seed. Neighbouring seeds go round all cells, and of
// each cell as many runs end at arrows as at random; those of one after-action take
// its arrows in turn, so that seven runs pass them all.
func newPlan(seed uint64) *plan {
	turn := seed / 3
	p := &plan{seed: seed, every: 100 * time.Millisecond, cell: cell{
		after:       afters[seed%3],
		sink:        [2]string{"local", "ftp"}[turn&1],
		concurrency: [2]int{1, 8}[turn>>1&1],
	}}
	p.source = [2]string{"ftp", "local"}[turn>>3&1]
	rng := rand.New(rand.NewPCG(seed, 0x746f7274757265)) //nolint:gosec // a seed that can be repeated
	if bits.OnesCount64(turn)%2 == 1 {
		all := arrowsOf(p.after)
		for i := range arrowsInRun {
			// Of turns 2n and 2n+1 one is a run of arrows.
			a := all[(int(turn/2)*arrowsInRun+i)%len(all)] //nolint:gosec // a seed is a small number
			p.ends = append(p.ends, arrowEnd(rng, a))
		}
	} else {
		for range 2 + rng.IntN(4) {
			p.ends = append(p.ends, randomEnd(rng))
		}
	}
	p.waves = waves(rng, filesInRun, len(p.ends)+1)
	return p
}

// arrowsInRun is how many arrows a run halts at, each in a life of its own.
const arrowsInRun = 3

// minWave is the fewest files that come with a life: fewer than that many passings
// of any arrow cannot be.
const minWave = 8

// arrowsOf are the arrows that a transfer passes when its file is delivered first
// and then treated so.
func arrowsOf(after string) []string {
	return slices.DeleteFunc(slices.Clone(flow.Arrows), func(a string) bool {
		return after == "keep" && (a == "compared" || a == "processed")
	})
}

func arrowEnd(rng *rand.Rand, arrow string) end {
	e := end{arrow: arrow, times: 1 + rng.IntN(minWave), later: upTo(rng, 30*time.Millisecond)}
	if arrow == "listed" || arrow == "recorded" || arrow == "queued" {
		e.times = 1 // passed once for all the files of a listing
	}
	return e
}

func randomEnd(rng *rand.Rand) end {
	e := end{kind: kind(rng.IntN(3)), count: 1 + rng.IntN(minWave), stop: rng.IntN(5) == 0}
	switch e.kind {
	case atStart:
		e.later = upTo(rng, 150*time.Millisecond)
	case atBeginning:
		e.later = upTo(rng, 3*time.Millisecond)
	case atArrival:
		e.later = upTo(rng, 10*time.Millisecond)
	}
	return e
}

func upTo(rng *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(d))).Round(10 * time.Microsecond)
}

// waves makes files of all sizes, a few of them large, and shares them out.
func waves(rng *rand.Rand, files, n int) [][]sample {
	out := make([][]sample, n)
	for i := range files {
		var size int
		switch rng.IntN(10) {
		case 0:
			size = rng.IntN(2) // none, or one byte
		case 1:
			size = 128<<10 - 1 + rng.IntN(3) // about a buffer
		case 2:
			size = rng.IntN(2 << 20)
		default:
			size = rng.IntN(64 << 10)
		}
		s := sample{name: fmt.Sprintf("f%02d.dat", i), data: make([]byte, size)}
		var key [32]byte
		binary.LittleEndian.PutUint64(key[:], rng.Uint64())
		if _, err := rand.NewChaCha8(key).Read(s.data); err != nil {
			panic(err) // it never fails
		}
		w := i * n / files
		out[w] = append(out[w], s)
	}
	return out
}
