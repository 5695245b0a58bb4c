//go:build linux

package torture_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport.dev/internal/testkit"
)

// cutsInRun is how often the power fails while a run's files are carried.
const cutsInRun = 2

// cutPlan is a plan whose lives end by power cuts.
type cutPlan struct {
	*plan
	together bool // journal and files are on one disk
	many     bool // small files, so many that the journal rewrites its own files meanwhile
}

// manyFiles is how many small files make a journal tidy up, at two kilobytes each.
const manyFiles = 2400

func (p cutPlan) String() string {
	disks := "two-disks"
	if p.together {
		disks = "one-disk"
	}
	if p.many {
		disks += "-many"
	}
	return fmt.Sprintf("%s-from-%s-%d-%s", p.after, p.source, p.concurrency, disks)
}

// newCutPlan makes the plan of a seed. Twelve neighbouring seeds go round what is
// done to the source, what it is, and where the journal is; every fourth has many
// files. The sink is a folder: a server on the network fails by itself, and knows
// alone what it keeps.
func newCutPlan(seed uint64, cuts int) cutPlan {
	p := &plan{seed: seed, every: 100 * time.Millisecond, cell: cell{after: afters[seed%3], sink: "local", concurrency: [2]int{1, 8}[seed>>2&1]}}
	p.source = [2]string{"local", "ftp"}[seed&1]
	rng := rand.New(rand.NewPCG(seed, 0x637574)) //nolint:gosec // a seed that can be repeated
	many, files := seed/3%4 == 3, filesInRun
	if many {
		files = manyFiles
		p.every, p.concurrency = time.Second, 8
		p.waves = smallWaves(rng, files, cuts+1)
	} else {
		p.waves = waves(rng, files, cuts+1)
	}
	for i := range cuts {
		// Anywhere in the life's work, seldom at its start: what is at stake are files
		// that have arrived.
		e := end{kind: atArrival, count: 1 + rng.IntN(len(p.waves[i])), later: upTo(rng, 5*time.Millisecond)}
		switch n := rng.IntN(8); {
		case many && i == 1: // in the longest life
			e = end{kind: atRewrite, count: len(p.waves[i])}
		case n == 0:
			e = end{kind: atStart, later: upTo(rng, 150*time.Millisecond)}
		case n < 3:
			e.kind = atBeginning
		}
		p.ends = append(p.ends, e)
	}
	return cutPlan{p, seed>>1&1 == 1, many}
}

// smallWaves makes files of a few bytes and shares them out, most into the second
// wave.
func smallWaves(rng *rand.Rand, files, n int) [][]sample {
	out := make([][]sample, n)
	for i := range files {
		w := 0
		if i >= files/6 {
			w = min(1, n-1)
		}
		if i >= files-50 {
			w = n - 1
		}
		out[w] = append(out[w], sample{fmt.Sprintf("f%04d.dat", i), fmt.Appendf(nil, "%d %d", i, rng.Uint64())})
	}
	return out
}

// TestPowerCuts carries files while the power of the disks fails that the journal,
// the sink and, if it is a folder, the source are on. An FTP server that files come
// from is elsewhere and forgets nothing: what was deleted there is gone.
func TestPowerCuts(t *testing.T) {
	testkit.NeedRoot(t)
	testkit.Binary(t)
	server := testkit.Vsftpd(t, testkit.VsftpdOptions{})
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(server.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	var sum cutLedger
	t.Run("cuts", func(t *testing.T) {
		for left, seed := *cuts, *first; left > 0; left, seed = left-cutsInRun, seed+1 {
			p := newCutPlan(seed, min(left, cutsInRun))
			t.Run(fmt.Sprintf("seed%d-%v", seed, p), func(t *testing.T) {
				t.Parallel()
				sum.add(cutRun(t, p, places{ftp: server, password: password}))
			})
		}
	})
	all := sum.all()
	t.Logf("seeds from %d, %d cuts just after a rewrite in the journal\n%s", *first, all.rewrites, sum.table())
	if all.forgotten*2 <= all.kills {
		t.Errorf("what was not synced was lost in %d of %d cuts: they are no power cuts", all.forgotten, all.kills)
	}
	writeTable(t, "cuts", sum.table())
}

// cutRun carries out a plan and says what became of its files.
func cutRun(t *testing.T, p cutPlan, at places) cutResult {
	began := time.Now()
	disks := []*disk{newDisk(t, "a")}
	if !p.together {
		disks = append(disks, newDisk(t, "b"))
	}
	at.state, at.local = disks[0].dir, disks[len(disks)-1].dir
	r := newRig(t, p.plan, at)
	for _, d := range disks {
		d.settle()
	}
	res := cutResult{result: result{cell: p.cell, runs: 1}, plan: p}
	present := map[string]int{} // what was at the sink when the power came back
	for i, e := range p.ends {
		fmt.Fprintf(&r.said, "--- life %d: power cut instead of %v\n", i+1, e)
		if !r.cutLife(disks, i, e, present, &res) {
			break
		}
		res.kills++
	}
	if r.rewrote {
		res.rewrites++
	}
	r.putSynced(p.waves[len(p.ends)])
	fmt.Fprintf(&r.said, "--- last life\n")
	w := watchFolder(t, r.dst)
	r.finish(w, &res.result, present)
	w.close()
	res.took = time.Since(began)
	if len(res.faults) > 0 || t.Failed() {
		t.Errorf("%v\n%s\nends %v\nagain: %s\n%s", p, strings.Join(res.faults, "\n"), p.ends, again(t, p.seed, cutsInRun), r.said.String())
	}
	return res
}

// cutLife is one life of the program until the power is cut, and what is there when
// it is back. It reports whether the cut could be made.
func (r *rig) cutLife(disks []*disk, i int, e end, present map[string]int, res *cutResult) bool {
	r.t.Helper()
	r.putSynced(r.p.waves[i])
	w := watchFolder(r.t, r.dst)
	defer w.close()
	control := filepath.Join(disks[len(disks)-1].dir, fmt.Sprintf("control%d", i))
	data := bytes.Repeat([]byte("x"), 100<<10)
	synced(r.t, control+".synced", data)
	l := r.start(end{})
	there := l.await(e, w)
	if there {
		if err := os.WriteFile(control, data, 0o600); err != nil {
			r.t.Error(err)
		}
		l.freeze()
		copies := snapshot(r.t, disks)
		l.kill()
		w.flush(r.t)
		for i, d := range disks {
			d.replace(copies[i])
		}
	} else {
		l.kill()
		return false
	}
	if got, err := os.ReadFile(control); err != nil || !bytes.Equal(got, data) {
		res.forgotten++
	}
	if got, err := os.ReadFile(control + ".synced"); err != nil || !bytes.Equal(got, data) {
		r.t.Errorf("a synced file of this test's own was lost: %d bytes, %v", len(got), err)
	}
	r.afterCut(w, present, res)
	return true
}

// afterCut holds what is there when the power is back to what must be: a file that is
// gone at the source is whole at the sink. What had arrived before the last cut and
// was still there after it has not arrived again.
func (r *rig) afterCut(w *watch, present map[string]int, res *cutResult) {
	r.t.Helper()
	arrivals, faults := w.counted()
	res.faults = append(res.faults, faults...)
	for name := range present {
		if arrivals[name] > 0 {
			res.twice++
			res.bad("twice: %s was there after a power cut and arrived again", name)
		}
		delete(present, name)
	}
	for name, s := range r.sum {
		err := compare(filepath.Join(r.dst, name), s)
		if !errors.Is(err, fs.ErrNotExist) {
			present[name] = 1
		}
		gone := compare(filepath.Join(r.src, name), s)
		if gone == nil {
			continue
		}
		res.gone++
		switch {
		case !errors.Is(gone, fs.ErrNotExist):
			res.bad("%s at the source: %v", name, gone)
		case errors.Is(err, fs.ErrNotExist):
			res.lost++
			res.bad("lost by a power cut: %s is gone at the source and not at the sink", name)
		case err != nil:
			res.truncated++
			res.bad("truncated by a power cut: %s is gone at the source and at the sink %v", name, err)
		}
		if r.p.after == "move" {
			if err := compare(filepath.Join(r.src, "archive", name), s); err != nil {
				res.bad("%s is gone at the source and in the archive: %v", name, err)
			}
		}
	}
}

// rewrites returns what closes when the program replaces one of the files that its
// journal's records are in by a smaller one: until that is synced, what was synced
// long ago is in a file that is not. It gives up when ended closes.
func (r *rig) rewrites(ended <-chan struct{}) <-chan struct{} {
	r.t.Helper()
	dir := filepath.Join(r.state, "journal/jetstream/$G/streams/KV_transfers/msgs")
	r.until("the journal has its files", func() (bool, error) {
		_, err := os.Stat(dir)
		return err == nil, err
	})
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		r.t.Fatalf("watch the journal: %v", err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO); err != nil {
		r.t.Fatalf("watch the journal: %v", err)
	}
	done, over := make(chan struct{}), make(chan struct{})
	go func() { // ends with the life
		defer close(over)
		buf := make([]byte, 4096)
		for {
			n, err := f.Read(buf)
			if err != nil {
				return // closed
			}
			if bytes.Contains(buf[:n], []byte(".blk\x00")) {
				close(done)
				return
			}
		}
	}()
	r.t.Cleanup(func() { <-over })
	go func() { <-ended; _ = f.Close() }() // its second end is an error that nobody needs
	return done
}

// putSynced is put for a source that the next power cut must not take back.
func (r *rig) putSynced(files []sample) {
	r.t.Helper()
	r.put(files)
	if r.p.source == "local" {
		(&disk{t: r.t, dir: r.src}).settle()
	}
}

// cutResult is the outcome of a run with power cuts, or that of many.
type cutResult struct {
	result
	plan      cutPlan
	gone      int // files that were gone at the source when the power was back
	forgotten int // cuts that lost a file that was not synced
	rewrites  int // cuts just when the journal had rewritten one of its files
}

// cutLedger sums results. Its zero value is ready to use.
type cutLedger struct {
	mu   sync.Mutex // guards the following
	rows []cutResult
}

func (s *cutLedger) add(r cutResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = append(s.rows, r)
}

func (c *cutResult) sum(r cutResult) {
	c.runs, c.kills, c.files, c.took = c.runs+r.runs, c.kills+r.kills, c.files+r.files, c.took+r.took
	c.lost, c.twice, c.truncated = c.lost+r.lost, c.twice+r.twice, c.truncated+r.truncated
	c.gone, c.forgotten, c.rewrites = c.gone+r.gone, c.forgotten+r.forgotten, c.rewrites+r.rewrites
}

func (s *cutLedger) all() (c cutResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rows {
		c.sum(r)
	}
	return c
}

// table has a row for each source, place of the journal and after-action, and one
// for their sum.
func (s *cutLedger) table() string {
	var b strings.Builder
	b.WriteString("| after | source | journal | runs | cuts | files | gone at the source | lost | twice | truncated | unsynced control file lost | seconds |\n")
	b.WriteString("|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	line := func(name string, r cutResult) {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %.0f |\n",
			name, r.runs, r.kills, r.files, r.gone, r.lost, r.twice, r.truncated, r.forgotten, r.took.Seconds())
	}
	for _, after := range afters {
		for _, source := range []string{"ftp", "local"} {
			for _, together := range []bool{false, true} {
				var c cutResult
				s.mu.Lock()
				for _, r := range s.rows {
					if r.plan.after == after && r.plan.source == source && r.plan.together == together {
						c.sum(r)
					}
				}
				s.mu.Unlock()
				if c.runs > 0 {
					line(fmt.Sprintf("%s | %s | %s", after, source, map[bool]string{false: "on its own disk", true: "with the sink"}[together]), c)
				}
			}
		}
	}
	line("**all** | | ", s.all())
	return b.String()
}
