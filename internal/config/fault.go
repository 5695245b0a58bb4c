package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sallyport.dev/internal/fault"
)

// Pos is a place in a document. Lines and columns count from 1, columns in
// characters.
type Pos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// Fault is one thing that is wrong with a document.
type Fault struct {
	File string `json:"file"`
	Pos
	Path    string `json:"path,omitempty"` // the key, such as flows.orders.source.match; empty for the text as such
	Problem string `json:"problem"`
	Hint    string `json:"hint,omitempty"`
	Warning bool   `json:"warning,omitempty"` // allowed, and most likely not meant
}

// String returns "file:line:column: path: problem (hint)".
func (f Fault) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", f.File, f.Line, f.Column)
	if f.Warning {
		b.WriteString("warning: ")
	}
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Problem)
	if f.Hint != "" {
		b.WriteString(" (" + f.Hint + ")")
	}
	return b.String()
}

// Faults are the faults and warnings of a document, sorted by place.
type Faults []Fault

// Error returns one fault a line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// wrong counts the faults that are no warnings.
func (fs Faults) wrong() int {
	n := 0
	for _, f := range fs {
		if !f.Warning {
			n++
		}
	}
	return n
}

func (fs Faults) sort() {
	slices.SortStableFunc(fs, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	})
}

// hinted returns what err says and what it hints at. Errors that came from
// elsewhere have no hint.
func hinted(err error) (problem, hint string) { return err.Error(), fault.HintOf(err) }

// quote quotes what a document says, cut to a length that fits a line.
func quote(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return strconv.Quote(string(r[:most])) + "..."
	}
	return strconv.Quote(s)
}

// nearest returns the word of words that word most likely means, or "".
func nearest(word string, words []string) string {
	best, least := "", 1+len(word)/3
	for _, w := range words {
		if d := distance(strings.ToLower(word), w); d <= least && (best == "" || d < least) {
			best, least = w, d
		}
	}
	return best
}

// distance counts the characters to insert, remove, replace, or swap with their
// neighbour, that lie between a and b. It gives up on long words.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// list joins words as prose does: "a, b or c".
func list(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + last + " " + words[len(words)-1]
}
