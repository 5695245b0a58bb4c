package config

import (
	"encoding"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode"

	"github.com/goccy/go-yaml/ast"
)

// keyText returns the text of a plain key.
func keyText(k ast.MapKeyNode) (string, bool) {
	n, ok := k.(ast.Node)
	if !ok {
		return "", false
	}
	return scalarText(n)
}

// scalarText returns a scalar as it was written, quotes removed.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		if n.Value == nil {
			return "", false
		}
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// wrongType reports that n is not what path needs.
func (d *decoder) wrongType(n ast.Node, path, want, hint string) {
	got := "this"
	switch n.(type) {
	case ast.MapNode:
		got = "a mapping"
	case *ast.SequenceNode:
		got = "a list"
	case *ast.StringNode, *ast.LiteralNode:
		got = "a text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		got = "a number"
	case *ast.BoolNode:
		got = "true or false"
	}
	d.fault(position(n), path, hint, "must be %s, not %s", want, got)
}

// word returns the text of a scalar that has some, and keeps it for
// [Document.Unserved].
func (d *decoder) word(n ast.Node, path, want string, keep bool) (string, bool) {
	s, ok := scalarText(n)
	if !ok {
		d.wrongType(n, path, want, "")
		return "", false
	}
	if s == "" {
		d.fault(position(n), path, "write a value or remove the key", "is empty")
		return "", false
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			d.fault(position(n), path, "write one line of plain characters", "has a control character or a line end in it")
			return "", false
		}
	}
	if keep {
		d.places.at[path] = place{Pos: position(n), text: s}
	}
	return s, true
}

// text decodes n by p's own parser.
func (d *decoder) text(n ast.Node, p encoding.TextUnmarshaler, path string) {
	s, ok := d.word(n, path, "one value", !secretive(p))
	if !ok {
		return
	}
	err := p.UnmarshalText([]byte(s))
	if err == nil {
		return
	}
	problem, hint := hinted(err)
	if _, ok := p.(*netip.Addr); ok {
		problem, hint = quote(s)+" is no IP address", "such as 203.0.113.7"
	}
	d.fault(position(n), path, hint, "%s", problem)
}

func (d *decoder) duration(n ast.Node, p *time.Duration, path string) {
	s, ok := d.word(n, path, "a duration", true)
	if !ok {
		return
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		d.fault(position(n), path, "write a number with a unit: 500ms, 30s, 5m, 1h30m", "%s is no duration", quote(s))
		return
	}
	*p = v
}

// scalar decodes n into a string, word, bool or number.
func (d *decoder) scalar(n ast.Node, v reflect.Value, path string) {
	if c, ok := v.Interface().(chooses); ok {
		d.choice(n, v, c.Choices(), path)
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.wrongType(n, path, "true or false", "")
			return
		}
		d.places.at[path] = place{Pos: position(n), text: strconv.FormatBool(b.Value)}
		v.SetBool(b.Value)
	case reflect.Int, reflect.Uint16:
		d.integer(n, v, path)
	case reflect.String:
		d.str(n, v, path)
	default:
		panic("config: no way to decode " + v.Type().String())
	}
}

func (d *decoder) integer(n ast.Node, v reflect.Value, path string) {
	if _, ok := n.(*ast.IntegerNode); !ok {
		d.wrongType(n, path, "a whole number", "")
		return
	}
	s, ok := d.word(n, path, "a whole number", true)
	if !ok {
		return
	}
	i, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		d.fault(position(n), path, "write it in decimal digits", "%s is no whole number of a size that makes sense here", quote(s))
		return
	}
	if v.CanUint() {
		if i < 0 || v.OverflowUint(uint64(i)) {
			d.fault(position(n), path, "", "%d is out of range", i)
			return
		}
		v.SetUint(uint64(i))
		return
	}
	v.SetInt(i)
}

func (d *decoder) str(n ast.Node, v reflect.Value, path string) {
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		d.wrongType(n, path, "a text", "put it in quotes")
		return
	default:
		d.wrongType(n, path, "a text", "")
		return
	}
	if s, ok := d.word(n, path, "a text", true); ok {
		v.SetString(s)
	}
}

func (d *decoder) choice(n ast.Node, v reflect.Value, words []string, path string) {
	s, ok := d.word(n, path, list(words, "or"), true)
	if !ok {
		return
	}
	if slices.Contains(words, s) {
		v.SetString(s)
		return
	}
	hint := "one of " + list(words, "or")
	if near := nearest(s, words); near != "" {
		hint = "did you mean " + near + "? " + hint
	}
	d.fault(position(n), path, hint, "%s is not known here", quote(s))
}
