package mirror

import (
	"path/filepath"
	"runtime"
	"strings"
	"unicode/utf8"

	"sallyport.dev/internal/fault"
)

// windowsForbidden are the printable characters that Windows has in no name.
const windowsForbidden = `\:*?"<>|`

// holdLocal reports why this system cannot hold a file of that name, or would take
// it for another one.
func holdLocal(name string) error {
	why := ""
	if runtime.GOOS == "windows" {
		why = windowsFlaw(name)
	}
	if why == "" && !filepath.IsLocal(name) {
		why = "it means something else than a file here"
	}
	if why == "" {
		return nil
	}
	return fault.New(fault.Invalid, "%q is no name that this system can hold: %s", name, why).
		WithHint("rename it at the source, or leave it out with --exclude")
}

// windowsFlaw says what is wrong with a name for Windows beside what filepath.IsLocal
// knows of, "" if nothing is. It stands here, so that its tests run everywhere.
func windowsFlaw(name string) string {
	switch {
	case !utf8.ValidString(name):
		return "it is not UTF-8"
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }):
		return "it has a control character"
	case strings.ContainsAny(name, windowsForbidden):
		return "it has one of " + windowsForbidden
	case strings.HasSuffix(name, "."), strings.HasSuffix(name, " "):
		return "it ends in a dot or a space" // which Windows drops
	}
	return ""
}
