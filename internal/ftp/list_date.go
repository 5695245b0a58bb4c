package ftp

import (
	"strings"
	"time"
)

// parseListDate parses a date at the start of s, and returns what follows one
// space after it.
func parseListDate(s string, now time.Time, loc *time.Location) (t time.Time, precision time.Duration, name string, ok bool) {
	a, rest, ok := strings.Cut(s, " ")
	if !ok {
		return t, 0, "", false
	}
	if len(a) == 10 && a[4] == '-' && a[7] == '-' {
		return parseISODate(a, rest, loc)
	}
	b, rest, ok := strings.Cut(strings.TrimLeft(rest, " "), " ")
	if !ok {
		return t, 0, "", false
	}
	month, day := monthNumber(a), b
	if month == 0 { // some languages have the day first
		month, day = monthNumber(b), a
	}
	d, okD := decimal(trimDay(day), 2)
	c, name, okC := strings.Cut(strings.TrimLeft(rest, " "), " ")
	if month == 0 || !okD || !okC {
		return t, 0, "", false
	}
	if clock, ok := parseFullClock(c); ok {
		var year int
		if clock.precision == time.Second { // ls -T of BSD: the year follows
			var word string
			if word, name, ok = strings.Cut(name, " "); !ok || len(word) != 4 {
				return t, 0, "", false
			}
			if year, ok = decimal(word, 4); !ok || !validDate(year, month, d) {
				return t, 0, "", false
			}
		} else if year = yearOf(month, d, clock.minutes, now.In(loc)); year < 0 {
			return t, 0, "", false
		}
		return time.Date(year, time.Month(month), d, 0, clock.minutes, clock.seconds, 0, loc), clock.precision, name, true
	}
	c = strings.TrimSuffix(c, "年")
	year, ok := decimal(c, 4)
	if !ok || len(c) != 4 || !validDate(year, month, d) {
		return t, 0, "", false
	}
	return time.Date(year, time.Month(month), d, 0, 0, 0, 0, loc), 24 * time.Hour, name, true
}

// trimDay drops what languages write behind the number of a day.
func trimDay(s string) string {
	for _, suffix := range [...]string{".", "日", "일"} {
		if cut, ok := strings.CutSuffix(s, suffix); ok {
			return cut
		}
	}
	return s
}

// parseISODate parses what follows 2023-05-28: 09:15, 09:15:30, or as of --full-time
// 09:15:30.123456789 +0200.
func parseISODate(date, rest string, loc *time.Location) (t time.Time, precision time.Duration, name string, ok bool) {
	year, ok1 := decimal(date[:4], 4)
	month, ok2 := decimal(date[5:7], 2)
	day, ok3 := decimal(date[8:], 2)
	word, name, ok4 := strings.Cut(rest, " ")
	hms, fraction, full := strings.Cut(word, ".")
	clock, ok5 := parseFullClock(hms)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !validDate(year, month, day) {
		return t, 0, "", false
	}
	nanos := 0
	if full {
		if nanos, ok = decimal(fraction, 9); !ok || len(fraction) != 9 || clock.precision != time.Second {
			return t, 0, "", false
		}
		clock.precision = time.Nanosecond
		if word, name, ok = strings.Cut(name, " "); !ok {
			return t, 0, "", false
		}
		if loc, ok = parseOffset(word); !ok {
			return t, 0, "", false
		}
	}
	return time.Date(year, time.Month(month), day, 0, clock.minutes, clock.seconds, nanos, loc), clock.precision, name, true
}

// parseOffset parses +0200.
func parseOffset(s string) (*time.Location, bool) {
	if len(s) != 5 || s[0] != '+' && s[0] != '-' {
		return nil, false
	}
	h, ok1 := decimal(s[1:3], 2)
	m, ok2 := decimal(s[3:], 2)
	if !ok1 || !ok2 || h > 14 || m > 59 {
		return nil, false
	}
	seconds := h*3600 + m*60
	if s[0] == '-' {
		seconds = -seconds
	}
	return time.FixedZone("", seconds), true
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

// fullClock is a time of day: minutes after midnight, and seconds after that where
// the precision is a second.
type fullClock struct {
	minutes, seconds int
	precision        time.Duration
}

// parseFullClock parses H:MM, HH:MM and HH:MM:SS.
func parseFullClock(s string) (fullClock, bool) {
	c := fullClock{precision: time.Minute}
	hh, mm, ok := strings.Cut(s, ":")
	if !ok {
		return c, false
	}
	if m, ss, ok := strings.Cut(mm, ":"); ok {
		if c.seconds, ok = decimal(ss, 2); !ok || c.seconds > 60 || len(ss) != 2 {
			return c, false
		}
		c.precision = time.Second
		mm = m
	}
	h, ok1 := decimal(hh, 2)
	m, ok2 := decimal(mm, 2)
	c.minutes = h*60 + m
	return c, ok1 && ok2 && len(mm) == 2 && h <= 23 && m <= 59
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// monthNumber returns 1 to 12 for the abbreviated name of a month, English or as ls
// has it in another language, else 0.
func monthNumber(s string) int {
	if m := monthNumberEnglish(s); m > 0 {
		return m
	}
	return foreignMonth(s)
}

// monthNumberEnglish takes any case.
func monthNumberEnglish(s string) int {
	if len(s) == 3 {
		for m := range 12 {
			if strings.EqualFold(s, months[3*m:3*m+3]) {
				return m + 1
			}
		}
	}
	return 0
}
