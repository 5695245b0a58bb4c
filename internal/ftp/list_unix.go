package ftp

import (
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// recentDays is how old a file may be for ls to show a time instead of a year.
const recentDays = 180

// maxListLine bounds what is taken for a line of LIST.
const maxListLine = 2 * MaxPath

// ParseListLine parses a line of LIST in either of the two common shapes,
// [ParseUnixLine]'s and [ParseDOSLine]'s, and returns what these return.
func ParseListLine(line string, now time.Time, loc *time.Location) (Entry, error) {
	if line != "" && line[0] >= '0' && line[0] <= '9' {
		return ParseDOSLine(line, loc)
	}
	return ParseUnixLine(line, now, loc)
}

// ParseUnixLine parses a line as "ls -l" writes it:
//
//	-rw-r--r--   1 owner  group    1234 May 28 09:15 a name
//	drwxr-xr-x   2 owner  group    4096 May 28  2023 folder
//	lrwxrwxrwx   1 owner  group       7 May 28 09:15 link -> target
//
// The columns before the date may be fewer, and the date may be 2023-05-28 09:15.
// The name is all that follows one space after the date, spaces included. A date
// without a year is the last such one that is not more than a day after now. loc
// is the server's time zone, nil means UTC. Lines that name nothing are [ErrSkip],
// all else is a [*SyntaxError].
func ParseUnixLine(line string, now time.Time, loc *time.Location) (Entry, error) {
	if strings.TrimSpace(line) == "" || isTotal(line) {
		return Entry{}, ErrSkip
	}
	if loc == nil {
		loc = time.UTC
	}
	first, _, _ := strings.Cut(line, " ")
	typ, mode, ok := parseModeColumn(first)
	if !ok || len(line) > maxListLine || strings.ContainsAny(line, "\r\n\x00") {
		return Entry{}, badUnixLine(line)
	}
	e := Entry{Type: typ, Mode: mode, Size: -1}

	// The date is found by its looks: the columns before it differ, and what
	// follows it may contain anything.
	var cols [8]string // links owner group size …, the last of which is next to the date
	n := 0
	for rest := line[len(first):]; n < len(cols); n++ {
		rest = strings.TrimLeft(rest, " ")
		if n > 0 {
			if when, precision, name, ok := parseListDate(rest, now, loc); ok && e.setColumns(cols[:n]) {
				e.Time, e.TimePrecision = when, precision
				if e.setName(name) {
					return e, nil
				}
				break
			}
		}
		cols[n], rest, ok = strings.Cut(rest, " ")
		if !ok {
			break
		}
	}
	return Entry{}, badUnixLine(line)
}

func badUnixLine(line string) error {
	return &SyntaxError{What: "LIST line", Line: line, Want: "columns as of ls -l, with a date before the name"}
}

// isTotal recognises "total 12", with which ls begins.
func isTotal(line string) bool {
	rest, ok := strings.CutPrefix(line, "total ")
	if !ok || rest == "" {
		return false
	}
	return strings.Trim(rest, "0123456789.,KMGT ") == ""
}

// parseModeColumn parses "-rw-r--r--", with the mark of an ACL or a label after
// it if there is one.
func parseModeColumn(col string) (typ EntryType, mode fs.FileMode, ok bool) {
	if len(col) == 11 && strings.ContainsRune("+.@", rune(col[10])) {
		col = col[:10]
	}
	if len(col) != 10 {
		return 0, 0, false
	}
	switch col[0] {
	case '-':
		typ = File
	case 'd':
		typ = Dir
	case 'l':
		typ = Link
	case 'b', 'c', 'p', 's', 'D', 'n':
		typ = Other
	default:
		return 0, 0, false
	}
	mode, ok = parsePerm(col[1:])
	return typ, mode, ok
}

// setColumns takes over the columns between mode and date: the size last, before
// it links, owner and group as far as they are there. It reports whether the last
// one is a size; if not, the date that followed was none.
func (e *Entry) setColumns(cols []string) bool {
	size, err := strconv.ParseUint(cols[len(cols)-1], 10, 63)
	if err != nil {
		return false
	}
	cols = cols[:len(cols)-1]
	if e.Type == Other {
		if len(cols) > 0 && strings.HasSuffix(cols[len(cols)-1], ",") { // "8, 1" of a device
			cols = cols[:len(cols)-1]
		}
	} else {
		e.Size = int64(size)
	}
	if len(cols) > 0 {
		if links, ok := decimal(cols[0], 9); ok {
			e.Links = links
			cols = cols[1:]
		}
	}
	switch len(cols) {
	case 0:
	case 1:
		e.Owner = cols[0]
	default:
		e.Owner, e.Group = cols[0], strings.Join(cols[1:], " ")
	}
	return true
}

// setName takes over what follows the date, and reports whether there is a name.
func (e *Entry) setName(name string) bool {
	if e.Type == Link {
		name, e.Target, _ = strings.Cut(name, " -> ")
	}
	e.Name = name
	e.setDots()
	return name != ""
}

// setDots recognises "." and ".." among the directories of a LIST.
func (e *Entry) setDots() {
	switch {
	case e.Type != Dir:
	case e.Name == ".":
		e.Type = CurrentDir
	case e.Name == "..":
		e.Type = ParentDir
	}
}

// parseListDate parses a date at the start of s, and returns what follows one
// space after it.
func parseListDate(s string, now time.Time, loc *time.Location) (t time.Time, precision time.Duration, name string, ok bool) {
	a, rest, ok := strings.Cut(s, " ")
	if !ok {
		return t, 0, "", false
	}
	if len(a) == 10 { // 2023-05-28 09:15
		year, okY := decimal(a[:4], 4)
		month, okM := decimal(a[5:7], 2)
		day, okD := decimal(a[8:], 2)
		clock, name, okC := strings.Cut(rest, " ")
		minutes, okT := parseClock(clock)
		if okY && okM && okD && okC && okT && a[4] == '-' && a[7] == '-' && validDate(year, month, day) {
			return time.Date(year, time.Month(month), day, 0, minutes, 0, 0, loc), time.Minute, name, true
		}
		return t, 0, "", false
	}
	b, rest, ok := strings.Cut(strings.TrimLeft(rest, " "), " ")
	if !ok {
		return t, 0, "", false
	}
	month, day := monthNumber(a), b
	if month == 0 { // some write the day first
		month, day = monthNumber(b), a
	}
	d, okD := decimal(strings.TrimSuffix(day, "."), 2)
	c, name, okC := strings.Cut(strings.TrimLeft(rest, " "), " ")
	if month == 0 || !okD || !okC {
		return t, 0, "", false
	}
	if minutes, ok := parseClock(c); ok {
		year := yearOf(month, d, minutes, now.In(loc))
		if year < 0 {
			return t, 0, "", false
		}
		return time.Date(year, time.Month(month), d, 0, minutes, 0, 0, loc), time.Minute, name, true
	}
	year, ok := decimal(c, 4)
	if !ok || len(c) != 4 || !validDate(year, month, d) {
		return t, 0, "", false
	}
	return time.Date(year, time.Month(month), d, 0, 0, 0, 0, loc), 24 * time.Hour, name, true
}

// yearOf returns the last year in which the date exists and is not more than a
// day after now (servers' clocks and zones differ from what we think), or -1.
func yearOf(month, day, minutes int, now time.Time) int {
	limit := now.AddDate(0, 0, 1)
	for year := limit.Year(); year > limit.Year()-9; year-- { // 29 February may be eight years away
		if validDate(year, month, day) &&
			!time.Date(year, time.Month(month), day, 0, minutes, 0, 0, now.Location()).After(limit) {
			return year
		}
	}
	return -1
}

// parseClock parses H:MM or HH:MM, with seconds ignored, into minutes.
func parseClock(s string) (int, bool) {
	hh, mm, ok := strings.Cut(s, ":")
	if !ok {
		return 0, false
	}
	if m, ss, ok := strings.Cut(mm, ":"); ok {
		if sec, ok := decimal(ss, 2); !ok || sec > 60 {
			return 0, false
		}
		mm = m
	}
	h, ok1 := decimal(hh, 2)
	m, ok2 := decimal(mm, 2)
	if !ok1 || !ok2 || len(mm) != 2 || h > 23 || m > 59 {
		return 0, false
	}
	return h*60 + m, true
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// monthNumber returns 1 to 12 for an English abbreviation in any case, else 0.
func monthNumber(s string) int {
	if len(s) != 3 {
		return 0
	}
	for m := range 12 {
		if strings.EqualFold(s, months[3*m:3*m+3]) {
			return m + 1
		}
	}
	return 0
}

// AppendUnixLine appends e as "ls -l" shows it, without a CRLF. The time is shown
// in the zone it has, by hour and minute, or by its year when it is older than
// 180 days before now or lies after now. What e does not know is made up: 0644
// and 0755, one link, "ftp" as owner and group, size 0. A CR, LF or NUL in the
// name becomes "?".
func AppendUnixLine(b []byte, e Entry, now time.Time) []byte {
	letter, mode := byte('-'), e.Mode
	switch e.Type {
	case Dir, CurrentDir, ParentDir:
		letter = 'd'
		if mode == 0 {
			mode = 0o755
		}
	case Link:
		letter = 'l'
		if mode == 0 {
			mode = 0o777
		}
	case Other:
		letter = 'p'
	}
	if mode == 0 {
		mode = 0o644
	}
	b = appendPerm(append(b, letter), mode)
	b = append(appendPadded(append(b, ' '), int64(max(e.Links, 1)), 4), ' ')
	b = append(appendOwner(b, e.Owner), ' ')
	b = append(appendOwner(b, e.Group), ' ')
	b = append(appendPadded(b, max(e.Size, 0), 12), ' ')
	b = append(appendListDate(b, e.Time, now), ' ')
	b = appendName(b, e.Name)
	if e.Type == Link && e.Target != "" {
		b = appendName(append(b, " -> "...), e.Target)
	}
	return b
}

// appendOwner appends a name in eight columns, without spaces inside that would
// make two columns of it.
func appendOwner(b []byte, name string) []byte {
	if name == "" {
		name = "ftp"
	}
	at := len(b)
	b = appendName(b, name)
	for i := at; i < len(b); i++ {
		if b[i] == ' ' {
			b[i] = '_'
		}
	}
	for len(b)-at < 8 {
		b = append(b, ' ')
	}
	return b
}

func appendListDate(b []byte, t, now time.Time) []byte {
	if t.IsZero() {
		t = time.Unix(0, 0).UTC()
	}
	year, month, day := t.Date()
	b = append(b, months[3*int(month)-3:3*int(month)]...)
	b = appendPadded(append(b, ' '), int64(day), 2)
	b = append(b, ' ')
	if age := now.Sub(t); age < 0 || age > recentDays*24*time.Hour {
		return append4(append(b, ' '), min(max(year, 0), 9999))
	}
	hour, minute, _ := t.Clock()
	return append2(append(append2(b, hour), ':'), minute)
}
