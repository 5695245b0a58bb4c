package ftp

import (
	"errors"
	"strings"
	"time"
)

// maxListLine bounds what is taken for a line of LIST.
const maxListLine = 2 * MaxPath

// ListParser reads the lines of one LIST, one after another. RFC 959 leaves their
// looks to the server; the grammars known here are those of ls, of IIS and dir, of
// NetWare, VMS, MVS and OS/400, and EPLF. What SYST said narrows the choice, the
// first line that fits settles it, and from then on a line that does not fit is an
// error: no line is dropped, none is read by a grammar that the others are not.
//
// Set the fields before the first line. The zero value reads any grammar.
type ListParser struct {
	// System is the text of the reply to SYST. Empty means that it is not known.
	System string
	// Now is what a date without a year is counted from.
	Now time.Time
	// Location is the server's time zone. Nil means UTC.
	Location *time.Location
	// Order is the order of day, month and year where the grammar leaves that to
	// the server (OS/400). It is set when dates have told it. While it is not known,
	// dates that could be several days are none.
	Order DateOrder

	settled listGrammar
	from    []listGrammar // what is not ruled out, until it is settled
}

// listGrammar is one way to write listings. It may need several lines for an entry.
type listGrammar interface {
	// line reads one line, which is neither empty nor too long and has no CR, LF or
	// NUL in it. ErrSkip means that the line belongs to the grammar and gives no
	// entry, or not yet.
	line(p *ListParser, line string) (Entry, error)
	// end says what is missing at the end of the listing.
	end() error
	// name is for people.
	name() string
}

// Parse reads the next line, without its line end. [ErrSkip] means that it gives no
// entry: it is empty, a heading, or the first of several lines. All else is a
// [*SyntaxError].
func (p *ListParser) Parse(line string) (Entry, error) {
	switch {
	case strings.TrimSpace(line) == "":
		return Entry{}, ErrSkip
	case len(line) > maxListLine || strings.ContainsAny(line, "\r\n\x00"):
		return Entry{}, p.bad(line)
	case p.settled != nil:
		return p.settled.line(p, line)
	case isTotal(line): // of ls, and of NetWare
		return Entry{}, ErrSkip
	}
	if p.from == nil {
		p.from = grammarsOf(p.System)
	}
	for _, g := range p.from {
		e, err := g.line(p, line)
		if err == nil || errors.Is(err, ErrSkip) {
			p.settled, p.from = g, nil
			return e, err
		}
	}
	return Entry{}, p.bad(line)
}

// End says, as a [*SyntaxError], what is missing where the listing ended: the rest
// of an entry, or files that it counted.
func (p *ListParser) End() error {
	if p.settled == nil {
		return nil
	}
	return p.settled.end()
}

// Grammar returns the name of the grammar that the lines settled, "" before that.
func (p *ListParser) Grammar() string {
	if p.settled == nil {
		return ""
	}
	return p.settled.name()
}

func (p *ListParser) bad(line string) error {
	if p.settled != nil {
		return badListLine(p.settled, line)
	}
	return &SyntaxError{What: "LIST line", Line: line, Want: "a line as ls, dir, NetWare, VMS, MVS, OS/400 or EPLF have it"}
}

func badListLine(g listGrammar, line string) error {
	return &SyntaxError{What: "LIST line", Line: line, Want: "one more line as " + g.name() + " has it, like those before"}
}

// grammarsOf returns the grammars that a server of that system may use.
func grammarsOf(system string) []listGrammar {
	sys := strings.ToUpper(system)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(sys, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("VMS"):
		return []listGrammar{&vmsGrammar{}, unixGrammar{}}
	case has("MVS", "Z/OS"):
		return []listGrammar{&mvsGrammar{}, unixGrammar{}}
	case has("OS/400", "AS/400", "IBM I"):
		return []listGrammar{&os400Grammar{}, unixGrammar{}}
	case has("NETWARE"):
		return []listGrammar{netwareGrammar{}, unixGrammar{}, dosGrammar{}}
	case has("UNIX", "WINDOWS"): // what most say, whatever they are
		return []listGrammar{unixGrammar{}, dosGrammar{}, netwareGrammar{}, eplfGrammar{}}
	default:
		return []listGrammar{
			unixGrammar{}, dosGrammar{}, netwareGrammar{}, eplfGrammar{},
			&vmsGrammar{}, &mvsGrammar{}, &os400Grammar{},
		}
	}
}

type unixGrammar struct{}

func (unixGrammar) line(p *ListParser, line string) (Entry, error) {
	return ParseUnixLine(line, p.Now, p.Location)
}
func (unixGrammar) end() error   { return nil }
func (unixGrammar) name() string { return "ls" }

type dosGrammar struct{}

func (dosGrammar) line(p *ListParser, line string) (Entry, error) {
	return ParseDOSLine(line, p.Location)
}
func (dosGrammar) end() error   { return nil }
func (dosGrammar) name() string { return "dir" }

// location returns the server's time zone.
func (p *ListParser) location() *time.Location {
	if p.Location == nil {
		return time.UTC
	}
	return p.Location
}
