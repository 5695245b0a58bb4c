package ftp

import (
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// vmsGrammar is what the FTP servers of VMS write after its DIRECTORY command:
// name and version, blocks used and allocated, time, owner, protection for system,
// owner, group and world. Long names have a line of their own.
//
//	Directory SYS$SYSDEVICE:[ANONYMOUS]
//
//	CII-MANUAL.TEX;1  213/216  29-JAN-1996 03:33:12  [ANONYMOU,ANONYMOUS]   (RWED,RWED,,)
//	CORE.DIR;1          1  8-SEP-1996 16:09 [SYSTEM] (RWE,RWE,RE,RE)
//	README.FTP;1        %RMS-E-PRV, insufficient privilege or file protection violation
//	A-NAME-THAT-IS-LONGER-THAN-ITS-COLUMN.TXT;12
//	                    3  4-NOV-1994 04:09 [ANONYMOUS] (RWE,RWE,,)
//
//	Total of 4 files, 230 blocks.
//
// Names keep their version, which tells the versions of a file apart; directories
// lose ".DIR;1", which nothing but their own deletion needs. Blocks are not bytes,
// so the size is not known. The total must agree, or the listing was cut.
type vmsGrammar struct {
	pending string // the name whose facts are on the next line
	files   int    // entries since the last heading
}

func (*vmsGrammar) name() string { return "VMS" }

func (g *vmsGrammar) end() error {
	if g.pending != "" {
		return &SyntaxError{What: "LIST of VMS", Line: g.pending, Want: "a second line with size and time of the file"}
	}
	return nil
}

// vmsNoFacts are what stands in place of facts that may not be read.
var vmsNoFacts = []string{"%", "no privilege", "insufficient privilege"}

func (g *vmsGrammar) line(p *ListParser, line string) (Entry, error) {
	bad := badListLine(g, line)
	if g.pending != "" {
		name := g.pending
		if g.pending = ""; line[0] != ' ' && line[0] != '\t' {
			return Entry{}, bad
		}
		return g.entry(p, name, strings.TrimSpace(line), bad)
	}
	switch {
	case strings.HasPrefix(line, "Directory ") && strings.ContainsAny(line, ":[<"):
		g.files = 0
		return Entry{}, ErrSkip
	case strings.HasPrefix(line, "Total of "):
		return Entry{}, g.total(line)
	case strings.HasPrefix(line, "Grand total of "), strings.HasPrefix(line, "%DIRECT-W-NOFILES"):
		return Entry{}, ErrSkip
	}
	name, facts, _ := strings.Cut(line, " ")
	if !vmsName(name) {
		return Entry{}, bad
	}
	if facts = strings.TrimSpace(facts); facts == "" {
		g.pending = name
		return Entry{}, ErrSkip
	}
	return g.entry(p, name, facts, bad)
}

// total compares "Total of 4 files, 230 blocks." with what was listed.
func (g *vmsGrammar) total(line string) error {
	word, _, _ := strings.Cut(strings.TrimPrefix(line, "Total of "), " ")
	n, ok := decimal(word, 9)
	if !ok || n != g.files {
		return &SyntaxError{What: "LIST of VMS", Line: line, Want: "the number of files that were listed, " + strconv.Itoa(g.files)}
	}
	return ErrSkip
}

// vmsName reports whether s ends in a version: "NAME.TYPE;12", perhaps with the
// directory in front.
func vmsName(s string) bool {
	i := strings.LastIndexByte(s, ';')
	if i <= 0 {
		return false
	}
	_, ok := decimal(s[i+1:], 5) // versions end at 32767
	return ok
}

// entry puts name and facts together.
func (g *vmsGrammar) entry(p *ListParser, name, facts string, bad error) (Entry, error) {
	if strings.HasPrefix(name, "[") { // CMU-IP: [VMSSERV.FILES]ALARM.DIR;1
		_, name, _ = strings.Cut(name, "]")
	}
	e := Entry{Name: name, Size: -1}
	base, _, _ := strings.Cut(name, ";")
	if dir, ok := strings.CutSuffix(base, ".DIR"); ok {
		e.Name, e.Type = dir, Dir
	}
	if e.Name == "" || e.Name[0] == ';' || !e.setVMSFacts(facts, p.location()) {
		return Entry{}, bad
	}
	g.files++
	return e, nil
}

func (e *Entry) setVMSFacts(facts string, loc *time.Location) bool {
	for _, word := range vmsNoFacts {
		if strings.HasPrefix(facts, word) {
			return true
		}
	}
	blocks, rest, ok := strings.Cut(facts, " ")
	used, allocated, slash := strings.Cut(blocks, "/")
	_, okUsed := decimal(used, 9)
	_, okAllocated := decimal(allocated, 9)
	if !ok || !okUsed || slash && !okAllocated {
		return false
	}
	date, rest, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	clock, rest, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	if e.Time, e.TimePrecision, ok = parseVMSTime(date, clock, loc); !ok {
		return false
	}
	return e.setVMSOwner(strings.TrimLeft(rest, " "))
}

// setVMSOwner takes "[GROUP,OWNER] (RWED,RWED,RE,)" over, of which either may be
// missing.
func (e *Entry) setVMSOwner(s string) bool {
	if rest, ok := strings.CutPrefix(s, "["); ok {
		owner, after, ok := strings.Cut(rest, "]")
		if !ok {
			return false
		}
		if group, member, two := strings.Cut(owner, ","); two {
			e.Group, owner = group, member
		}
		e.Owner, s = owner, strings.TrimLeft(after, " ")
	}
	if s == "" {
		return true
	}
	inner, ok := strings.CutPrefix(s, "(")
	inner, ok2 := strings.CutSuffix(strings.TrimRight(inner, " "), ")")
	who := strings.Split(inner, ",") // system, owner, group, world
	if !ok || !ok2 || len(who) != 4 {
		return false
	}
	var mode fs.FileMode
	for _, letters := range who {
		mode <<= 3
		for _, c := range letters {
			switch c {
			case 'R':
				mode |= 4
			case 'W':
				mode |= 2
			case 'E':
				mode |= 1
			case 'D':
			default:
				return false
			}
		}
	}
	e.Mode = mode & 0o777 // the system's own rights have no place in it
	return true
}

// parseVMSTime parses 29-JAN-1996 and 03:33, 03:33:12 or 03:33:12.07.
func parseVMSTime(date, clock string, loc *time.Location) (t time.Time, precision time.Duration, ok bool) {
	part := strings.Split(date, "-")
	if len(part) != 3 || len(part[2]) != 4 {
		return t, 0, false
	}
	day, ok1 := decimal(part[0], 2)
	month := monthNumber(part[1])
	year, ok2 := decimal(part[2], 4)
	hm, hundredths, dotted := strings.Cut(clock, ".")
	c, ok3 := parseFullClock(hm)
	nanos := 0
	if dotted {
		n, ok := decimal(hundredths, 2)
		if !ok || len(hundredths) != 2 || c.precision != time.Second {
			return t, 0, false
		}
		nanos, c.precision = n*1e7, 10*time.Millisecond
	}
	if !ok1 || !ok2 || !ok3 || month == 0 || !validDate(year, month, day) {
		return t, 0, false
	}
	return time.Date(year, time.Month(month), day, 0, c.minutes, c.seconds, nanos, loc), c.precision, true
}
