//go:build linux

package torture_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport.dev/internal/testkit"
)

var (
	runs  = flag.Int("torture.runs", 6, "runs of TestKills")
	cuts  = flag.Int("torture.cuts", 1, "power cuts of TestPowerCuts")
	first = flag.Uint64("torture.seed", 1, "the first run's seed; those of the others follow")
)

// completeRuns is how many runs pass every arrow with every after-action, wherever
// their seeds begin.
const completeRuns = 40

// TestKills carries files while the program is killed, again and again, by this
// process: at random moments, or where it halts by itself for that. The next life
// goes on. What arrived is counted at the sink.
func TestKills(t *testing.T) {
	testkit.NeedRoot(t)
	testkit.Binary(t)
	testkit.Binary(t, "torture")
	server := testkit.Vsftpd(t, testkit.VsftpdOptions{})
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(server.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	var sum ledger
	t.Run("runs", func(t *testing.T) {
		for seed := *first; seed < *first+uint64(*runs); seed++ {
			p := newPlan(seed)
			t.Run(fmt.Sprintf("seed%d-%v", seed, p.cell), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				sum.add(killRun(t, p, places{state: dir, local: dir, ftp: server, password: password}))
			})
		}
	})
	t.Logf("seeds %d to %d\n%s\n%s", *first, *first+uint64(*runs)-1, sum.table(), sum.arrowTable())
	if *runs >= completeRuns && !t.Failed() {
		for _, missing := range sum.unpassed() {
			t.Errorf("no life ended at %s", missing)
		}
	}
	writeTable(t, "kills", sum.table())
	writeTable(t, "arrows", sum.arrowTable())
}

// killRun carries out a plan and says what became of its files.
func killRun(t *testing.T, p *plan, at places) result {
	began := time.Now()
	r := newRig(t, p, at)
	w := watchFolder(t, r.dst)
	res := result{cell: p.cell, runs: 1}
	for i, e := range p.ends {
		if i%2 == 0 {
			r.put(p.waves[i])
		}
		l := r.start(e)
		if i%2 != 0 { // while the program starts, or is at work already
			r.put(p.waves[i])
		}
		fmt.Fprintf(&r.said, "--- life %d: %v\n", i+1, e)
		there := l.await(e, w)
		if there && e.stop {
			l.interrupt(e)
		}
		l.kill()
		if !there {
			break
		}
		res.kills++
		if e.arrow != "" {
			res.halts = append(res.halts, e.arrow)
		}
	}
	r.put(p.waves[len(p.ends)])
	fmt.Fprintf(&r.said, "--- last life\n")
	r.finish(w, &res, nil)
	res.took = time.Since(began)
	if len(res.faults) > 0 || t.Failed() {
		t.Errorf("%s\n%s\nsource %s, ends %v\nagain: %s\n%s", p.cell, strings.Join(res.faults, "\n"), p.source, p.ends, again(t, p.seed, 1), r.said.String())
	}
	return res
}

// finish lets the program carry what is left, holds the outcome to what was put at
// the source, and shows that one more life finds nothing to do. Names in present had
// arrived before the watch began.
func (r *rig) finish(w *watch, res *result, present map[string]int) {
	r.t.Helper()
	l := r.start(end{})
	r.until("everything is carried", l.settled)
	r.poll()
	l.stop()
	l = r.start(end{})
	r.poll()
	open, err := r.transfers(false)
	if err != nil {
		r.t.Error(err)
	}
	past, err := r.transfers(true)
	if err != nil {
		r.t.Error(err)
	}
	l.stop()
	w.flush(r.t)
	arrivals, faults := w.counted()
	for name, n := range present {
		arrivals[name] += n
	}
	res.faults = append(res.faults, faults...)
	res.checkSink(r.dst, r.sum, arrivals)
	res.checkSource(r.src, r.p.after, r.sum)
	res.checkJournal(r.sum, open, past)
}

// again is the command that repeats a run.
func again(t *testing.T, seed uint64, n int) string {
	test, _, _ := strings.Cut(t.Name(), "/")
	kind := map[string]string{"TestKills": "runs", "TestPowerCuts": "cuts"}[test]
	return fmt.Sprintf("sh scripts/test.sh ./internal/torture -count=1 -run '^%s$' -torture.seed %d -torture.%s %d", test, seed, kind, n)
}

// result is a run's outcome, or that of many.
type result struct {
	cell
	audit
	runs, kills int
	halts       []string // arrows that lives ended at
	took        time.Duration
}

// ledger sums results. Its zero value is ready to use.
type ledger struct {
	mu    sync.Mutex // guards the following
	cells map[cell]result
	halts map[string]map[string]int // by arrow and after-action
}

func (s *ledger) add(r result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cells == nil {
		s.cells, s.halts = map[cell]result{}, map[string]map[string]int{}
	}
	c := s.cells[r.cell]
	c.runs += r.runs
	c.kills += r.kills
	c.files += r.files
	c.lost += r.lost
	c.twice += r.twice
	c.truncated += r.truncated
	c.took += r.took
	s.cells[r.cell] = c
	for _, a := range r.halts {
		if s.halts[a] == nil {
			s.halts[a] = map[string]int{}
		}
		s.halts[a][r.after]++
	}
}
