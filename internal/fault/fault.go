// Package fault names what can go wrong, in a closed list of kinds.
//
// An [Error] carries a [Kind], a text that may be shown to anybody, a hint for
// the person who has to do something about it, and the cause, which is for the
// log alone. Each edge (FTP replies, SOCKS5 codes, HTTP statuses, exit codes)
// owns one table from Kind to its dialect; nothing else inspects error texts.
//
// Build one with [New] or [Wrap], ask with [KindOf], [HintOf] and [Public].
package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// Kind says what sort of thing went wrong. The list is closed: a new kind is a
// change to every edge's table.
type Kind uint8

// The kinds, in the order of the tables that translate them.
const (
	Internal        Kind = iota // a defect of ours, or a cause nobody classified
	Invalid                     // the request itself is malformed
	Unauthenticated             // who asks is not known
	Denied                      // who asks is known and may not
	NotFound                    // the thing asked for is not there
	Exists                      // the thing is already there
	Busy                        // in use now; later it may work
	Unreachable                 // the peer cannot be reached, or went away
	TimedOut                    // the peer did not answer in time
	Full                        // out of space or quota
	Unsupported                 // a valid request that this program does not serve
	Canceled                    // the caller asked to stop
)

var kinds = [...]struct {
	name      string
	temporary bool
}{
	Internal:        {"internal", false},
	Invalid:         {"invalid", false},
	Unauthenticated: {"unauthenticated", false},
	Denied:          {"denied", false},
	NotFound:        {"not-found", false},
	Exists:          {"exists", false},
	Busy:            {"busy", true},
	Unreachable:     {"unreachable", true},
	TimedOut:        {"timed-out", true},
	Full:            {"full", false},
	Unsupported:     {"unsupported", false},
	Canceled:        {"canceled", false},
}

// String returns the kind's name as documents, logs and wires spell it.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k].name
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Temporary reports whether trying the same thing again later can help.
func (k Kind) Temporary() bool { return int(k) < len(kinds) && kinds[k].temporary }

// ParseKind returns the kind that [Kind.String] spells as name.
// An unknown name gives Internal and false.
func ParseKind(name string) (Kind, bool) {
	for k := range kinds {
		if kinds[k].name == name {
			return Kind(k), true
		}
	}
	return Internal, false
}

// Error is an error of a known kind.
type Error struct {
	Kind Kind
	Text string // public: what was being done to what; no secret, wire bytes quoted
	Hint string // public: what the person can do next; empty if there is nothing to say
	Err  error  // the cause, for the operator's log; may be nil
}

// Error returns the text followed by the cause.
func (e *Error) Error() string {
	switch {
	case e.Err == nil:
		return e.Text
	case e.Text == "":
		return e.Err.Error()
	default:
		return e.Text + ": " + e.Err.Error()
	}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error of kind k with a formatted public text.
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Text: fmt.Sprintf(format, args...)}
}

// Wrap returns an error of kind k around err. The formatted text says what was
// being done; err stays reachable to [errors.Is] and [errors.As].
func Wrap(k Kind, err error, format string, args ...any) *Error {
	return &Error{Kind: k, Text: fmt.Sprintf(format, args...), Err: err}
}

// As wraps err keeping the kind that [KindOf] finds in it.
func As(err error, format string, args ...any) *Error {
	return Wrap(KindOf(err), err, format, args...)
}

// WithHint sets the hint and returns e.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// KindOf returns the kind of err: that of the outermost [Error] in its chain
// whose kind is known, else what the standard library's errors mean, else Internal.
func KindOf(err error) Kind {
	for e := err; e != nil; {
		var f *Error
		if !errors.As(e, &f) {
			break
		}
		if f.Kind != Internal {
			return f.Kind
		}
		e = f.Err
	}
	for _, s := range standard {
		if errors.Is(err, s.err) {
			return s.kind
		}
	}
	if ne := net.Error(nil); errors.As(err, &ne) {
		if ne.Timeout() {
			return TimedOut
		}
		return Unreachable
	}
	return Internal
}

var standard = []struct {
	err  error
	kind Kind
}{
	{context.Canceled, Canceled},
	{context.DeadlineExceeded, TimedOut},
	{os.ErrDeadlineExceeded, TimedOut},
	{fs.ErrNotExist, NotFound},
	{fs.ErrExist, Exists},
	{fs.ErrPermission, Denied},
	{syscall.ENOSPC, Full},
	{syscall.ECONNREFUSED, Unreachable},
	{syscall.ECONNRESET, Unreachable},
	{syscall.EPIPE, Unreachable},
	{syscall.ETIMEDOUT, TimedOut},
	{net.ErrClosed, Unreachable},
	{io.EOF, Unreachable}, // the peer went away where something was to come
	{io.ErrUnexpectedEOF, Unreachable},
}

// HintOf returns the outermost hint in err's chain, or "".
func HintOf(err error) string {
	for err != nil {
		var f *Error
		if !errors.As(err, &f) {
			return ""
		}
		if f.Hint != "" {
			return f.Hint
		}
		err = f.Err
	}
	return ""
}

// Public returns what a stranger may read of err: the outermost public text and
// hint, never a cause.
func Public(err error) string {
	var f *Error
	if !errors.As(err, &f) || f.Text == "" {
		return KindOf(err).String()
	}
	if f.Hint != "" {
		return f.Text + " (" + f.Hint + ")"
	}
	return f.Text
}
