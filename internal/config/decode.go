package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/goccy/go-yaml/ast"

	"sallyport.dev/internal/secret"
)

// decoder fills the typed structs from a tree of YAML nodes. It goes on after a
// fault, so that one reading finds all of them.
type decoder struct {
	file   string
	places places
	faults Faults
	bad    map[string]bool // paths that have a fault
	broken bool            // the text has no tree to check further
}

// A type that can be written in more than one form decodes itself.
type decodes interface {
	decode(d *decoder, n ast.Node, path string)
}

// A type whose value is one of a few words lists them.
type chooses interface{ Choices() []string }

func (d *decoder) fault(at Pos, path, hint, format string, args ...any) {
	d.bad[path] = true
	d.faults = append(d.faults, Fault{
		File: d.file, Pos: at, Path: d.places.shown(path), Problem: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// into decodes n, which stands at path, into v.
func (d *decoder) into(n ast.Node, v reflect.Value, path string) {
	if path != "" {
		d.places.at[path] = place{Pos: position(n)}
	}
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		d.fault(position(n), path, "write the value itself", "anchors, aliases and tags are not read here")
		return
	case *ast.NullNode:
		d.fault(position(n), path, "write a value or remove the key", "is empty")
		return
	}
	switch p := v.Addr().Interface().(type) {
	case decodes:
		p.decode(d, n, path)
		return
	case *time.Duration:
		d.duration(n, p, path)
		return
	case encoding.TextUnmarshaler:
		d.text(n, p, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.into(n, v.Elem(), path)
	case reflect.Struct:
		d.mapping(n, v, path)
	case reflect.Slice:
		d.sequence(n, v, path)
	default:
		d.scalar(n, v, path)
	}
}

// field is one key of a struct.
type field struct {
	key, help string
	need      bool
	min, max  string
	index     []int
}

// fieldsOf lists the keys of a struct type, those of inlined structs among them.
func fieldsOf(t reflect.Type) []field {
	var fs []field
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		switch key {
		case "":
		case ",inline":
			for _, in := range fieldsOf(f.Type) {
				in.index = append([]int{i}, in.index...)
				fs = append(fs, in)
			}
		default:
			fs = append(fs, field{
				key: key, help: f.Tag.Get("help"), need: f.Tag.Get("need") == "yes",
				min: f.Tag.Get("min"), max: f.Tag.Get("max"), index: []int{i},
			})
		}
	}
	return fs
}

func (d *decoder) mapping(n ast.Node, v reflect.Value, path string) {
	m, ok := n.(ast.MapNode)
	if !ok {
		d.wrongType(n, path, "a mapping of keys to values", "")
		return
	}
	fields := fieldsOf(v.Type())
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	seen := map[string]Pos{}
	for it := m.MapRange(); it.Next(); {
		at := position(it.Key())
		key, ok := keyText(it.Key())
		if !ok {
			d.fault(at, path, "write a plain key: "+list(keys, "or"), "this is no key")
			continue
		}
		i := slices.Index(keys, key)
		if i < 0 {
			d.unknown(at, path, key, keys)
			continue
		}
		f, to := fields[i], join(path, key)
		if first, twice := seen[key]; twice {
			d.fault(at, to, "keep one of the two", "is written twice, first in line %d", first.Line)
			continue
		}
		seen[key] = at
		before := len(d.faults)
		d.into(it.Value(), v.FieldByIndex(f.index), to)
		if f.min != "" && len(d.faults) == before {
			d.bounds(it.Value(), f, v.FieldByIndex(f.index), to)
		}
	}
	for _, f := range fields {
		if _, ok := seen[f.key]; f.need && !ok {
			d.fault(position(n), join(path, f.key), f.help, "is missing")
		}
	}
}

func (d *decoder) unknown(at Pos, path, key string, keys []string) {
	hint := "known here: " + list(keys, "and")
	if near := nearest(key, keys); near != "" {
		hint = "did you mean " + near + "?"
	}
	shown := key
	if !plainKey(key) {
		shown = quote(key)
	}
	d.fault(at, join(path, shown), hint, "unknown key")
}

// plainKey reports whether key can be shown in a path as it is.
func plainKey(key string) bool {
	for _, r := range key {
		if r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return false
		}
	}
	return key != "" && len(key) <= 64
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (d *decoder) sequence(n ast.Node, v reflect.Value, path string) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.wrongType(n, path, "a list", "write each element after a dash, or all of them in [ ]")
		return
	}
	if len(s.Values) == 0 {
		d.fault(position(n), path, "write an element or remove the key", "is empty")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values)))
	for i, e := range s.Values {
		at := path + "[" + strconv.Itoa(i) + "]"
		d.name(e, at)
		d.into(e, v.Index(i), at)
	}
}

// name remembers how people call the element at path: by its name, if it has one.
func (d *decoder) name(n ast.Node, path string) {
	m, ok := n.(ast.MapNode)
	if !ok {
		return
	}
	for it := m.MapRange(); it.Next(); {
		if key, ok := keyText(it.Key()); !ok || key != "name" {
			continue
		}
		if name, ok := scalarText(it.Value()); ok && plainKey(name) {
			d.places.names[path] = name
		}
		return
	}
}

// bounds holds a value that was written to the bounds of its field.
func (d *decoder) bounds(n ast.Node, f field, v reflect.Value, path string) {
	if got := number(v); got < limit(f.min, v) || got > limit(f.max, v) {
		d.fault(position(n), path, "", "must be from %s to %s", f.min, f.max)
	}
}

func number(v reflect.Value) int64 {
	if v.CanUint() {
		return int64(v.Uint()) //nolint:gosec // ports: 16 bits
	}
	return v.Int()
}

// limit reads a bound from the tag of a field of v's type. Tags are part of the
// program, so a wrong one is a defect.
func limit(tag string, v reflect.Value) int64 {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		n, err := time.ParseDuration(tag)
		if err != nil {
			panic("config: bound " + tag + ": " + err.Error())
		}
		return int64(n)
	}
	n, err := strconv.ParseInt(tag, 10, 64)
	if err != nil {
		panic("config: bound " + tag + ": " + err.Error())
	}
	return n
}

// secretive reports whether the value of p must never be shown.
func secretive(p any) bool {
	switch p.(type) {
	case *secret.Ref, *hash:
		return true
	}
	return false
}
