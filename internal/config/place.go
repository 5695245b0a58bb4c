package config

import (
	"fmt"
	"strings"
)

// places knows where each value of a document was written. Its keys are paths of
// keys and indexes, such as sites[0].passive.ports.
type places struct {
	at    map[string]place
	names map[string]string // sites[0] → softwares, for the paths that people read
}

type place struct {
	Pos
	text string // a scalar as written; empty for secrets
}

func newPlaces() places {
	return places{at: map[string]place{}, names: map[string]string{}}
}

// find returns the place of path, or of the nearest thing around it that was
// written.
func (p places) find(path string) Pos {
	for {
		if at, ok := p.at[path]; ok {
			return at.Pos
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return Pos{1, 1}
		}
		path = path[:i]
	}
}

// shown returns path as people read it, with the elements of lists under their
// names: sites[0].path is sites.softwares.path.
func (p places) shown(path string) string {
	var b strings.Builder
	for rest := path; rest != ""; {
		open := strings.IndexByte(rest, '[')
		end := open + strings.IndexByte(rest[max(open, 0):], ']') + 1
		if open < 0 || end <= open {
			b.WriteString(rest) // no index follows; an unknown key may have brackets
			break
		}
		if name, ok := p.names[path[:len(path)-len(rest)+end]]; ok {
			b.WriteString(rest[:open] + "." + name)
		} else {
			b.WriteString(rest[:end])
		}
		rest = rest[end:]
	}
	return b.String()
}

// Pos returns where the value at path was written. A path is made of keys and
// indexes, such as flows[0].source.match. For what was not written it is the
// place of what is around it.
func (d *Document) Pos(path string) Pos { return d.places.find(path) }

// verbatim returns the column at which text, a value at pos, begins, if the
// document's line shows it as it is: without escapes, on one line.
func (d *Document) verbatim(pos Pos, text string) (column int, ok bool) {
	if pos.Line > len(d.lines) {
		return 0, false
	}
	line := []rune(d.lines[pos.Line-1])
	for from := pos.Column - 1; from <= pos.Column && from < len(line); from++ {
		if strings.HasPrefix(string(line[from:]), text) {
			return from + 1, true
		}
	}
	return 0, false
}

// Written reports whether the document has a value at path.
func (d *Document) Written(path string) bool {
	_, ok := d.places.at[path]
	return ok
}

// Fault returns a fault at path (see [Document.Pos]), for what is found out later
// than at checking.
func (d *Document) Fault(path, hint, format string, args ...any) Fault {
	return Fault{
		File:    d.File,
		Pos:     d.Pos(path),
		Path:    d.places.shown(path),
		Problem: fmt.Sprintf(format, args...),
		Hint:    hint,
	}
}
