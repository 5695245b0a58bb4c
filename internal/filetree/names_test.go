package filetree_test

import (
	"strings"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/filetree"
)

// TestWindowsNames: reserved names, streams, ends that Windows drops and aliases
// are refused; what only looks like them is not.
func TestWindowsNames(t *testing.T) {
	for _, name := range []string{
		"CON", "con", "Con.txt", "PRN", "AUX", "NUL", "nul.tar.gz", "NUL .txt", "COM1", "com9.log", "COM0", "COM¹", "LPT1", "lpt³.x", "CONIN$", "conout$",
		"in/NUL/x", "NUL/x", "x/aux", `a\b`, `..\x`, `C:`, `C:/x`, "f:stream", "f::$DATA", "f:", "a*", "a?", `a"b`, "a<b", "a>b", "a|b",
		"f.", "f ", "f. ", "f...", "...", "d./f", "d /f", "a\x01b", "a\x1fb", "tab\t", "a\xffb", "\xc0\xaf", "PROGRA~1", "SALLYP~1.PAR", "a~12.txt", "d~1/f", "", "a//b",
	} {
		if err := filetree.WindowsName(name); fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
			t.Errorf("%q: got %v, want it refused with a hint", name, err)
		}
	}
	for _, name := range []string{
		".", "a", "CONS", "CON1", "COM", "COM10", "LPT", "LPTX", "NULL", "xNUL", "x.NUL", "x.con.y", ".NUL", "AUXILIARY/f", "COM1x", "Grüße-数.xml", "a b.c", ".hidden", "..x",
		"a~b", "~1longer than eight", "longname~1.xml2", "a~", "f.txt~1", "{x}", "a'b", "a;b=c,d", "#%&!@$^()[]", strings.Repeat("x", 255),
	} {
		if err := filetree.WindowsName(name); err != nil {
			t.Errorf("%q: got %v, want it taken", name, err)
		}
	}
}

// FuzzWindowsName: whatever is taken has no element that Windows would read as
// another name, device or stream.
func FuzzWindowsName(f *testing.F) {
	for _, name := range []string{"a/b", "NUL", "f:s", "a.", "COM1.x", "PROGRA~1", "\xff", "."} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if filetree.WindowsName(name) != nil {
			return
		}
		for _, element := range strings.Split(name, "/") {
			low := strings.ToLower(element)
			if strings.ContainsAny(element, `\:*?"<>|`+"\x00\r\n") || element == "" || low == "nul" || low == "con" || strings.HasPrefix(low, "nul.") ||
				element != "." && element != ".." && strings.TrimRight(element, ". ") != element {
				t.Errorf("%q was taken with element %q", name, element)
			}
		}
	})
}
