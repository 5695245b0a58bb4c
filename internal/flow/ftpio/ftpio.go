// Package ftpio gives flows their files: sources and sinks on FTP servers and in
// local folders.
//
// [FTPSource] and [FTPSink] work through a pool of FTP connections, wherever those
// lead; [LocalSource] and [LocalSink] through os.Root, which keeps them in their
// folder. All of them stream, whatever a file's size.
//
// What a sink calls written is verified: by its size on an FTP server, by fsync of
// file and folder on a local disk. The package decides nothing: when a file is
// taken and what becomes of it is the engine's business.
package ftpio

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
)

// CheckMatch refuses a pattern that could not match. Patterns are globs for names
// in the directory itself: "*.xml", "{in,out}-*", "[0-9]*".
func CheckMatch(pattern string) error {
	switch {
	case !doublestar.ValidatePattern(pattern):
		return fault.New(fault.Invalid, "match: %q is not a pattern", pattern).
			WithHint("* is any text, ? one character, [a-z] a set, {a,b} alternatives")
	case strings.Contains(pattern, "/"):
		return fault.New(fault.Unsupported, "match: %q names folders", pattern).
			WithHint("files of the directory itself are taken: put the folder into directory:")
	}
	return nil
}

// takes reports whether a listed name is for this flow: it matches, can be a path,
// and is not one that is being written.
func takes(pattern, name string) bool {
	if pattern != "" {
		if ok, err := doublestar.Match(pattern, name); err != nil || !ok {
			return false
		}
	}
	p, err := flow.ParsePath(name)
	return err == nil && p == flow.Path(name) && !strings.Contains(name, "/")
}
