package ftp

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"sallyport.dev/internal/fault"
)

// ReplyError says that the peer refused a command. [fault.KindOf] knows its
// kind, by the table in this file.
type ReplyError struct {
	Command Command
	Reply   Reply
}

// Error returns, for instance, `RETR "x": 550 "no such file"`. The peer's text
// is quoted and clipped, a password in the command masked.
func (e *ReplyError) Error() string {
	return fmt.Sprintf("%v: %d %s", e.Command, e.Reply.Code, strconv.Quote(clip(e.Reply.Text(), 512)))
}

// Unwrap returns a [*fault.Error] of the kind that [ReplyError.Fault] gives, with
// the whole as its public text, and with a hint where the kind alone says what to do.
func (e *ReplyError) Unwrap() error {
	f := &fault.Error{Kind: e.Fault(), Text: e.Error()}
	if f.Kind == fault.Full {
		f.Hint = "the server's disk or quota is full"
	}
	return f
}

// Fault returns the kind of fault that the reply stands for.
func (e *ReplyError) Fault() fault.Kind {
	switch e.Reply.Code {
	case CodeFileUnavailable, CodeBadFileName, CodeFileBusy:
		// One code for every reason, and the reasons call for different acts:
		// the servers' own words tell them apart.
		if kind, ok := kindByText(e.reason()); ok {
			return kind
		}
	case CodeProtOnData: // RFC 1123's appendix and some servers: directory exists
		if e.Command.Verb == "MKD" || e.Command.Verb == "XMKD" {
			return fault.Exists
		}
	}
	if kind, ok := kindByCode[e.Reply.Code]; ok {
		return kind
	}
	return kindByClass(e.Reply.Code)
}

// reason returns the reply's text without the name that the command gave: a file
// may be called "access denied.txt".
func (e *ReplyError) reason() string {
	text := clip(e.Reply.Text(), 8192)
	if name := e.Command.Arg; len(name) > 2 {
		text = strings.ReplaceAll(text, name, "")
		text = strings.ReplaceAll(text, path.Base(name), "")
	}
	return strings.ToLower(clip(text, 1024))
}

var kindByCode = map[Code]fault.Kind{
	CodeNeedAccount:         fault.Unauthenticated,
	CodeUnavailable:         fault.Busy,
	CodeNoDataConnection:    fault.Unreachable,
	CodeTransferAborted:     fault.Unreachable,
	CodeInvalidCredentials:  fault.Unauthenticated,
	CodeSecurityUnavailable: fault.Unsupported,
	CodeFileBusy:            fault.Busy,
	CodeLocalError:          fault.Busy,
	CodeNoSpace:             fault.Full,
	CodeUnknownCommand:      fault.Unsupported,
	CodeBadArgument:         fault.Invalid,
	CodeNotImplemented:      fault.Unsupported,
	CodeBadSequence:         fault.Invalid,
	CodeBadParameter:        fault.Unsupported,
	CodeProtOnData:          fault.Denied,
	CodeBadProtocol:         fault.Unsupported,
	CodeNotLoggedIn:         fault.Unauthenticated,
	CodeNeedAccountToStore:  fault.Denied,
	CodeProtDenied:          fault.Denied,
	CodePolicyDenied:        fault.Denied,
	CodeProtUnsupported:     fault.Unsupported,
	CodeFileUnavailable:     fault.NotFound,
	CodePageType:            fault.Invalid,
	CodeQuotaExceeded:       fault.Full,
	CodeBadFileName:         fault.Invalid,
}

// kindByClass guesses for a code that no RFC names, by its digits (RFC 959 4.2.1).
func kindByClass(c Code) fault.Kind {
	switch {
	case c.Transient():
		return fault.Busy
	case !c.Permanent():
		return fault.Internal // not a refusal: the caller expected something else
	}
	switch c / 10 % 10 {
	case 0:
		return fault.Unsupported
	case 2:
		return fault.Unreachable
	case 3:
		return fault.Denied
	default:
		return fault.NotFound
	}
}

// What servers say after 450, 550 and 553, in lower case. The first match wins:
// "permission denied: no such user" is a refusal.
var kindsByText = []struct {
	words string
	kind  fault.Kind
}{
	{"being used by another process", fault.Busy}, // Windows
	{"in use", fault.Busy},
	{"text file busy", fault.Busy},
	{"denied", fault.Denied},
	{"permission", fault.Denied},
	{"not permitted", fault.Denied},
	{"not allowed", fault.Denied},
	{"read-only", fault.Denied},
	{"already exists", fault.Exists},
	{"file exists", fault.Exists},
	{"directory exists", fault.Exists},
	{"not empty", fault.Exists},
	{"no space", fault.Full},
	{"not enough space", fault.Full},
	{"disk full", fault.Full},
	{"quota", fault.Full},
	{"no such", fault.NotFound},
	{"not found", fault.NotFound},
	{"no files", fault.NotFound},
	{"cannot find", fault.NotFound}, // Windows
	{"does not exist", fault.NotFound},
	{"doesn't exist", fault.NotFound},
	{"not a directory", fault.Invalid},
	{"is a directory", fault.Invalid},
	{"not a regular file", fault.Invalid},
	{"not a plain file", fault.Invalid},
	{"filename, directory name, or volume label syntax", fault.Invalid}, // Windows
}

// kindByText finds the reason in lower-case text.
func kindByText(text string) (fault.Kind, bool) {
	for _, k := range kindsByText {
		if strings.Contains(text, k.words) {
			return k.kind, true
		}
	}
	return 0, false
}
