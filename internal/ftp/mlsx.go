package ftp

import (
	"strconv"
	"strings"
	"time"
)

// Facts is a set of MLSx facts (RFC 3659 section 7.5). The order in listings is
// that of the constants.
type Facts uint16

// The facts that [AppendMLSx] can write.
const (
	FactType Facts = 1 << iota
	FactSize
	FactModify
	FactPerm
	FactUnique
	FactUnixMode
	FactUnixOwner
	FactUnixGroup

	AllFacts Facts = 1<<iota - 1
	// DefaultFacts are what a client gets that did not choose by OPTS MLST.
	DefaultFacts = FactType | FactSize | FactModify | FactPerm
)

var factNames = [...]string{"type", "size", "modify", "perm", "unique", "UNIX.mode", "UNIX.owner", "UNIX.group"}

// ParseFacts returns the facts that a list such as "type;size;" names, in any
// case. Unknown ones are left out, as RFC 3659 section 7.9 asks.
func ParseFacts(list string) Facts {
	var f Facts
	for name := range strings.SplitSeq(list, ";") {
		for i, known := range factNames {
			if strings.EqualFold(name, known) {
				f |= 1 << i
			}
		}
	}
	return f
}

// String returns the list that [ParseFacts] reads and that OPTS MLST is answered
// with: "type;size;", "" for none.
func (f Facts) String() string { return f.list(0, "") }

// Feat returns the line of FEAT that offers f and marks those in selected
// (RFC 3659 section 7.8): "MLST type*;size*;unique;".
func (f Facts) Feat(selected Facts) string { return "MLST " + f.list(selected, "*") }

func (f Facts) list(marked Facts, mark string) string {
	var b strings.Builder
	for i, name := range factNames {
		if f&(1<<i) == 0 {
			continue
		}
		b.WriteString(name)
		if marked&(1<<i) != 0 {
			b.WriteString(mark)
		}
		b.WriteByte(';')
	}
	return b.String()
}

// ParseMLSx parses a line of MLSD, or of MLST's reply without the space in front
// (RFC 3659 section 7.2): facts, one space, name. Facts may come in any case and
// order; unknown ones, and values that make no sense, are ignored. The error is
// a [*SyntaxError].
func ParseMLSx(line string) (Entry, error) {
	facts, name, ok := strings.Cut(line, " ")
	if !ok || name == "" || strings.ContainsAny(name, "\r\n\x00") || facts != "" && !strings.Contains(facts, "=") {
		return Entry{}, &SyntaxError{What: "MLSD line", Line: line, Want: `facts, a space and a name, as in "type=file;size=3; name"`}
	}
	e := Entry{Name: name, Size: -1, Type: Other}
	for facts != "" {
		var fact string
		fact, facts, _ = strings.Cut(facts, ";")
		if key, value, ok := strings.Cut(fact, "="); ok && value != "" {
			e.setFact(key, value)
		}
	}
	return e, nil
}

// setFact takes one fact over. Keys are compared in lower case.
func (e *Entry) setFact(key, value string) {
	var low [16]byte
	if len(key) > len(low) {
		return
	}
	for i := range len(key) {
		c := key[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		low[i] = c
	}
	switch string(low[:len(key)]) {
	case "type":
		e.Type, e.Target = parseTypeFact(value)
	case "size":
		if n, err := strconv.ParseUint(value, 10, 63); err == nil {
			e.Size = int64(n)
		}
	case "modify":
		if t, precision, ok := parseTime(value); ok {
			e.Time, e.TimePrecision = t, precision
		}
	case "perm":
		e.Perm = value
	case "unique":
		e.Unique = value
	case "unix.mode":
		if n, err := strconv.ParseUint(value, 8, 16); err == nil {
			e.Mode = fileMode(uint32(n))
		}
	case "unix.ownername":
		e.Owner = value
	case "unix.groupname":
		e.Group = value
	case "unix.owner", "unix.uid":
		if e.Owner == "" {
			e.Owner = value
		}
	case "unix.group", "unix.gid":
		if e.Group == "" {
			e.Group = value
		}
	}
}

// parseTypeFact knows RFC 3659's four types and what servers made of "OS.name=type"
// for symbolic links: OS.unix=slink:/target, OS.unix=symlink, OS.unix=slink.
func parseTypeFact(value string) (EntryType, string) {
	const unixPrefix = "os.unix="
	switch {
	case strings.EqualFold(value, "file"):
		return File, ""
	case strings.EqualFold(value, "dir"):
		return Dir, ""
	case strings.EqualFold(value, "cdir"):
		return CurrentDir, ""
	case strings.EqualFold(value, "pdir"):
		return ParentDir, ""
	case len(value) > len(unixPrefix) && strings.EqualFold(value[:len(unixPrefix)], unixPrefix):
		kind, target, _ := strings.Cut(value[len(unixPrefix):], ":")
		if strings.EqualFold(kind, "slink") || strings.EqualFold(kind, "symlink") {
			return Link, target
		}
	}
	return Other, ""
}

// AppendMLSx appends e as a line of MLSD without its CRLF, with those of the
// given facts that e knows. A value that the grammar cannot hold (a space or a
// semicolon in it) is left out; a CR, LF or NUL in the name becomes "?". The time
// has a fraction only if [Entry.TimePrecision] is finer than a second.
func AppendMLSx(b []byte, e Entry, facts Facts) []byte {
	if facts&FactType != 0 {
		b = append(b, "type="...)
		switch {
		case e.Type == Link && e.Target != "" && plainFact(e.Target):
			b = append(append(b, "OS.unix=slink:"...), e.Target...)
		case e.Type == Link:
			b = append(b, "OS.unix=slink"...)
		case e.Type >= Other:
			b = append(b, "OS.unix=other"...)
		default:
			b = append(b, entryTypes[e.Type]...)
		}
		b = append(b, ';')
	}
	if facts&FactSize != 0 && e.Size >= 0 {
		b = append(strconv.AppendInt(append(b, "size="...), e.Size, 10), ';')
	}
	if facts&FactModify != 0 && !e.Time.IsZero() {
		finer := e.TimePrecision > 0 && e.TimePrecision < time.Second
		b = append(appendTime(append(b, "modify="...), e.Time, finer), ';')
	}
	if facts&FactPerm != 0 {
		b = appendFact(b, "perm=", e.Perm)
	}
	if facts&FactUnique != 0 {
		b = appendFact(b, "unique=", e.Unique)
	}
	if facts&FactUnixMode != 0 && e.Mode != 0 {
		b = append(b, "UNIX.mode=0"...)
		b = append(strconv.AppendUint(b, uint64(unixMode(e.Mode)), 8), ';')
	}
	if facts&FactUnixOwner != 0 {
		b = appendFact(b, "UNIX.owner=", e.Owner)
	}
	if facts&FactUnixGroup != 0 {
		b = appendFact(b, "UNIX.group=", e.Group)
	}
	return appendName(append(b, ' '), e.Name)
}

func appendFact(b []byte, key, value string) []byte {
	if value == "" || !plainFact(value) {
		return b
	}
	return append(append(append(b, key...), value...), ';')
}

func plainFact(value string) bool { return !strings.ContainsAny(value, " ;\r\n\x00") }

// appendName appends a name to a listing, where IAC is not doubled (data
// connections are no Telnet) but a line end would make one entry into two.
func appendName(b []byte, name string) []byte {
	at := len(b)
	b = append(b, name...)
	for i := at; i < len(b); i++ {
		if b[i] == '\r' || b[i] == '\n' || b[i] == 0 {
			b[i] = '?'
		}
	}
	return b
}
