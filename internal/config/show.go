package config

import (
	"encoding"
	"reflect"
	"strings"
	"time"
)

// Shown returns the document as it was written, as YAML in one spelling and without
// comments. Hashes are cut short: people paste this into letters.
func (d *Document) Shown() []byte { return shown(&d.written) }

// Effective returns the document with every default filled in, as [Document.Shown]
// does.
func (d *Document) Effective() []byte { return shown(&d.Config) }

// JSON returns what [Document.Effective] returns, as JSON on one line.
func (d *Document) JSON() []byte {
	var b strings.Builder
	emitJSON(&b, plainStruct(reflect.ValueOf(d.Config)))
	return []byte(b.String())
}

func shown(c *Config) []byte {
	var b strings.Builder
	emitYAML(&b, plainStruct(reflect.ValueOf(*c)), "")
	return []byte(b.String())
}

// plainStruct turns a struct into the mapping that a person would write.
func plainStruct(v reflect.Value) entries {
	var m entries
	for _, f := range fieldsOf(v.Type()) {
		if e, ok := plain(v.FieldByIndex(f.index)); ok {
			m = append(m, entry{f.key, e})
		}
	}
	return m
}

// plain turns a value into what can stand in an [entry]; false when there is
// nothing to write.
func plain(v reflect.Value) (any, bool) {
	if v.IsZero() {
		return nil, false
	}
	switch p := v.Interface().(type) {
	case Password:
		if p.Hash != "" {
			return entries{{"hash", cut(p.Hash)}}, true
		}
		return p.Ref.String(), true
	case Certificate:
		if p.Auto {
			return "auto", true
		}
		return p.Ref.String(), true
	case After:
		if p.Action == AfterMove {
			return entries{{"move", p.Move}}, true
		}
		return string(p.Action), true
	case Lines:
		if len(p) == 1 {
			return p[0], true
		}
	case External:
		if a, ok := p.simple(); ok {
			b, err := a.MarshalText()
			return string(b), err == nil
		}
	case Journal:
		if p.Embedded && (p.MinFree == 0 || p.MinFree == DefaultMinFree) {
			return "embedded", true
		}
		if p.Embedded {
			return plainStruct(reflect.ValueOf(embedded{p.MinFree})), true
		}
		return plainStruct(reflect.ValueOf(cluster{p.URLs, p.Replicas})), true
	case time.Duration:
		return durationText(p), true
	case encoding.TextMarshaler:
		b, err := p.MarshalText()
		return string(b), err == nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		return plainStruct(v.Elem()), true
	case reflect.Struct:
		return plainStruct(v), true
	case reflect.Slice:
		all := make([]any, 0, v.Len())
		for i := range v.Len() {
			if e, ok := plain(v.Index(i)); ok {
				all = append(all, e)
			}
		}
		return all, true
	case reflect.String:
		return v.String(), true
	default:
		return v.Interface(), true
	}
}

// cut leaves of a hash what says how it was made.
func cut(h string) string {
	if i := strings.LastIndexByte(h, '$'); i > 0 {
		if j := strings.LastIndexByte(h[:i], '$'); j > 0 {
			return h[:j] + "$[redacted]"
		}
	}
	return "[redacted]"
}

// durationText writes d as people do: 1h, not 1h0m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
