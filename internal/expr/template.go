package expr

import (
	"fmt"
	"reflect"
	"strings"

	"sallyport.dev/internal/fault"
)

// Template is a compiled text with holes. It may be used by many goroutines.
type Template struct {
	text  string
	parts []part
}

// part is either literal text or a hole.
type part struct {
	literal string
	hole    *program
}

// ParseTemplate compiles a text whose holes "${…}" are expressions that give text
// or whole numbers. "$${" stands for a literal "${". The error is an [*Error].
func ParseTemplate(text string) (*Template, error) {
	if len(text) > MaxText {
		return nil, tooLong(len(text))
	}
	t := &Template{text: text}
	rest, at := text, position{1, 1}
	for rest != "" {
		lit, hole, n, err := cut(rest, at)
		if err != nil {
			return nil, err
		}
		if lit != "" {
			t.parts = append(t.parts, part{literal: lit})
		}
		if hole != nil {
			p, err := compileHole(hole.text, hole.at)
			if err != nil {
				return nil, err
			}
			t.parts = append(t.parts, part{hole: &p})
		}
		at = at.after(rest[:n], runes(rest[:n]))
		rest = rest[n:]
	}
	return t, nil
}

// String returns the template as it was written.
func (t *Template) String() string { return t.text }

// Execute fills the holes. What comes out is at most [MaxResult] bytes; whether it
// is a name that may be used is for the caller to check.
func (t *Template) Execute(env Env) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.hole == nil {
			b.WriteString(p.literal)
		} else {
			v, err := p.hole.run(env)
			if err != nil {
				return "", fault.Wrap(fault.Invalid, err, "fill template %q", t.text)
			}
			fmt.Fprint(&b, v) // text or a whole number, by compileHole
		}
		if b.Len() > MaxResult {
			return "", fault.New(fault.Invalid, "fill template %q: the result is over %d bytes", t.text, MaxResult)
		}
	}
	return b.String(), nil
}

type hole struct {
	text string
	at   position
}

// cut takes the first literal and, if one follows it, the hole off s. It returns
// how many bytes it took.
func cut(s string, at position) (string, *hole, int, error) {
	var lit strings.Builder
	for i := 0; i < len(s); {
		switch {
		case strings.HasPrefix(s[i:], "$${"):
			lit.WriteString("${")
			i += 3
		case strings.HasPrefix(s[i:], "${"):
			start := i + 2
			from := at.after(s, runes(s[:start]))
			end := closing(s[start:])
			if end < 0 {
				return "", nil, 0, at.fault(s, runes(s[:i]), "a ${ is not closed", "close it with }, or write $${ for a literal ${")
			}
			return lit.String(), &hole{s[start : start+end], from}, start + end + 1, nil
		default:
			lit.WriteByte(s[i])
			i++
		}
	}
	return lit.String(), nil, len(s), nil
}

// closing finds the brace that ends a hole, past quotes and inner braces.
func closing(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\'', '"', '`':
			n := quoted(s[i:])
			if n < 0 {
				return -1
			}
			i += n - 1
		case '{':
			depth++
		case '}':
			if depth == 0 {
				return i
			}
			depth--
		}
	}
	return -1
}

// quoted returns the length of the quoted text s begins with, or -1.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && s[0] != '`':
			i++
		case s[i] == s[0]:
			return i + 1
		}
	}
	return -1
}

func compileHole(text string, at position) (program, error) {
	src, translated, err := translate(text, at)
	if err != nil {
		return program{}, err
	}
	p, err := compile(src, at)
	if err != nil {
		if e, ok := err.(*Error); ok && translated { //nolint:errorlint // compile returns it bare
			e.Line, e.Column = at.line, at.column // positions in the translation mean nothing to its writer
		}
		return program{}, err
	}
	switch p.kind {
	case reflect.String, reflect.Int, reflect.Int64:
		return p, nil
	}
	return program{}, at.fault("", 0, "a hole must give text or a whole number, and this is "+kindName(p),
		"times: now.Format('2006-01-02'); other numbers: string(…)")
}
