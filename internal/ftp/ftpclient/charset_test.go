package ftpclient_test

import (
	"slices"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
)

// TestCharset speaks with servers whose names are not UTF-8. Names in entries are text
// and name the same files in commands; one that is not of the set keeps its bytes and
// does not fail the listing.
func TestCharset(t *testing.T) {
	for charset, names := range map[string]map[string]string{ // raw: text
		"latin1":    {"Gr\xf6\xdfe": "Größe", "plain": "plain"},
		"shift-jis": {"\x83\x5c": "ソ", "\x93\xfa\x96\x7b": "日本", "half \x93": "half \x93"},
		"gbk":       {"\xd6\xd0\xce\xc4": "中文", "\xff\xfe": "\xff\xff\xfe"},
	} {
		for _, features := range [][]string{{"UTF8", "SIZE", "MLST type*;size*;modify*;"}, {"SIZE"}} {
			a := &ftptest.Awkward{Files: map[string]string{}, Quirks: ftptest.Quirks{Features: features}}
			var want []string
			for raw, text := range names {
				a.Files[raw] = text
				want = append(want, text)
			}
			slices.Sort(want)
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				var err error
				if cfg.Charset, err = ftp.LookupCharset(charset); err != nil {
					t.Fatal(err)
				}
				dialIn(t, cfg, func(c *ftpclient.Conn) {
					var got []string
					for e, err := range c.List(t.Context(), "") {
						if err != nil {
							t.Fatal(err)
						}
						got = append(got, e.Name)
					}
					slices.Sort(got)
					if !slices.Equal(got, want) {
						t.Errorf("%s: listed %q, want %q", charset, got, want)
					}
					for raw, text := range names {
						if content, err := read(t.Context(), c, text, 0); err != nil || content != text {
							t.Errorf("%s: %q holds %q, %v", charset, text, content, err)
						}
						if err := c.Rename(t.Context(), text, text+"2"); err != nil {
							t.Error(err)
						}
						if _, there := a.File(raw + "2"); !there {
							t.Errorf("%s: %q is not there under its bytes: %q", charset, text+"2", a.Names())
						}
					}
					if err := c.Delete(t.Context(), "☃"); fault.KindOf(err) != fault.Invalid || !c.Usable() {
						t.Errorf("%s: a name that the set does not have: %v", charset, err)
					}
				})
			})
			if slices.Contains(a.Commands(), "OPTS") {
				t.Errorf("%s: asked for UTF-8", charset)
			}
		}
	}
}
