package ftp

import (
	"strings"
	"time"
)

// ParseTime parses the time of MDTM, MFMT and the modify fact (RFC 3659 section
// 2.3): YYYYMMDDHHMMSS, then perhaps a point and a fraction; always UTC. More
// than nine digits of the fraction are ignored. The error is a [*SyntaxError].
func ParseTime(s string) (time.Time, error) {
	t, _, ok := parseTime(s)
	if !ok {
		return time.Time{}, &SyntaxError{What: "time", Line: s, Want: "YYYYMMDDHHMMSS or YYYYMMDDHHMMSS.sss, in UTC"}
	}
	return t, nil
}

// parseTime returns the precision too.
func parseTime(s string) (time.Time, time.Duration, bool) {
	whole, fraction, dotted := strings.Cut(s, ".")
	if len(whole) != 14 || dotted && fraction == "" || len(fraction) > 32 {
		return time.Time{}, 0, false
	}
	var n [6]int // year, month, day, hour, minute, second
	for i, at := range [...]int{0, 4, 6, 8, 10, 12, 14} {
		if i == 6 {
			break
		}
		end := at + 2
		if i == 0 {
			end = 4
		}
		var ok bool
		if n[i], ok = decimal(whole[at:end], 4); !ok {
			return time.Time{}, 0, false
		}
	}
	nanos, precision := 0, time.Second
	for i := range len(fraction) {
		if fraction[i] < '0' || fraction[i] > '9' {
			return time.Time{}, 0, false
		}
		if precision > 1 {
			precision /= 10
			nanos += int(fraction[i]-'0') * int(precision)
		}
	}
	if !validDate(n[0], n[1], n[2]) || n[3] > 23 || n[4] > 59 || n[5] > 60 { // 60: a leap second
		return time.Time{}, 0, false
	}
	t := time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], nanos, time.UTC)
	if t.Year() > 9999 { // a leap second at the end of the last year
		return time.Time{}, 0, false
	}
	return t, precision, true
}

// validDate reports whether the day exists.
func validDate(year, month, day int) bool {
	return month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month)
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// FormatTime returns t as RFC 3659 section 2.3 has it, in UTC: with three digits
// of a fraction if there are milliseconds, without if not. A caller whose peers
// may stumble over a fraction truncates t to seconds first.
func FormatTime(t time.Time) string {
	return string(appendTime(make([]byte, 0, len("20060102150405.000")), t, true))
}

// appendTime appends t. Years that four digits cannot say become the nearest
// that they can.
func appendTime(b []byte, t time.Time, fraction bool) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = append4(b, min(max(year, 0), 9999))
	b = append2(append2(b, int(month)), day)
	b = append2(append2(append2(b, hour), minute), second)
	if ms := t.Nanosecond() / 1e6; fraction && ms > 0 {
		b = append2(append(b, '.', byte('0'+ms/100)), ms%100) //nolint:gosec // one digit
	}
	return b
}
