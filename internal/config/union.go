package config

import (
	"reflect"

	"github.com/goccy/go-yaml/ast"

	"sallyport.dev/internal/secret"
)

// The types of this file can be written in two forms: a word, or a mapping.

// decode reads env:NAME, file:PATH or {hash: ...}.
func (p *Password) decode(d *decoder, n ast.Node, path string) {
	if _, ok := n.(ast.MapNode); ok {
		var h hashed
		d.into(n, reflect.ValueOf(&h).Elem(), path)
		p.Hash = string(h.Hash)
		return
	}
	s, ok := d.word(n, path, "a reference or a hash", false)
	if !ok {
		return
	}
	ref, err := secret.ParseRef(s)
	if err != nil {
		d.fault(position(n), path, "write env:NAME, file:PATH, or {hash: \"$argon2id$...\"} as sallyport account hash makes it", "a password must not stand in the document")
		return
	}
	p.Ref = ref
}

// decode reads auto or file:PATH.
func (c *Certificate) decode(d *decoder, n ast.Node, path string) {
	s, ok := d.word(n, path, "a reference, or auto", true)
	if !ok {
		return
	}
	if s == "auto" {
		c.Auto = true
		return
	}
	ref, err := secret.ParseRef(s)
	if err != nil {
		d.fault(position(n), path, "write file:PATH or auto", "a certificate must be a reference")
		return
	}
	c.Ref = ref
}

// decode reads keep, delete or {move: NAME}.
func (a *After) decode(d *decoder, n ast.Node, path string) {
	if _, ok := n.(ast.MapNode); ok {
		var m moved
		d.into(n, reflect.ValueOf(&m).Elem(), path)
		*a = After{AfterMove, m.Move}
		return
	}
	if s, ok := scalarText(n); ok && s == string(AfterMove) {
		d.fault(position(n), path, "write {move: NAME}, such as {move: \"archive/${file.name}\"}", "move needs a new name")
		return
	}
	d.scalar(n, reflect.ValueOf(&a.Action).Elem(), path)
}

// hasKey reports whether a mapping has a key.
func hasKey(m ast.MapNode, key string) bool {
	for i := m.MapRange(); i.Next(); {
		if s, ok := scalarText(i.Key()); ok && s == key {
			return true
		}
	}
	return false
}

// decode reads embedded, {min_free: N} or {urls: [...], replicas: N}.
func (j *Journal) decode(d *decoder, n ast.Node, path string) {
	if m, ok := n.(ast.MapNode); ok {
		if hasKey(m, "min_free") {
			var e embedded
			d.into(n, reflect.ValueOf(&e).Elem(), path)
			*j = Journal{Embedded: true, MinFree: e.MinFree}
			return
		}
		var c cluster
		d.into(n, reflect.ValueOf(&c).Elem(), path)
		*j = Journal{URLs: c.URLs, Replicas: c.Replicas}
		return
	}
	s, ok := d.word(n, path, "embedded, or a mapping with min_free or urls", true)
	if !ok {
		return
	}
	if s != "embedded" {
		d.fault(position(n), path, "write embedded, {min_free: 512}, or {urls: [...], replicas: 3}", "%s is not known here", quote(s))
		return
	}
	j.Embedded = true
}
