//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sallyport.dev/internal/testkit"
)

// cutLedger adds up what was seen.
type cutLedger struct {
	mu   sync.Mutex // guards the following
	rows map[cutRow]*cutCounts
}

func (l *cutLedger) add(row cutRow, c cutCounts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rows == nil {
		l.rows = make(map[cutRow]*cutCounts)
	}
	if l.rows[row] == nil {
		l.rows[row] = &cutCounts{}
	}
	l.rows[row].add(c)
}

// table has a row for each server, direction and means.
func (l *cutLedger) table() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	b.WriteString("| server | transfer | what was cut | cuts | clean ends seen by the client | logged as whole | logged as failed | parts left under the name | parts left under another |\n")
	b.WriteString("|---|---|---|--:|--:|--:|--:|--:|--:|\n")
	var sum cutCounts
	for _, server := range cutServerNames {
		for _, direction := range []string{"STOR", "RETR"} {
			for _, m := range allMeans {
				c := l.rows[cutRow{server, direction, m.name}]
				if c == nil {
					continue
				}
				fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", server, direction, m.name, c)
				sum.add(*c)
			}
		}
	}
	fmt.Fprintf(&b, "| **all** | | | %s |\n", &sum)
	return b.String()
}

// String is the numbers of a row.
func (c *cutCounts) String() string {
	return fmt.Sprintf("%d | %d | %d | %d | %d | %d", c.cuts, c.clean, c.ok, c.fail, c.named, c.hidden)
}

// write puts the table into its page, if the tests are to write anew what they hold.
func (l *cutLedger) write(t *testing.T) {
	t.Helper()
	if !testkit.Updating() || t.Failed() {
		return
	}
	path := filepath.Join(testkit.ModuleRoot(t), "docs", "reference", "cuts.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- cuts -->\n", "<!-- end of cuts -->\n"
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, found := strings.Cut(rest, end)
	if !ok || !found {
		t.Fatalf("%s has no place for the table", path)
	}
	if err := os.WriteFile(path, []byte(head+begin+l.table()+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}
