package ftp

import (
	"strconv"
	"strings"
	"time"
)

// DateOrder is the order in which a server writes day, month and year.
type DateOrder uint8

// The orders of dates.
const (
	OrderUnknown DateOrder = iota
	DayMonthYear
	MonthDayYear
	YearMonthDay
)

// String returns "DMY", "MDY", "YMD" or "unknown".
func (o DateOrder) String() string {
	return [...]string{"unknown", "DMY", "MDY", "YMD"}[min(o, YearMonthDay)]
}

// os400Grammar is what IBM i writes where it does not write as ls does (SITE
// LISTFMT 0): owner, size, date, time, kind of object, name. Owner and size may be
// blank, and members have neither size nor date:
//
//	BAILEYSE     5263360 06/11/97 12:27:39 *FILE     BPTFSAVF
//	QSYS           77824 12/17/01 15:33:14 *DIR      QOpenSys/
//	CFT            45056 28/11/06 15:19:30 *FILE     AFTFRE2.FILE
//	CFT                                    *MEM      AFTFRE2.FILE/AFTFRE2.MBR
//
// The order and the separators of the date are those of the server's job, so one
// date may not tell its order. [ListParser.Order] has it then, or one of the other
// dates, or it stays unknown. Members below a file of the same listing are not
// entries of the directory, and are passed over.
type os400Grammar struct {
	file     string // the last *FILE
	possible []DateOrder
}

func (*os400Grammar) name() string { return "OS/400" }
func (*os400Grammar) end() error   { return nil }

func (g *os400Grammar) line(p *ListParser, line string) (Entry, error) {
	bad := badListLine(g, line)
	at := strings.Index(line, " *")
	if at < 0 {
		return Entry{}, bad
	}
	kind, name, _ := strings.Cut(line[at+1:], " ")
	name = strings.TrimLeft(name, " ")
	if !os400Kind(kind) || name == "" {
		return Entry{}, bad
	}
	e := Entry{Size: -1}
	if cols := strings.Fields(line[:at]); !e.setOS400(g, p, cols, kind == "*MEM") {
		return Entry{}, bad
	}
	e.Name = strings.TrimRight(name, "/")
	e.Type = os400Type(kind, name)
	if kind == "*MEM" {
		if file, member, ok := strings.Cut(e.Name, "/"); ok {
			if file == g.file {
				return Entry{}, ErrSkip
			}
			e.Name = member
		}
	}
	if kind == "*FILE" {
		g.file = e.Name
	}
	if i := strings.LastIndexByte(e.Name, '/'); i >= 0 && strings.HasPrefix(e.Name, "/") {
		e.Name = e.Name[i+1:] // the root lists "/QSYS.LIB/"
	}
	if e.Name == "" {
		return Entry{}, bad
	}
	return e, nil
}

// os400Kind reports whether s looks like "*STMF".
func os400Kind(s string) bool {
	if len(s) < 3 || len(s) > 10 {
		return false
	}
	for _, c := range s[1:] {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func os400Type(kind, name string) EntryType {
	switch kind {
	case "*STMF", "*DSTMF", "*MEM", "*DOC":
		return File
	case "*DIR", "*DDIR", "*FLR", "*LIB":
		return Dir
	case "*SYMLNK":
		return Link
	case "*FILE": // a file of members is a directory of them; a save file is a file
		if strings.HasSuffix(name, "/") || strings.HasSuffix(strings.ToUpper(name), ".FILE") {
			return Dir
		}
		return File
	default:
		return Other
	}
}

// setOS400 takes the columns before the kind over.
func (e *Entry) setOS400(g *os400Grammar, p *ListParser, cols []string, member bool) bool {
	n := len(cols)
	if n >= 2 {
		if d, c, ok := os400Time(cols[n-2], cols[n-1]); ok {
			if !g.narrow(p, d) {
				return false
			}
			if order := p.Order; order != OrderUnknown {
				y, m, day := d.in(order)
				e.Time = time.Date(y, time.Month(m), day, 0, c.minutes, c.seconds, 0, p.location())
				e.TimePrecision = c.precision
			}
			cols = cols[:n-2]
		} else if !member {
			return false
		}
	} else if !member {
		return false
	}
	if len(cols) > 0 {
		if size, err := strconv.ParseUint(cols[len(cols)-1], 10, 63); err == nil {
			e.Size = int64(size)
			cols = cols[:len(cols)-1]
		}
	}
	if len(cols) > 1 {
		return false
	}
	if len(cols) == 1 {
		e.Owner = cols[0]
	}
	return true
}

// narrow drops the orders that d does not exist in, and reports whether one is left.
func (g *os400Grammar) narrow(p *ListParser, d os400Date) bool {
	if p.Order != OrderUnknown {
		return d.exists(p.Order)
	}
	if g.possible == nil {
		g.possible = []DateOrder{DayMonthYear, MonthDayYear, YearMonthDay}
	}
	left := make([]DateOrder, 0, len(g.possible))
	for _, o := range g.possible {
		if d.exists(o) {
			left = append(left, o)
		}
	}
	if len(left) == 0 {
		return false
	}
	if g.possible = left; len(left) == 1 {
		p.Order = left[0]
	}
	return true
}

// os400Date are the three numbers of a date in whatever order.
type os400Date [3]int

func (d os400Date) in(o DateOrder) (year, month, day int) {
	switch o {
	case DayMonthYear:
		year, month, day = d[2], d[1], d[0]
	case MonthDayYear:
		year, month, day = d[2], d[0], d[1]
	default:
		year, month, day = d[0], d[1], d[2]
	}
	if year += 1900; year < 1940 { // IBM i's two digits are 1940 to 2039
		year += 100
	}
	return year, month, day
}

func (d os400Date) exists(o DateOrder) bool { return validDate(d.in(o)) }

// os400Time parses 28/11/06 and 15:19:30, with the separators that a job may have.
func os400Time(date, clock string) (os400Date, fullClock, bool) {
	var d os400Date
	if len(date) != 8 || date[2] != date[5] || !strings.ContainsRune("/-.,", rune(date[2])) {
		return d, fullClock{}, false
	}
	for i, at := range [...]int{0, 3, 6} {
		var ok bool
		if d[i], ok = decimal(date[at:at+2], 2); !ok {
			return d, fullClock{}, false
		}
	}
	c, ok := parseFullClock(strings.NewReplacer(".", ":", ",", ":").Replace(clock))
	return d, c, ok
}
