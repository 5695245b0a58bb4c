package mirror

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"sallyport.dev/internal/fault"
)

// Filter says which files are looked at. A pattern without a slash is about names in
// any folder, one with a slash about paths from the top; "**" stands for any number
// of folders.
type Filter struct {
	Include []string // files must match one of them; empty: all do
	Exclude []string // files that match are left out, and whole folders
}

// Check reports a pattern that is none.
func (f Filter) Check() error {
	for _, p := range append(append([]string(nil), f.Include...), f.Exclude...) {
		if !doublestar.ValidatePattern(p) {
			return fault.New(fault.Invalid, "%q is no pattern", p).
				WithHint(`* stands for any name, ? for one character, [a-z] for one of those, {xml,txt} for one of those, ** for folders`)
		}
	}
	return nil
}

// takes reports whether a file or folder is looked at.
func (f Filter) takes(name string, folder bool) bool {
	if matches(f.Exclude, name) {
		return false
	}
	return folder || len(f.Include) == 0 || matches(f.Include, name)
}

func matches(patterns []string, name string) bool {
	for _, p := range patterns {
		what := name
		if !strings.Contains(strings.TrimSuffix(p, "/"), "/") {
			what = base(name)
		}
		if Match(strings.Trim(p, "/"), what) {
			return true
		}
	}
	return false
}

// Match reports whether name matches a pattern that [Filter.Check] takes.
func Match(pattern, name string) bool {
	ok, err := doublestar.Match(pattern, name)
	return ok && err == nil
}

// IsPattern reports whether s can stand for several names.
func IsPattern(s string) bool { return strings.ContainsAny(s, "*?[{") }
