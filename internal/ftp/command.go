package ftp

import (
	"bytes"
	"log/slog"
	"strconv"
	"strings"
)

// maxVerb is the longest verb that is taken for one. RFC 959 knows four
// letters; extensions such as XSHA512 have more, and digits.
const maxVerb = 16

// Telnet bytes that turn up on control connections (RFC 854).
const (
	iac  = 0xFF
	will = 0xFB
	dont = 0xFE
	// lowest Telnet command, SE; text in UTF-8 never starts with such a byte
	telnetFirst = 0xF0
)

// Command is one line of a client (RFC 959 section 5.3).
type Command struct {
	Verb string // upper case; 1 to 16 letters and digits, a letter first
	Arg  string // raw bytes after the one separating space; no CR, LF or NUL
}

// ParseCommand parses a line without its CRLF. Telnet sequences before the verb
// (the interrupt and synch that go with ABOR) are dropped, a doubled IAC in the
// argument is one byte. The error is a [*SyntaxError] that never quotes the
// argument, which may be a password.
func ParseCommand(line []byte) (Command, error) {
	line = StripTelnet(line)
	verb, arg, _ := bytes.Cut(line, []byte{' '})
	if !validVerb(verb) {
		return Command{}, &SyntaxError{
			What: "command", Line: clip(string(verb), maxVerb),
			Want: "a verb of 1 to 16 letters and digits, then a space or the end of the line",
		}
	}
	v := upper(verb)
	if bytes.ContainsAny(arg, "\r\n\x00") {
		return Command{}, &SyntaxError{What: "argument of command", Line: v, Want: "no CR, LF or NUL in it"}
	}
	return Command{Verb: v, Arg: unescapeIAC(arg)}, nil
}

// Append appends the command and its CRLF to b, doubling IAC bytes. A verb that
// is none, or a CR, LF or NUL in the argument, is a [*SyntaxError] and leaves b
// as it was: it would make one command into two.
func (c Command) Append(b []byte) ([]byte, error) {
	if !validVerb([]byte(c.Verb)) {
		return b, &SyntaxError{What: "command", Line: clip(c.Verb, maxVerb), Want: "a verb of 1 to 16 letters and digits"}
	}
	if strings.ContainsAny(c.Arg, "\r\n\x00") {
		return b, &SyntaxError{What: "argument of command", Line: c.Verb, Want: "no CR, LF or NUL in it"}
	}
	b = append(b, c.Verb...)
	if c.Arg != "" {
		b = append(b, ' ')
		b = appendEscaped(b, c.Arg)
	}
	return append(b, '\r', '\n'), nil
}

// String returns the command as logs and messages show it: the argument quoted
// and clipped, and not at all where it is a secret (PASS, ACCT, SITE PSWD …).
func (c Command) String() string {
	verb := c.Verb
	if !validVerb([]byte(verb)) {
		verb = strconv.Quote(clip(verb, maxVerb))
	}
	switch {
	case c.Secret():
		return verb + " ***"
	case c.Arg == "":
		return verb
	default:
		return verb + " " + strconv.Quote(clip(c.Arg, 256))
	}
}

// LogValue masks as [Command.String] does, so that a command can be logged as it is.
func (c Command) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Secret reports whether the argument must not be shown.
func (c Command) Secret() bool {
	switch strings.ToUpper(strings.TrimSpace(c.Verb)) {
	case "PASS", "XPASS", "ACCT", "ADAT", "MIC", "CONF", "ENC":
		return true
	case "SITE":
		word, _, _ := strings.Cut(strings.TrimLeft(c.Arg, " "), " ")
		switch strings.ToUpper(word) {
		case "PSWD", "CPWD", "CHPW", "CHPASS", "PASS", "PASSWD", "GPASS":
			return true
		}
	}
	return false
}

// validVerb reports whether v has the shape of a verb, in either case.
func validVerb[T string | []byte](v T) bool {
	if len(v) == 0 || len(v) > maxVerb {
		return false
	}
	for i := range len(v) {
		switch c := v[i] | 0x20; {
		case c >= 'a' && c <= 'z':
		case i > 0 && v[i] >= '0' && v[i] <= '9':
		default:
			return false
		}
	}
	return true
}

// upper returns verb in upper case, without allocating for the usual verbs.
func upper(verb []byte) string {
	var up [maxVerb]byte
	for i, c := range verb {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		up[i] = c
	}
	return intern(up[:len(verb)])
}

// intern returns the constant string for a usual verb.
func intern(verb []byte) string {
	switch string(verb) {
	case "USER":
		return "USER"
	case "PASS":
		return "PASS"
	case "TYPE":
		return "TYPE"
	case "EPSV":
		return "EPSV"
	case "PASV":
		return "PASV"
	case "RETR":
		return "RETR"
	case "STOR":
		return "STOR"
	case "SIZE":
		return "SIZE"
	case "MDTM":
		return "MDTM"
	case "MLSD":
		return "MLSD"
	case "LIST":
		return "LIST"
	case "NOOP":
		return "NOOP"
	case "QUIT":
		return "QUIT"
	}
	return string(verb)
}

// StripTelnet returns line without the Telnet commands at its start. Where the
// synch's data mark arrived as urgent data, the IAC before it is left alone in
// the stream, and so is dropped alone.
func StripTelnet(line []byte) []byte {
	for len(line) > 0 && line[0] >= telnetFirst {
		n := 1
		if line[0] == iac && len(line) > 1 && line[1] >= will && line[1] <= dont {
			n = min(3, len(line)) // WILL, WONT, DO, DONT and their option
		}
		line = line[n:]
	}
	return line
}

// unescapeIAC makes doubled IAC bytes single. One that stands alone is data of
// a client that does not know about Telnet, and is kept.
func unescapeIAC(arg []byte) string {
	if bytes.IndexByte(arg, iac) < 0 {
		return string(arg)
	}
	return string(bytes.ReplaceAll(arg, []byte{iac, iac}, []byte{iac}))
}

func appendEscaped(b []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, iac)
		if i < 0 {
			return append(b, s...)
		}
		b = append(b, s[:i+1]...)
		b = append(b, iac)
		s = s[i+1:]
	}
}
