package filetree

import (
	"strings"
	"unicode/utf8"

	"sallyport.dev/internal/fault"
)

// windowsForbidden are the printable characters that Windows has in no name: ":"
// leads to a stream of a file, "\" is its own separator, the rest are wildcards
// and quotes.
const windowsForbidden = `\:*?"<>|`

// windowsDevices are names that mean a device in every folder, whatever follows
// their first dot ("Naming Files, Paths, and Namespaces" of the Windows SDK).
// COM and LPT take a digit, also one of the three superscript ones.
var windowsDevices = map[string]bool{"CON": true, "PRN": true, "AUX": true, "NUL": true, "CONIN$": true, "CONOUT$": true}

// windowsName refuses rel, which is separated by "/", if an element of it would
// be something else on Windows than the plain file or folder that it says: a
// device, a stream, another name (which is how rules about names are evaded), or
// none at all. It stands here, and not with the code for Windows, so that its
// tests run everywhere.
func windowsName(rel string) error {
	for name := range strings.SplitSeq(rel, "/") {
		if why := windowsFlaw(name); why != "" {
			return fault.New(fault.Invalid, "%q is no name that Windows can hold: %s", "/"+rel, why).
				WithHint(`leave out control characters and \ : * ? " < > |, a dot or space at the end, and devices such as NUL or COM1`)
		}
	}
	return nil
}

// windowsFlaw says what is wrong with one element of a path, "" if nothing is.
func windowsFlaw(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case !utf8.ValidString(name):
		return "it is not UTF-8" // and would turn into another one
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }):
		return "it has a control character"
	case strings.ContainsAny(name, windowsForbidden):
		return "it has one of " + windowsForbidden
	case name != "." && name != ".." && strings.HasSuffix(name, "."), strings.HasSuffix(name, " "):
		return "it ends in a dot or a space" // which Windows drops
	case windowsDevice(name):
		return "it means a device"
	case windowsShort(name):
		return "it looks like the short form of another name"
	}
	return ""
}

func windowsDevice(name string) bool {
	name, _, _ = strings.Cut(name, ".")
	name = strings.ToUpper(strings.TrimRight(name, " "))
	if windowsDevices[name] {
		return true
	}
	number, ok := strings.CutPrefix(name, "COM")
	if !ok {
		number, ok = strings.CutPrefix(name, "LPT")
	}
	return ok && utf8.RuneCountInString(number) == 1 && strings.Contains("0123456789¹²³", number)
}

// windowsShort reports whether name has the form 8.3 with a tilde and digits, as
// in "PROGRA~1": an alias that the file system makes for a longer name, and one
// under which a part, or a folder with rules of its own, would be reached.
func windowsShort(name string) bool {
	base, ext, _ := strings.Cut(name, ".")
	if len(base) > 8 || len(ext) > 3 || strings.Contains(ext, ".") {
		return false
	}
	_, digits, ok := strings.Cut(base, "~")
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}
