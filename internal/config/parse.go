package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	yaml "github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxDepth bounds how deep a document may nest. A whole one needs six levels; the
// YAML parser calls itself for each. Where quotes are misjudged, maxOpen does it.
const (
	maxDepth = 32
	maxOpen  = 2000 // brackets open at once, those in quotes and comments included
)

// document reads text into c, and reports every fault that the types of c can see.
func (d *decoder) document(text []byte, c *Config) {
	d.broken = true
	if p, hint := unreadable(text); p != "" {
		d.fault(Pos{1, 1}, "", hint, "%s", p)
		return
	}
	tree, err := parse(text)
	if err != nil {
		d.syntax(err)
		return
	}
	var root ast.Node
	for _, doc := range tree.Docs {
		switch {
		case doc.Body == nil:
		case root == nil:
			root = doc.Body
		default:
			d.fault(position(doc.Body), "", "put everything into one document and remove the line ---", "a second document begins here")
		}
	}
	if root == nil {
		d.fault(Pos{1, 1}, "", "`sallyport config schema` lists what can stand in it", "the document is empty")
		return
	}
	if _, ok := root.(ast.MapNode); !ok {
		d.fault(position(root), "", "write keys at the left margin, such as `sites:` or `gateway:`", "the document is no mapping of keys to values")
		return
	}
	d.broken = false
	d.into(root, reflect.ValueOf(c).Elem(), "")
}

// unreadable says what keeps text from being parsed at all.
func unreadable(text []byte) (problem, hint string) {
	switch {
	case len(text) > MaxSize:
		return fmt.Sprintf("the document is longer than %d bytes", MaxSize), "split it over several processes"
	case !utf8.Valid(text):
		return "the document is not UTF-8", "save it as UTF-8, without NUL bytes"
	case strings.IndexByte(string(text), 0) >= 0:
		return "the document has a NUL byte", "save it as UTF-8, not UTF-16"
	case nesting(text) > maxDepth || allOpen(text) > maxOpen:
		return fmt.Sprintf("the document nests deeper than %d levels", maxDepth), "check brackets and indentation"
	}
	return "", ""
}

// nesting returns a bound of how deep text nests: brackets that are open at once,
// indicators at the head of one line, and steps of indentation, all together.
func nesting(text []byte) int {
	deepest := 0
	var br brackets
	var indents []int
	for line := range strings.Lines(string(text)) {
		body := strings.TrimLeft(line, " ")
		indent, heads := len(line)-len(body), 0
		for strings.HasPrefix(body, "- ") || strings.HasPrefix(body, "? ") {
			body, heads = strings.TrimLeft(body[2:], " "), heads+1
		}
		if br.open == 0 && br.quote == 0 && strings.TrimSpace(body) != "" {
			for len(indents) > 0 && indents[len(indents)-1] >= indent {
				indents = indents[:len(indents)-1]
			}
			indents = append(indents, indent)
		}
		deepest = max(deepest, br.line(line)+len(indents)+heads)
	}
	return deepest
}

// allOpen returns the most brackets open at once, wherever they stand.
func allOpen(text []byte) int {
	open, most := 0, 0
	for _, b := range text {
		switch b {
		case '[', '{':
			open++
			most = max(most, open)
		case ']', '}':
			open = max(0, open-1)
		}
	}
	return most
}

// brackets counts the brackets that are open in a text, those in quotes and
// comments left out.
type brackets struct {
	open  int
	quote rune // the quote that is open, or 0
}

// line reads one more line and returns the most brackets open at once in it.
func (b *brackets) line(s string) int {
	most, before := b.open, ' '
	for _, r := range s {
		head := strings.ContainsRune(" [{,:\"'", before) // where a quote or comment can begin
		switch {
		case b.quote == '"' && before == '\\' && r != '\n':
			before = 0 // escaped: neither a quote nor a backslash that escapes
			continue
		case b.quote != 0:
			if r == b.quote {
				b.quote = 0
			}
		case (r == '"' || r == '\'') && head:
			b.quote = r
		case r == '#' && before == ' ':
			return most
		case r == '[' || r == '{':
			b.open++
			most = max(most, b.open)
		case r == ']' || r == '}':
			b.open = max(0, b.open-1)
		}
		before = r
	}
	return most
}

// parse turns text into a tree. A panic of the parser, which random text has
// brought about, is a syntax error without a place.
func parse(text []byte) (tree *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			tree, err = nil, errors.New("this is no YAML that can be read")
		}
	}()
	return parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
}

// syntax reports the error of a parser. Its own text is not used: it shows lines
// of the document, and they may hold what nobody should see.
func (d *decoder) syntax(err error) {
	var se *yaml.SyntaxError
	if !errors.As(err, &se) || se.Token == nil {
		d.fault(Pos{1, 1}, "", "check brackets, quotes and indentation", "%v", err)
		return
	}
	at := Pos{1, 1}
	if p := se.Token.Position; p != nil {
		at = Pos{max(1, p.Line), max(1, p.Column)}
	}
	msg, _, _ := strings.Cut(se.Message, "\n")
	d.fault(at, "", "check brackets, quotes and indentation here and just before", "%s", msg)
}

// position returns where n begins: a mapping at its first key.
func position(n ast.Node) Pos {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return position(m.Values[0].Key)
	}
	if m, ok := n.(*ast.MappingValueNode); ok {
		return position(m.Key)
	}
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return Pos{1, 1}
	}
	p := n.GetToken().Position
	return Pos{max(1, p.Line), max(1, p.Column)}
}
