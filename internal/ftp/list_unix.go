package ftp

import (
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// recentDays is how old a file may be for ls to show a time instead of a year.
const recentDays = 180

// ParseUnixLine parses a line as "ls -l" writes it:
//
//	-rw-r--r--   1 owner  group    1234 May 28 09:15 a name
//	drwxr-xr-x   2 owner  group    4096 May 28  2023 folder
//	lrwxrwxrwx   1 owner  group       7 May 28 09:15 link -> target
//
// The columns before the date may be fewer, and the date may be 2023-05-28 09:15, as
// of --full-time with seconds and zone, or have its month in another language than
// English. Where ls could not look at a file it writes question marks, and the entry
// is its type and name. The name is all that follows one space after the date,
// spaces included. A date without a year is the last such one that is not more than
// a day after now. loc is the server's time zone, nil means UTC. Lines that name
// nothing are [ErrSkip], all else is a [*SyntaxError].
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
	if rest := line[len(first):]; strings.Contains(first, "?????????") {
		ok = e.setUnlooked(rest)
	} else {
		ok = e.setColumnsAndDate(rest, now, loc)
	}
	if !ok || !e.setName(e.Name) {
		return Entry{}, badUnixLine(line)
	}
	return e, nil
}

// setColumnsAndDate takes over columns, date and name, and reports whether they are
// there. The date is found by its looks: the columns before it differ, and what
// follows it may contain anything.
func (e *Entry) setColumnsAndDate(rest string, now time.Time, loc *time.Location) bool {
	var cols [8]string // links owner group size …, the last of which is next to the date
	for n := 0; n < len(cols); n++ {
		rest = strings.TrimLeft(rest, " ")
		if n > 0 {
			if when, precision, name, ok := parseListDate(rest, now, loc); ok && e.setColumns(cols[:n]) {
				e.Time, e.TimePrecision, e.Name = when, precision, name
				return true
			}
		}
		var ok bool
		if cols[n], rest, ok = strings.Cut(rest, " "); !ok {
			return false
		}
	}
	return false
}

// setUnlooked takes over the name behind links, owner, group, size and date, which
// ls wrote as question marks each.
func (e *Entry) setUnlooked(rest string) bool {
	for range 5 {
		var mark string
		var ok bool
		if mark, rest, ok = strings.Cut(strings.TrimLeft(rest, " "), " "); !ok || mark != "?" {
			return false
		}
	}
	e.Name = rest
	return true
}

func badUnixLine(line string) error {
	return &SyntaxError{What: "LIST line", Line: line, Want: "columns as of ls -l, with a date before the name"}
}

// totals are how ls begins in the languages it speaks.
var totals = []string{
	"total ", "insgesamt ", "totale ", "totalt ", "razem ", "celkem ", "összesen ", "yhteensä ", "totaal ", "toplam ",
	"итого ", "всього ", "合計 ", "总用量 ", "總計 ", "합계 ",
}

// isTotal recognises "total 12", with which ls begins.
func isTotal(line string) bool {
	for _, word := range totals {
		if rest, ok := strings.CutPrefix(line, word); ok {
			return rest != "" && strings.Trim(rest, "0123456789.,KMGT ") == ""
		}
	}
	return false
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
	case 'b', 'c', 'p', 's', 'D', 'n', '?':
		typ = Other
	default:
		return 0, 0, false
	}
	if col[1:] == "?????????" {
		return typ, 0, true
	}
	mode, ok = parsePerm(col[1:])
	return typ, mode, ok
}

// setColumns takes over the columns between mode and date: the size last, before
// it links, owner and group as far as they are there. It reports whether the last
// one is a size; if not, the date that followed was none.
func (e *Entry) setColumns(cols []string) bool {
	last := cols[len(cols)-1]
	if e.Type == Other {
		if major, minor, ok := strings.Cut(last, ","); ok { // "8,1" of a device
			if _, ok := decimal(major, 9); !ok {
				return false
			}
			last = minor
		}
	}
	size, err := strconv.ParseUint(last, 10, 63)
	if err != nil {
		return false
	}
	cols = cols[:len(cols)-1]
	if e.Type == Other {
		if len(cols) > 0 && strings.HasSuffix(cols[len(cols)-1], ",") { // "8, 1"
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
		name, e.Target = splitLink(name, e.Size)
	}
	e.Name = name
	e.setDots()
	return name != ""
}

// splitLink splits "name -> target". Either may have an arrow in it: the size of a
// link is the length of its target, and where no cut fits that, the first one is it.
func splitLink(s string, size int64) (name, target string) {
	const arrow = " -> "
	if at := int64(len(s)) - size - int64(len(arrow)); size > 0 && at > 0 && strings.HasPrefix(s[at:], arrow) {
		return s[:at], s[at+int64(len(arrow)):]
	}
	name, target, _ = strings.Cut(s, arrow)
	return name, target
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
