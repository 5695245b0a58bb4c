package expr_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/expr"
	"sallyport.dev/internal/fault"
)

var env = expr.Env{
	File: expr.NewFile("in/sub/order 7.tar.gz", 1234, time.Date(2026, 3, 4, 5, 6, 7, 8e6, time.UTC)),
	Now:  time.Date(2026, 11, 22, 13, 4, 5, 123e6, time.UTC),
	Flow: "orders",
}

func TestTemplate(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{"plain", "plain"},
		{"archive/${now.Format('2006/01')}/${file.name}", "archive/2026/11/order 7.tar.gz"},
		{"${file.stem}|${file.ext}|${file.dir}|${file.path}|${flow}", "order 7.tar|gz|in/sub|in/sub/order 7.tar.gz|orders"},
		{"${file.size}", "1234"},
		{"$${x}${'}'}$", "${x}}$"},
		{`${"a\"}" + file.ext}`, `a"}gz`},
		{"${file.size > 1000 ? 'big' : 'small'}", "big"},
		{"${upper(file.ext)}-${now.UTC().Year()}", "GZ-2026"},
		{"${file:name}", "in/sub/order 7.tar.gz"},
		{"${file:name.noext}", "in/sub/order 7"},
		{"${file:name.noext.single}", "in/sub/order 7.tar"},
		{"${file:onlyname.noext}.${file:ext}", "order 7.tar.gz"},
		{"${ file:parent }", "in/sub"},
		{"${file:size}", "1234"},
		{"${header.CamelFileName}", "in/sub/order 7.tar.gz"},
		{"${date:now:yyyyMMdd}", "20261122"},
		{"${date:now:yyyy-MM-dd'T'HH:mm:ss.SSS}", "2026-11-22T13:04:05.123"},
		{"${date:file:ddMMyy_HH}", "040326_05"},
		{"${date:now:'2006 at' MMM}", "2006 at Nov"},
	} {
		tmpl, err := expr.ParseTemplate(tt.text)
		if err != nil {
			t.Errorf("ParseTemplate(%q): %v", tt.text, err)
			continue
		}
		if got, err := tmpl.Execute(env); err != nil || got != tt.want {
			t.Errorf("%q: got %q, %v want %q", tt.text, got, err, tt.want)
		}
		if tmpl.String() != tt.text {
			t.Errorf("String: got %q want %q", tmpl.String(), tt.text)
		}
	}
}

func TestTemplateFaults(t *testing.T) {
	for _, tt := range []struct {
		text         string
		line, column int
		want         string
	}{
		{"a/${file.nmae}", 1, 10, "nmae"},
		{"a\nbé${file.nmae}", 2, 10, "nmae"},
		{"a/${file.name", 1, 3, "not closed"},
		{"${}", 1, 3, "empty"},
		{"${now}", 1, 3, "text"},
		{"${file.name}${ fiel.name }", 1, 16, "fiel"},
		{"${file:nmae}", 1, 3, "file:nmae"},
		{"${property.x}", 1, 3, "property.x"},
		{"${date:now:QQ}", 1, 3, "QQ"},
		{"${date:now}", 1, 3, "pattern"},
		{"${now().Format('2006')}", 1, 3, "not callable"},
		{"${repeat('x', 100000000)}", 1, 3, "repeat"},
		{"${let a = 'x'; a + a}", 1, 7, "let"},
		{"${reduce([1,2], #acc + #)}", 1, 3, "reduce"},
		{"${string(len(1..1000000000))}", 1, 15, "ranges"},
	} {
		_, err := expr.ParseTemplate(tt.text)
		e := (*expr.Error)(nil)
		if !errors.As(err, &e) {
			t.Errorf("%q: got %v want a fault", tt.text, err)
			continue
		}
		if e.Line != tt.line || e.Column != tt.column || !strings.Contains(e.Text, tt.want) {
			t.Errorf("%q: got %v want %d:%d and %q", tt.text, e, tt.line, tt.column, tt.want)
		}
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: kind %v", tt.text, fault.KindOf(err))
		}
	}
}

func TestFilter(t *testing.T) {
	for _, tt := range []struct {
		text string
		want bool
	}{
		{"file.size > 1000 && file.ext == 'gz'", true},
		{"file.name matches '^order [0-9]+[.]'", true},
		{"any(['xml', 'gz'], # == file.ext)", true},
		{"file.time < now - duration('24h')", true},
		{"hasPrefix(file.path, 'out/')", false},
		{"flow in ['orders']", true},
		{"lower(file.name) endsWith '.GZ'", false},
	} {
		f, err := expr.ParseFilter(tt.text)
		if err != nil {
			t.Errorf("ParseFilter(%q): %v", tt.text, err)
			continue
		}
		if got, err := f.Match(env); err != nil || got != tt.want {
			t.Errorf("%q: got %v, %v want %v", tt.text, got, err, tt.want)
		}
	}
}

func TestFilterFaults(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"file.size", "true or false"},
		{"file.size > 'x'", "mismatched types"},
		{"file.size >", "unexpected"},
		{"any([1,2], any([3], # == 1))", "nested"},
		{"true; false", "one expression"},
		{strings.Repeat("(", 3000) + "true", ""},
		{strings.Repeat("x", expr.MaxText+1), "too long"},
	} {
		f, err := expr.ParseFilter(tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q: got %v, %v want %q", tt.text, f, err, tt.want)
		}
	}
}

func TestHints(t *testing.T) {
	for text, want := range map[string]string{
		"file.nmae == 'x'": "name, stem",
		"fiel.name == 'x'": "file, now and flow",
		"now":              "compare",
	} {
		_, err := expr.ParseFilter(text)
		if got := fault.HintOf(err); !strings.Contains(got, want) {
			t.Errorf("%q: got hint %q want %q", text, got, want)
		}
	}
}

func TestResultIsBounded(t *testing.T) {
	tmpl, err := expr.ParseTemplate("${file.name}${file.name}")
	if err != nil {
		t.Fatal(err)
	}
	long := env
	long.File.Name = strings.Repeat("n", expr.MaxResult)
	if _, err := tmpl.Execute(long); fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v want invalid", err)
	}
}

func TestNewFile(t *testing.T) {
	for _, tt := range []struct{ path, name, stem, ext, dir string }{
		{"a", "a", "a", "", ""},
		{"a.b", "a.b", "a", "b", ""},
		{".hidden", ".hidden", ".hidden", "", ""},
		{"d/.h.x", ".h.x", ".h", "x", "d"},
		{"d/e/f.", "f.", "f", "", "d/e"},
	} {
		f := expr.NewFile(tt.path, 1, time.Time{})
		if f.Name != tt.name || f.Stem != tt.stem || f.Ext != tt.ext || f.Dir != tt.dir {
			t.Errorf("%q: got %+v want %+v", tt.path, f, tt)
		}
	}
}

// FuzzTemplate: what compiles keeps its text, and runs without panic to a bounded
// result that is the same each time.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		"", "a", "${file.name}", "$${", "${'}'}", "${date:now:yyyy-'x'SSS}", "${file:name.noext}",
		"${any(['a'], # == file.name) ? 'x' : 'y'}", "${file.name[1:2]}", "${{}}", "${`}`}", "${'\\'}'}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tmpl, err := expr.ParseTemplate(text)
		if err != nil {
			e := (*expr.Error)(nil)
			if !errors.As(err, &e) || e.Line < 1 || e.Column < 1 {
				t.Fatalf("%q: %v has no position", text, err)
			}
			return
		}
		a, errA := tmpl.Execute(env)
		b, errB := tmpl.Execute(env)
		if a != b || (errA == nil) != (errB == nil) {
			t.Fatalf("%q: got %q, %v then %q, %v", text, a, errA, b, errB)
		}
		if len(a) > expr.MaxResult {
			t.Fatalf("%q: %d bytes", text, len(a))
		}
	})
}
