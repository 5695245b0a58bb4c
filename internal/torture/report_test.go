//go:build linux

package torture_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/testkit"
)

// page has the tables, each between two comments.
const page = "docs/reference/torture.md"

// table has a row for each cell, in the order of the plan, and one for their sum.
func (s *ledger) table() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	b.WriteString("| after | sink | at a time | runs | kills | files | lost | twice | truncated | seconds |\n")
	b.WriteString("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	var sum result
	line := func(name string, r result) {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %.0f |\n", name, r.runs, r.kills, r.files, r.lost, r.twice, r.truncated, r.took.Seconds())
	}
	for _, after := range afters {
		for _, sink := range []string{"ftp", "local"} {
			for _, n := range []int{1, 8} {
				r, ok := s.cells[cell{after, sink, n}]
				if !ok {
					continue
				}
				line(fmt.Sprintf("%s | %s | %d", after, sink, n), r)
				sum.runs, sum.kills, sum.files, sum.took = sum.runs+r.runs, sum.kills+r.kills, sum.files+r.files, sum.took+r.took
				sum.lost, sum.twice, sum.truncated = sum.lost+r.lost, sum.twice+r.twice, sum.truncated+r.truncated
			}
		}
	}
	line("**all** | | ", sum)
	return b.String()
}

// arrowTable says how many lives ended at each arrow, by after-action.
func (s *ledger) arrowTable() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	b.WriteString("| arrow | delete | move | keep |\n|---|--:|--:|--:|\n")
	for _, a := range flow.Arrows {
		fmt.Fprintf(&b, "| %s |", a)
		for _, after := range afters {
			fmt.Fprintf(&b, " %d |", s.halts[a][after])
		}
		b.WriteString("\n")
	}
	return b.String()
}

// unpassed lists the arrows that no life ended at.
func (s *ledger) unpassed() (missing []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, after := range afters {
		for _, a := range arrowsOf(after) {
			if s.halts[a][after] == 0 {
				missing = append(missing, a+" with "+after)
			}
		}
	}
	return missing
}

// writeTable puts a table into the page, if the tests are to write anew what they hold.
func writeTable(t *testing.T, name, table string) {
	t.Helper()
	if !testkit.Updating() || t.Failed() {
		return
	}
	path := filepath.Join(testkit.ModuleRoot(t), page)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, tail, ok := strings.Cut(string(text), "<!-- "+name+" -->\n")
	_, tail, found := strings.Cut(tail, "<!-- end of "+name+" -->\n")
	if !ok || !found {
		t.Fatalf("%s has no place for %s", page, name)
	}
	text = fmt.Appendf(nil, "%s<!-- %s -->\n%s<!-- end of %[2]s -->\n%[4]s", head, name, table, tail)
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}
