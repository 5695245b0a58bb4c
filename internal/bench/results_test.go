//go:build linux

package bench_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport.dev/internal/testkit"
)

// The page has a place for each set of results.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testkit.ModuleRoot(t), page))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"site", "client"} {
		if !strings.Contains(string(text), "<!-- "+name+" -->\n") || !strings.Contains(string(text), "<!-- end of "+name+" -->\n") {
			t.Errorf("%s has no place for %s", page, name)
		}
	}
}

func TestResultsTable(t *testing.T) {
	r := results{name: "x", columns: []string{"work", "ours", "theirs"}}
	r.judge(false, "at least theirs", "a", "1", "2")
	r.judge(true, "at least theirs", "b", "2", "1")
	r.add("c", "1", "1")
	want := `| work | ours | theirs | bar |  |
|---|---|---|---|---|
| a | 1 | 2 | at least theirs | **NOT MET** |
| b | 2 | 1 | at least theirs | met |
| c | 1 | 1 |  |  |
`
	if got := r.table(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
