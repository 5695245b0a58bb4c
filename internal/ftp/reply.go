package ftp

import (
	"strings"
)

// Code is the number of a reply (RFC 959 section 4.2). Its first digit says how
// far the command got; the methods name that.
type Code int

// The replies that the parts of this program say or expect. RFC 959 section
// 4.2.2 unless another is named.
const (
	CodeRestartMarker       Code = 110
	CodeReadyIn             Code = 120
	CodeTransferStarting    Code = 125
	CodeDataOpen            Code = 150 // about to open the data connection
	CodeOK                  Code = 200
	CodeSuperfluous         Code = 202
	CodeSystemStatus        Code = 211
	CodeDirStatus           Code = 212
	CodeFileStatus          Code = 213 // SIZE, MDTM
	CodeHelp                Code = 214
	CodeSystemType          Code = 215
	CodeReady               Code = 220
	CodeClosing             Code = 221
	CodeNoTransfer          Code = 225 // data connection open, or ABOR with nothing to abort
	CodeTransferComplete    Code = 226
	CodePassive             Code = 227
	CodeExtendedPassive     Code = 229 // RFC 2428
	CodeLoggedIn            Code = 230
	CodeSecurityOK          Code = 234 // RFC 2228: AUTH accepted
	CodeFileOK              Code = 250
	CodePath                Code = 257
	CodeNeedPassword        Code = 331
	CodeNeedAccount         Code = 332
	CodePending             Code = 350 // RNFR, REST
	CodeUnavailable         Code = 421
	CodeNoDataConnection    Code = 425
	CodeTransferAborted     Code = 426
	CodeInvalidCredentials  Code = 430
	CodeSecurityUnavailable Code = 431 // RFC 2228
	CodeFileBusy            Code = 450
	CodeLocalError          Code = 451
	CodeNoSpace             Code = 452
	CodeUnknownCommand      Code = 500
	CodeBadArgument         Code = 501
	CodeNotImplemented      Code = 502
	CodeBadSequence         Code = 503
	CodeBadParameter        Code = 504
	CodeProtOnData          Code = 521 // RFC 4217: not with this PROT
	CodeBadProtocol         Code = 522 // RFC 2428: network protocol not supported
	CodeNotLoggedIn         Code = 530
	CodeNeedAccountToStore  Code = 532
	CodeProtDenied          Code = 533 // RFC 2228: protection level denied by policy
	CodePolicyDenied        Code = 534 // RFC 2228: AUTH denied by policy
	CodeProtUnsupported     Code = 536 // RFC 2228: PROT level not supported
	CodeFileUnavailable     Code = 550
	CodePageType            Code = 551 // also RFC 3659: REST beyond the end
	CodeQuotaExceeded       Code = 552
	CodeBadFileName         Code = 553
)

// Preliminary reports 1yz: another reply to the same command will come.
func (c Code) Preliminary() bool { return c/100 == 1 }

// Positive reports 2yz: done.
func (c Code) Positive() bool { return c/100 == 2 }

// Intermediate reports 3yz: the next command decides.
func (c Code) Intermediate() bool { return c/100 == 3 }

// Transient reports 4yz: not done, the same may work later.
func (c Code) Transient() bool { return c/100 == 4 }

// Permanent reports 5yz: not done, and not the same way again.
func (c Code) Permanent() bool { return c/100 == 5 }

// valid reports whether c can stand at the start of a reply.
func (c Code) valid() bool { return c >= 100 && c <= 599 }

// Reply is one answer of a server (RFC 959 section 4.2), of one line or many.
type Reply struct {
	Code  Code
	Lines []string // without codes and line ends; at least one
}

// NewReply returns a reply of the given lines; none gives one empty line.
func NewReply(code Code, lines ...string) Reply {
	if len(lines) == 0 {
		lines = []string{""}
	}
	return Reply{Code: code, Lines: lines}
}

// Append appends the reply to b in the form of RFC 959 section 4.2: the code
// and "-" before the first of many lines, the code and a space before the last,
// one space before those between, so that none of them can look like the last
// (RFC 3659 section 7.2 wants the same of MLST). A CR, LF or NUL in a line
// becomes "?", an IAC is doubled.
func (r Reply) Append(b []byte) []byte {
	last := len(r.Lines) - 1
	if last < 0 {
		return append(appendCode(b, r.Code), ' ', '\r', '\n')
	}
	for i, line := range r.Lines {
		switch {
		case i == last:
			b = append(appendCode(b, r.Code), ' ')
		case i == 0:
			b = append(appendCode(b, r.Code), '-')
		default:
			b = append(b, ' ')
		}
		b = appendLine(b, line)
		b = append(b, '\r', '\n')
	}
	return b
}

// Text returns the lines joined by line feeds.
func (r Reply) Text() string { return strings.Join(r.Lines, "\n") }

// ReplyLine is one line of a reply, taken apart.
type ReplyLine struct {
	Code Code
	More bool   // "-" after the code: other lines follow
	Text string // after the separator
}

// ParseReplyLine parses the first line of a reply, without its CRLF. The text is
// as it came, doubled IACs made single. The error is a [*SyntaxError].
func ParseReplyLine(line []byte) (ReplyLine, error) {
	code, ok := leadingCode(line)
	if !ok || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return ReplyLine{}, &SyntaxError{What: "reply", Line: clip(string(line), 128), Want: "three digits from 100 to 599, then a space or a hyphen"}
	}
	if len(line) == 3 {
		return ReplyLine{Code: code}, nil
	}
	return ReplyLine{Code: code, More: line[3] == '-', Text: unescapeIAC(line[4:])}, nil
}

// EndsReply reports whether line (without its CRLF) is the last of a reply that
// began with "code-": the same three digits and a space, nothing less.
func EndsReply(line []byte, code Code) bool {
	c, ok := leadingCode(line)
	return ok && c == code && len(line) > 3 && line[3] == ' '
}

// continuation returns what a line between first and last says: some servers
// repeat "code-" before it, most put one space.
func continuation(line []byte, code Code) string {
	if c, ok := leadingCode(line); ok && c == code && len(line) > 3 && line[3] == '-' {
		line = line[4:]
	}
	if len(line) > 0 && line[0] == ' ' {
		line = line[1:]
	}
	return unescapeIAC(line)
}

func leadingCode(line []byte) (Code, bool) {
	if len(line) < 3 {
		return 0, false
	}
	code := Code(0)
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, false
		}
		code = code*10 + Code(c-'0')
	}
	return code, code.valid()
}

func appendCode(b []byte, c Code) []byte {
	if !c.valid() {
		c = CodeLocalError // a defect of the caller; a wrong digit would derail the peer's parser
	}
	return append(b, byte('0'+c/100), byte('0'+c/10%10), byte('0'+c%10))
}

// appendLine appends s so that it stays one line.
func appendLine(b []byte, s string) []byte {
	start := 0
	for i := range len(s) {
		switch s[i] {
		case '\r', '\n', 0:
			b = append(append(b, s[start:i]...), '?')
			start = i + 1
		case iac:
			b = append(append(b, s[start:i]...), iac, iac)
			start = i + 1
		}
	}
	return append(b, s[start:]...)
}
