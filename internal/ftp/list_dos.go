package ftp

import (
	"strconv"
	"strings"
	"time"
)

// ParseDOSLine parses a line of LIST as IIS writes it, and as "dir" does:
//
//	05-28-24  09:15AM       <DIR>          folder
//	05-28-2024  09:15AM                 1234 a name
//	05-28-24  09:15AM       <JUNCTION>     link [C:\target]
//
// The date is month, day and year; years of two digits are 1970 to 2069. Hours
// go to 12 with AM or PM and to 23 without. loc is the server's time zone, nil
// means UTC. The name keeps its spaces. Empty lines are [ErrSkip], all else is a
// [*SyntaxError].
func ParseDOSLine(line string, loc *time.Location) (Entry, error) {
	if strings.TrimSpace(line) == "" {
		return Entry{}, ErrSkip
	}
	if loc == nil {
		loc = time.UTC
	}
	date, rest, ok1 := strings.Cut(line, " ")
	clock, rest, ok2 := strings.Cut(strings.TrimLeft(rest, " "), " ")
	year, month, day, ok3 := parseDOSDate(date)
	minutes, ok4 := parseDOSClock(clock)
	if !ok1 || !ok2 || !ok3 || !ok4 || len(line) > maxListLine || strings.ContainsAny(line, "\r\n\x00") {
		return Entry{}, badDOSLine(line)
	}
	e := Entry{
		Size: -1, TimePrecision: time.Minute,
		Time: time.Date(year, time.Month(month), day, 0, minutes, 0, 0, loc),
	}
	col, name, ok := strings.Cut(strings.TrimLeft(rest, " "), " ")
	if !ok {
		return Entry{}, badDOSLine(line)
	}
	if strings.HasPrefix(col, "<") {
		e.Type, ok = dosType(col)
		// "dir" pads the tag to fifteen columns; what goes beyond is the name's.
		for pad := 14 - len(col); pad > 0 && strings.HasPrefix(name, " "); pad-- {
			name = name[1:]
		}
	} else {
		var size uint64
		var err error
		size, err = strconv.ParseUint(strings.ReplaceAll(col, ",", ""), 10, 63)
		e.Size, ok = int64(size), err == nil
	}
	if !ok || !e.setDOSName(name) {
		return Entry{}, badDOSLine(line)
	}
	return e, nil
}

func badDOSLine(line string) error {
	return &SyntaxError{What: "LIST line", Line: line, Want: "MM-DD-YY  HH:MMAM, a size or <DIR>, and a name"}
}

// setDOSName takes over the last column, and reports whether there is a name.
func (e *Entry) setDOSName(name string) bool {
	if e.Type == Link && strings.HasSuffix(name, "]") {
		if i := strings.LastIndex(name, " ["); i > 0 {
			name, e.Target = name[:i], name[i+2:len(name)-1]
		}
	}
	e.Name = name
	e.setDots()
	return name != ""
}

func dosType(tag string) (EntryType, bool) {
	switch tag {
	case "<DIR>":
		return Dir, true
	case "<JUNCTION>", "<SYMLINKD>", "<SYMLINK>":
		return Link, true
	}
	return 0, false
}

// parseDOSDate parses MM-DD-YY, MM-DD-YYYY, and the same with slashes.
func parseDOSDate(s string) (year, month, day int, ok bool) {
	if len(s) != 8 && len(s) != 10 || s[2] != s[5] || s[2] != '-' && s[2] != '/' {
		return 0, 0, 0, false
	}
	month, ok1 := decimal(s[:2], 2)
	day, ok2 := decimal(s[3:5], 2)
	year, ok3 := decimal(s[6:], 4)
	if len(s) == 8 {
		if year += 1900; year < 1970 {
			year += 100
		}
	}
	return year, month, day, ok1 && ok2 && ok3 && validDate(year, month, day)
}

// parseDOSClock parses 09:15AM and 21:15 into minutes.
func parseDOSClock(s string) (int, bool) {
	if len(s) < 2 {
		return 0, false
	}
	half := 0
	switch strings.ToUpper(s[len(s)-2:]) {
	case "AM":
	case "PM":
		half = 12 * 60
	default:
		c, ok := parseFullClock(s)
		return c.minutes, ok && c.precision == time.Minute
	}
	c, ok := parseFullClock(s[:len(s)-2])
	if !ok || c.minutes >= 13*60 || c.precision != time.Minute {
		return 0, false
	}
	return c.minutes%(12*60) + half, true
}

// AppendDOSLine appends e as IIS shows it, without a CRLF, with a year of two
// digits. The time is shown in the zone it has. A CR, LF or NUL in the name
// becomes "?".
func AppendDOSLine(b []byte, e Entry) []byte {
	t := e.Time
	if t.IsZero() {
		t = time.Unix(0, 0).UTC()
	}
	year, month, day := t.Date()
	hour, minute, _ := t.Clock()
	half := "AM"
	if hour >= 12 {
		half = "PM"
	}
	if hour %= 12; hour == 0 {
		hour = 12
	}
	b = append(append2(b, int(month)), '-')
	b = append(append2(b, day), '-')
	b = append(append2(b, year%100), "  "...)
	b = append(append2(b, hour), ':')
	b = append(append2(b, minute), half...)
	switch e.Type {
	case Dir, CurrentDir, ParentDir:
		b = append(b, "       <DIR>          "...)
	case Link:
		b = append(b, "       <JUNCTION>     "...)
	default:
		b = append(appendPadded(b, max(e.Size, 0), 21), ' ')
	}
	b = appendName(b, e.Name)
	if e.Type == Link && e.Target != "" {
		b = append(appendName(append(b, " ["...), e.Target), ']')
	}
	return b
}
