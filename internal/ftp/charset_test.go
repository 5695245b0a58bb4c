package ftp_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

func charset(t testing.TB, name string) ftp.Charset {
	t.Helper()
	c, err := ftp.LookupCharset(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCharset(t *testing.T) {
	for _, tt := range []struct{ charset, raw, text string }{
		{"", "Größe", "Größe"},
		{"UTF-8", "na\xefve", "na\xefve"},
		{"latin1", "Gr\xf6\xdfe.xml", "Größe.xml"},
		{"Windows-1252", "\x80 12", "€ 12"},
		{"windows_1252", "\x81", "\x81"}, // not in the set
		{"cp850", "Gr\x94\xe1e", "Größe"},
		{"shift-jis", "\x93\xfa\x96\x7b.txt", "日本.txt"},
		{"shift-jis", "\x83\x5c.txt", "ソ.txt"}, // a backslash among its bytes
		{"gbk", "\xd6\xd0\xce\xc4", "中文"},
		{"koi8-r", "\xcd\xc1\xd2\xd4", "март"},
		{"shift-jis", "\x93", "\x93"}, // cut in two
		{"gbk", "a b.txt", "a b.txt"},
		{"shift-jis", "a~b\\c", "a~b\\c"},
	} {
		c := charset(t, tt.charset)
		if got := c.Decode(tt.raw); got != tt.text {
			t.Errorf("%v: %q is %q, want %q", c, tt.raw, got, tt.text)
		}
		if got, err := c.Encode(c.Decode(tt.raw)); err != nil || got != tt.raw {
			t.Errorf("%v: %q came back as %q, %v", c, tt.raw, got, err)
		}
	}
	if _, err := ftp.LookupCharset("klingon"); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "shift-jis") {
		t.Errorf("unknown set: %v", err)
	}
	if _, err := charset(t, "latin1").Encode("€"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a character that the set has not: %v", err)
	}
	if got := charset(t, "windows-1252").Show("a\x81b"); got != "a\uFFFDb" {
		t.Errorf("shown as %q", got)
	}
}

// FuzzCharset holds that no name is lost, and no two become one.
func FuzzCharset(f *testing.F) {
	for _, s := range []string{"Gr\xf6\xdfe", "\x93\xfa\x96\x7b", "\x83\x5c", "\xff\xffä", "ä", "\xff", "a~\\", "\x1b$B", "\xe3\x81\x82"} {
		f.Add(s, s+"x")
	}
	sets := []ftp.Charset{{}}
	for _, n := range ftp.Charsets() {
		sets = append(sets, charset(f, n))
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a)+len(b) > 200 || strings.ContainsAny(a+b, "\r\n\x00") {
			return
		}
		for _, c := range sets {
			text := c.Decode(a)
			if again, err := c.Encode(text); err != nil || again != a {
				t.Fatalf("%v: %q is %q, and that %q, %v", c, a, text, again, err)
			}
			if a != b && text == c.Decode(b) {
				t.Fatalf("%v: %q and %q are both %q", c, a, b, text)
			}
			if !utf8.ValidString(c.Show(a)) || strings.ContainsAny(text, "\r\n\x00") {
				t.Fatalf("%v: %q is shown as %q", c, a, c.Show(a))
			}
			if raw, err := c.Encode(a); err == nil && strings.ContainsAny(raw, "\r\n\x00") {
				t.Fatalf("%v: %q is sent as %q", c, a, raw)
			}
		}
	})
}
