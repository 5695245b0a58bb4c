package ftp

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// ErrSkip says that a line of a listing is no entry and no fault either: empty,
// or the "total 12" that ls begins with.
var ErrSkip = errors.New("line of a listing that names nothing")

// EntryType is what an [Entry] is, in the words of RFC 3659 section 7.5.1.
type EntryType uint8

// The types of entries.
const (
	File       EntryType = iota
	Dir                  // a directory below the listed one
	CurrentDir           // the listed directory itself: cdir, or "."
	ParentDir            // the one above it: pdir, or ".."
	Link                 // a symbolic link, a junction
	Other                // device, socket, pipe, unknown
)

var entryTypes = [...]string{"file", "dir", "cdir", "pdir", "link", "other"}

// String returns the type's name.
func (t EntryType) String() string {
	if int(t) < len(entryTypes) {
		return entryTypes[t]
	}
	return "type(" + strconv.Itoa(int(t)) + ")"
}

// Entry is one name of a listing. What the listing did not tell is zero, or -1
// where zero means something.
type Entry struct {
	// Name is as the server gave it, in its bytes: it may hold "/" and be "..".
	// See [CheckName] before it becomes part of a local path.
	Name string
	Type EntryType
	Size int64 // bytes; -1 unknown
	Time time.Time
	// TimePrecision is how exact Time is: 1s and finer from MLSx, 1m or 24h from
	// LIST; 0 when there is no time.
	TimePrecision time.Duration
	Mode          fs.FileMode // permission bits, setuid, setgid, sticky; 0 unknown
	Perm          string      // RFC 3659 7.5.5: what the user may do, "adfrw…"
	Unique        string      // RFC 3659 7.5.2: same value, same object
	Owner, Group  string      // names or numbers
	Target        string      // where a Link points
	Links         int         // hard links; 0 unknown
}

// CheckName reports, as a [*SyntaxError], a name from a listing that is not the
// plain name of something within the listed directory: empty, "." or "..", or
// with a slash, a backslash, NUL, CR or LF in it.
func CheckName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00\r\n") {
		return &SyntaxError{What: "name in a listing", Line: name, Want: "a plain file name without slashes"}
	}
	return nil
}

// unixPerm are ls's letters for the nine permission bits.
const unixPerm = "rwxrwxrwx"

// special are the bits that ls shows in place of the third x of each triple.
var special = [3]struct {
	bit          fs.FileMode
	lower, upper byte
}{
	{fs.ModeSetuid, 's', 'S'},
	{fs.ModeSetgid, 's', 'S'},
	{fs.ModeSticky, 't', 'T'},
}

// appendPerm appends the nine letters of ls for mode.
func appendPerm(b []byte, mode fs.FileMode) []byte {
	for i := range 9 {
		set := mode&(1<<(8-i)) != 0
		c := byte('-')
		if set {
			c = unixPerm[i]
		}
		if s := special[i/3]; i%3 == 2 && mode&s.bit != 0 {
			if c = s.upper; set {
				c = s.lower
			}
		}
		b = append(b, c)
	}
	return b
}

// parsePerm parses nine letters of ls.
func parsePerm(s string) (mode fs.FileMode, ok bool) {
	if len(s) != 9 {
		return 0, false
	}
	for i := range 9 {
		sp := special[i/3]
		switch c := s[i]; {
		case c == '-':
		case c == unixPerm[i]:
			mode |= 1 << (8 - i)
		case i%3 == 2 && c == sp.lower:
			mode |= sp.bit | 1<<(8-i)
		case i%3 == 2 && c == sp.upper:
			mode |= sp.bit
		case i%3 == 2 && (c == 'l' || c == 'L'): // mandatory locking, System V
		default:
			return 0, false
		}
	}
	return mode, true
}

// unixMode returns mode as chmod's number.
func unixMode(mode fs.FileMode) uint32 {
	n := uint32(mode.Perm())
	for i, s := range special {
		if mode&s.bit != 0 {
			n |= 1 << (11 - i)
		}
	}
	return n
}

// fileMode is the inverse of unixMode.
func fileMode(n uint32) fs.FileMode {
	mode := fs.FileMode(n & 0o777)
	for i, s := range special {
		if n&(1<<(11-i)) != 0 {
			mode |= s.bit
		}
	}
	return mode
}

// Decimal numbers with leading zeros, and padded on the left: what dates and
// columns need, without fmt's cost for each of 100,000 lines.

func append2(b []byte, n int) []byte { return append(b, byte('0'+n/10%10), byte('0'+n%10)) }

func append4(b []byte, n int) []byte { return append2(append2(b, n/100), n%100) }

// appendPadded appends n right-aligned in width columns.
func appendPadded(b []byte, n int64, width int) []byte {
	var tmp [20]byte
	digits := strconv.AppendInt(tmp[:0], n, 10)
	for range width - len(digits) {
		b = append(b, ' ')
	}
	return append(b, digits...)
}
