package ftp

import (
	"strconv"

	"sallyport.dev/internal/fault"
)

// SyntaxError says that the peer broke the rules.
type SyntaxError struct {
	What string // what was being read: "command", "227 reply", "MLSD line" …
	Line string // what came instead, raw; quoted and clipped when shown
	Want string // what would have been right
}

// Error returns, for instance, `malformed PORT argument "1,2": want six numbers …`.
func (e *SyntaxError) Error() string {
	return "malformed " + e.What + " " + strconv.Quote(clip(e.Line, 128)) + ": want " + e.Want
}

// Unwrap makes the error one of kind [fault.Invalid].
func (e *SyntaxError) Unwrap() error {
	return fault.New(fault.Invalid, "malformed %s %q", e.What, clip(e.Line, 128)).WithHint("want %s", e.Want)
}

// clip shortens s to n bytes, marking the cut.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
