package config_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"sallyport.dev/internal/config"
)

// No text brings the reader down; what it refuses it refuses with places, and what
// it takes it shows as a document that it takes again.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		f.Add(mustRead(f, file))
	}
	f.Add("a: &a [*a]\n<<: *a\n")
	f.Add("? - x\n: y\n")
	f.Add(strings.Repeat("[", 40))
	f.Add("sites: [{name: [[, listen: \"\\x00\"}]")
	f.Add("gateway: {listen: !!binary aGk=}\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<14 {
			return // the bound of length has its own test
		}
		doc, err := config.Parse("f", []byte(text))
		if err != nil {
			wantPlaces(t, faultsOf(t, "f", text), text)
			return
		}
		doc.Unserved("")
		out := doc.Shown()
		if strings.Contains(string(out), "[redacted]") {
			return // hashes are cut
		}
		again, err := config.Parse("f", out)
		if err != nil {
			t.Fatalf("what is shown is refused: %v\n%s", err, out)
		}
		a, b := doc.JSON(), again.JSON()
		if string(a) != string(b) || !json.Valid(a) {
			t.Fatalf("what is shown says something else:\n%s\n%s", a, b)
		}
	})
}

func wantPlaces(t *testing.T, fs config.Faults, text string) {
	t.Helper()
	if len(fs) == 0 {
		t.Fatal("refused without a fault")
	}
	lines := strings.Count(text, "\n") + strings.Count(text, "\r") + 1
	for _, f := range fs {
		if f.File != "f" || f.Line < 1 || f.Line > lines || f.Column < 1 || f.Problem == "" {
			t.Fatalf("a fault without a place or a problem: %+v", f)
		}
		if s := f.String(); strings.ContainsAny(s, "\n\r\x00") {
			t.Fatalf("a fault of several lines: %q", s)
		}
	}
}

func TestNesting(t *testing.T) {
	for name, text := range map[string]string{
		"brackets":  strings.Repeat("[", 1<<19),
		"braces":    strings.Repeat("{a: ", 1<<17),
		"dashes":    strings.Repeat("- ", 1<<18),
		"lines":     strings.Repeat("[\n", 1<<18),
		"misquoted": "a: b 'c\n" + strings.Repeat("[", 1<<19),
	} {
		if fs := faultsOf(t, "f", text); !strings.Contains(fs.Error(), "nests deeper than 32 levels") {
			t.Errorf("%s: got %.200q", name, fs.Error())
		}
	}
	deep := ""
	for i := range 40 {
		deep += strings.Repeat(" ", i) + "a:\n"
	}
	if fs := faultsOf(t, "f", deep); !strings.Contains(fs.Error(), "nests deeper") {
		t.Errorf("indents: got %.200q", fs.Error())
	}
}

// Brackets in texts and comments are no nesting.
func TestBracketsInTexts(t *testing.T) {
	text := "sites:\n"
	for i := range 60 {
		text += "  - {name: s" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + `, path: "/s[{\"[", banner: '[''[', anonymous: true, listen: "127.0.0.1:0"} # [ {` + "\n"
	}
	if fs := faultsOf(t, "f", text); len(fs) > 0 {
		t.Errorf("got %v", fs)
	}
}
