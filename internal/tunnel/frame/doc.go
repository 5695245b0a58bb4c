// Package frame is the grammar of the tunnel: what a connector and a gateway say
// to each other inside TLS 1.3. It turns bytes into values and back, checks every
// bound, and has no goroutine, no clock and no log.
//
// # Data links
//
// A data link (ALPN [DataProtocol]) carries one stream at a time. Between streams
// it speaks messages, all integers big-endian:
//
//	u8 type | u16 length | body
//
//	attach  connector → gateway  u8 protocol | 16 B session       once, first
//	open    gateway → connector  [Open]                           starts a stream
//	status  connector → gateway  [Status]                         answers an open
//	ping    gateway → connector  empty                            on an idle link
//	pong    connector → gateway  empty
//
// After an open that was granted each direction carries frames until it ends:
//
//	u32 length | bytes      length from 1 to [MaxData]
//	00000000                end mark: this direction ended cleanly
//	FFFFFFFF | u16 code     reset: this direction was cut, see [Code]
//
// After both end marks the link speaks messages again. A refused open leaves it
// between streams. Nothing else is ever an end: not a TCP FIN, not a TLS
// close_notify.
//
// # Control links
//
// A control link (ALPN [ControlProtocol]) carries length-prefixed messages, one
// JSON object each, whose fields are known to both sides:
//
//	u32 length | u8 type | JSON
//
// [AppendControl] and [ReadControl] list the types; the connector opens with
// [Hello], the gateway answers [Welcome] or [Refusal].
package frame

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The application protocols (RFC 7301) of the two kinds of link.
const (
	ControlProtocol = "sallyport/1"
	DataProtocol    = "sallyport-data/1"
)

// Version is the protocol version that this program speaks.
const Version = 1

// Bounds of what may come over a wire.
const (
	MaxHost      = 253       // bytes of a host name or address
	MaxPrincipal = 255       // bytes of a principal
	MaxText      = 1000      // bytes of a public text or hint
	MaxData      = 1 << 20   // bytes of one data frame
	MaxMessage   = 4 << 10   // bytes of a message's body between streams
	MaxControl   = 256 << 10 // bytes of one control message
	MaxMappings  = 1024      // mappings of one connector
)

// ID names a stream or a session.
type ID [16]byte

// String returns the ID in hexadecimal.
func (id ID) String() string { return fmt.Sprintf("%x", id[:]) }

// SyntaxError says where a peer broke the grammar and what it should have said.
type SyntaxError struct {
	What string // the element
	Want string // what would have been right
}

// Error returns "malformed WHAT: want WANT".
func (e *SyntaxError) Error() string { return "malformed " + e.What + ": want " + e.Want }

func bad(what, want string, args ...any) error {
	return &SyntaxError{What: what, Want: fmt.Sprintf(want, args...)}
}

// CheckHost reports whether h may stand as a host in a target: 1 to [MaxHost]
// printable ASCII bytes without a space. It does not ask whether it exists.
func CheckHost(h string) error {
	if h == "" || len(h) > MaxHost {
		return bad("host", "1 to %d bytes, got %d", MaxHost, len(h))
	}
	for i := range len(h) {
		if h[i] <= ' ' || h[i] > '~' {
			return bad("host", "printable ASCII without spaces, got %q", h)
		}
	}
	return nil
}

// CheckPrincipal reports whether p may stand as a principal: 1 to [MaxPrincipal]
// bytes of UTF-8 without control characters.
func CheckPrincipal(p string) error {
	if p == "" || len(p) > MaxPrincipal {
		return bad("principal", "1 to %d bytes, got %d", MaxPrincipal, len(p))
	}
	return checkText("principal", p, MaxPrincipal)
}

func checkText(what, s string, limit int) error {
	if len(s) > limit {
		return bad(what, "at most %d bytes, got %d", limit, len(s))
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, isControl) {
		return bad(what, "UTF-8 without control characters")
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || (r >= 0x7f && r < 0xa0) || r == 0x2028 || r == 0x2029 }

// Clean makes s fit to be sent as a text of at most limit bytes: control
// characters become spaces, broken UTF-8 becomes U+FFFD, and what is too long is
// cut between characters.
func Clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if isControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
