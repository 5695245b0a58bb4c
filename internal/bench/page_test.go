//go:build linux

package bench_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sallyport.dev/internal/testkit"
)

// page has the figures: one table for each set of results, between two comments,
// so that each set can be measured anew by itself.
const page = "docs/reference/benchmarks.md"

// full is given by make bench. Without it the tests move little and hold nothing to
// a bar: they show that the measuring works.
var full = flag.Bool("bench.full", false, "measure in full, hold the figures to their bars, and with -update write them down")

// measure is how often everything is measured; the median counts.
var measure = flag.Int("bench.times", 5, "how often to measure each figure with -bench.full")

// only picks some of a set's groups of rows, to look at while working on them.
var only = flag.String("bench.only", "", "measure these groups of rows alone, separated by commas, and write nothing down")

// wanted reports whether the group of rows called name is to be measured.
func wanted(name string) bool {
	return *only == "" || slices.Contains(strings.Split(*only, ","), name)
}

// times is how often each figure is measured in this run.
func times() int {
	if *full {
		return *measure
	}
	return 1
}

// results is one table of the page.
type results struct {
	name    string // of the comments around it: "site", "client"
	columns []string
	rows    []resultRow
}

// resultRow has a cell for each column, and the bar that the first of the measured
// columns is held to.
type resultRow struct {
	cells []string
	bar   string // in words; empty: the row informs
	met   bool
}

// add notes a row that informs.
func (r *results) add(cells ...string) { r.rows = append(r.rows, resultRow{cells: cells}) }

// judge notes a row that is held to a bar.
func (r *results) judge(met bool, bar string, cells ...string) {
	r.rows = append(r.rows, resultRow{cells: cells, bar: bar, met: met})
}

// table is the rows as the page shows them.
func (r *results) table() string {
	var b strings.Builder
	head := append(slices.Clone(r.columns), "bar", "")
	fmt.Fprintf(&b, "| %s |\n", strings.Join(head, " | "))
	fmt.Fprintf(&b, "|%s\n", strings.Repeat("---|", len(head)))
	for _, row := range r.rows {
		verdict := map[bool]string{true: "met", false: "**NOT MET**"}[row.met]
		if row.bar == "" {
			verdict = ""
		}
		cells := append(slices.Clone(row.cells), row.bar, verdict)
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	return b.String()
}

// finish logs the table, fails the test for every bar that was not met, and writes
// the table into the page if it was measured in full and is to be written. What was
// not met is written down, too.
func (r *results) finish(t *testing.T) {
	t.Helper()
	text := "Measured on " + machine(t) + ", median of " + fmt.Sprint(times()) + ".\n\n" + r.table()
	t.Logf("%s\n%s", r.name, text)
	if !*full || t.Failed() {
		return
	}
	if testkit.Updating() && *only == "" {
		writeSection(t, r.name, text)
	}
	for _, row := range r.rows {
		if row.bar != "" && !row.met {
			t.Errorf("NOT MET: %s: want %s", strings.Join(row.cells, " | "), row.bar)
		}
	}
}

// writeSection puts text between the page's comments for name.
func writeSection(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(testkit.ModuleRoot(t), page)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, tail, ok := strings.Cut(string(old), "<!-- "+name+" -->\n")
	_, tail, found := strings.Cut(tail, "<!-- end of "+name+" -->\n")
	if !ok || !found {
		t.Fatalf("%s has no place for %s", page, name)
	}
	out := fmt.Appendf(nil, "%s<!-- %s -->\n%s<!-- end of %[2]s -->\n%[4]s", head, name, text, tail)
	if err := os.WriteFile(path, out, 0o644); err != nil {
		t.Fatal(err)
	}
}

// machine says in general words what the figures come from.
func machine(t *testing.T) string {
	t.Helper()
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var release []byte
	for _, c := range u.Release {
		if c == 0 || c == '-' {
			break
		}
		release = append(release, byte(c))
	}
	return fmt.Sprintf("%d cores (%s), Linux %s, %s", runtime.NumCPU(), runtime.GOARCH, release, runtime.Version())
}

// median of an odd number of figures is the one in the middle; of an even number,
// the upper of the two.
func median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	return sorted[len(sorted)/2]
}
