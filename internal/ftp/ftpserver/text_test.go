package ftpserver

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzText cuts a text in pieces anywhere: the wire has no bare LF, where the
// text has none of its own CRs it comes back the same, and the cuts make no
// difference.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "\n", "\r\n", "\r", "a\nb\n", "a\r\nb", "\r\r\n\n\r", "a\rb\r"} {
		f.Add(s, 1)
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, text string, piece int) {
		if piece < 1 {
			t.Skip("no pieces")
		}
		toWireBy := func(s string, piece int) string {
			var out bytes.Buffer
			w := &toWire{w: &out}
			cut(t, w, s, piece)
			return out.String()
		}
		fromWireBy := func(s string, piece int) string {
			var out bytes.Buffer
			w := &fromWire{w: &out}
			cut(t, w, s, piece)
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			return out.String()
		}
		wire := toWireBy(text, piece)
		if whole := toWireBy(text, len(text)+1); wire != whole {
			t.Errorf("in pieces of %d: got %q, whole %q", piece, wire, whole)
		}
		if n := strings.Count(wire, "\n"); n != strings.Count(wire, "\r\n") || n != strings.Count(text, "\n") {
			t.Errorf("%q on the wire is %q", text, wire)
		}
		back := fromWireBy(wire, piece)
		if whole := fromWireBy(wire, len(wire)+1); back != whole {
			t.Errorf("back in pieces of %d: got %q, whole %q", piece, back, whole)
		}
		if !strings.Contains(text, "\r\n") && back != text {
			t.Errorf("%q came back as %q", text, back)
		}
	})
}

func cut(t *testing.T, w interface{ Write([]byte) (int, error) }, s string, piece int) {
	t.Helper()
	for len(s) > 0 {
		n := min(piece, len(s))
		if m, err := w.Write([]byte(s[:n])); err != nil || m != n {
			t.Fatalf("write: got %d, %v, want %d", m, err, n)
		}
		s = s[n:]
	}
}

func TestWithoutOptions(t *testing.T) {
	for arg, want := range map[string]string{
		"": "", "-a": "", "-la": "", "-l -a dir": "dir", "-la  a b": "a b", "-1": "", "dir -a": "dir -a", "-file.txt": "-file.txt", "./-a": "./-a", "-": "",
	} {
		if got := withoutOptions(arg); got != want {
			t.Errorf("withoutOptions(%q): got %q, want %q", arg, got, want)
		}
	}
}
