package ftp

import (
	"strconv"
	"strings"
	"time"
)

// eplfGrammar is D. J. Bernstein's "easily parsed LIST format", cr.yp.to/ftp/list/eplf.html:
// facts that end in commas, a tab, the name.
//
//	+i8388621.48594,m825718503,r,s280,<tab>djb.html
//	+i8388621.50690,m824255907,/,<tab>514
type eplfGrammar struct{}

func (eplfGrammar) name() string { return "EPLF" }
func (eplfGrammar) end() error   { return nil }

// maxEPLFTime is the last second of the year 9999.
const maxEPLFTime = 253402300799

func (g eplfGrammar) line(_ *ListParser, line string) (Entry, error) {
	bad := badListLine(g, line)
	facts, name, ok := strings.Cut(line, "\t")
	if !ok || name == "" || facts[:min(1, len(facts))] != "+" {
		return Entry{}, bad
	}
	e := Entry{Name: name, Type: Other, Size: -1}
	for fact := range strings.SplitSeq(facts[1:], ",") {
		switch {
		case fact == "":
		case fact == "/":
			e.Type = Dir
		case fact == "r":
			if e.Type != Dir {
				e.Type = File
			}
		case fact[0] == 's':
			n, err := strconv.ParseUint(fact[1:], 10, 63)
			if err != nil {
				return Entry{}, bad
			}
			e.Size = int64(n)
		case fact[0] == 'm':
			n, err := strconv.ParseUint(fact[1:], 10, 63)
			if err != nil || n > maxEPLFTime {
				return Entry{}, bad
			}
			e.Time, e.TimePrecision = time.Unix(int64(n), 0).UTC(), time.Second
		case fact[0] == 'i':
			e.Unique = fact[1:]
		case strings.HasPrefix(fact, "up"):
			n, err := strconv.ParseUint(fact[2:], 8, 12)
			if err != nil {
				return Entry{}, bad
			}
			e.Mode = fileMode(uint32(n)) // twelve bits
		}
	}
	e.setDots()
	return e, nil
}
