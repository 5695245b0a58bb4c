package frame

import (
	"encoding/binary"
	"net"
	"strconv"
)

// Open asks the connector for a stream.
type Open struct {
	ID        ID
	Flags     uint16 // none is defined yet: must be zero
	Host      string // virtual name or address, never resolved on the way
	Port      uint16 // 1 to 65535
	Principal string // who asks
}

// Target returns "host:port".
func (o Open) Target() string { return net.JoinHostPort(o.Host, strconv.Itoa(int(o.Port))) }

func (o Open) check() error {
	if o.Flags != 0 {
		return bad("open", "no flags, got %#x", o.Flags)
	}
	if o.Port == 0 {
		return bad("open", "a port from 1 to 65535")
	}
	if err := CheckHost(o.Host); err != nil {
		return err
	}
	return CheckPrincipal(o.Principal)
}

// AppendOpen appends an open message:
//
//	16 B id | u16 flags | u16 port | u8 length | host | u8 length | principal
func AppendOpen(b []byte, o Open) ([]byte, error) {
	if err := o.check(); err != nil {
		return b, err
	}
	b, start := appendHeader(b, TypeOpen)
	b = append(b, o.ID[:]...)
	b = binary.BigEndian.AppendUint16(b, o.Flags)
	b = binary.BigEndian.AppendUint16(b, o.Port)
	b = append(append(b, byte(len(o.Host))), o.Host...)           //nolint:gosec // check bounds it
	b = append(append(b, byte(len(o.Principal))), o.Principal...) //nolint:gosec // as above
	return seal(b, start), nil
}

// ParseOpen parses an open message's body.
func ParseOpen(body []byte) (Open, error) {
	const fixed = 16 + 2 + 2
	if len(body) < fixed {
		return Open{}, bad("open", "at least %d bytes, got %d", fixed, len(body))
	}
	o := Open{
		ID:    ID(body[:16]),
		Flags: binary.BigEndian.Uint16(body[16:]),
		Port:  binary.BigEndian.Uint16(body[18:]),
	}
	host, rest, ok := cutShort(body[fixed:])
	principal, rest, ok2 := cutShort(rest)
	if !ok || !ok2 || len(rest) != 0 {
		return Open{}, bad("open", "a host and a principal and nothing after them")
	}
	o.Host, o.Principal = string(host), string(principal)
	if err := o.check(); err != nil {
		return Open{}, err
	}
	return o, nil
}

// cutShort takes u8 length | bytes off the front of b.
func cutShort(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || len(b)-1 < int(b[0]) {
		return nil, nil, false
	}
	n := 1 + int(b[0]) // not in a byte: 255 + 1 is 0 there
	return b[1:n], b[n:], true
}

// cutLong takes u16 length | bytes off the front of b.
func cutLong(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b)-2 < n {
		return nil, nil, false
	}
	return b[2 : 2+n], b[2+n:], true
}

// Status answers an [Open]. The zero value grants it.
type Status struct {
	Kind string // empty: granted; else the name of a kind of fault
	Text string // public: what was refused and why
	Hint string // public: what to do
}

// OK reports whether the stream was granted.
func (s Status) OK() bool { return s.Kind == "" }

const maxKind = 32

func (s Status) check() error {
	if s.Kind == "" && (s.Text != "" || s.Hint != "") {
		return bad("status", "no text when granted")
	}
	if len(s.Kind) > maxKind {
		return bad("status", "a kind of at most %d bytes", maxKind)
	}
	for i := range len(s.Kind) {
		if c := s.Kind[i]; (c < 'a' || c > 'z') && c != '-' {
			return bad("status", "a kind of lower-case letters, got %q", s.Kind)
		}
	}
	if err := checkText("status text", s.Text, MaxText); err != nil {
		return err
	}
	return checkText("status hint", s.Hint, MaxText)
}

// AppendStatus appends a status message; use [Clean] on texts of foreign origin.
//
//	u8 length | kind | u16 length | text | u16 length | hint
func AppendStatus(b []byte, s Status) ([]byte, error) {
	if err := s.check(); err != nil {
		return b, err
	}
	b, start := appendHeader(b, TypeStatus)
	b = append(append(b, byte(len(s.Kind))), s.Kind...) //nolint:gosec // check bounds it
	for _, t := range []string{s.Text, s.Hint} {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(t))), t...) //nolint:gosec // as above
	}
	return seal(b, start), nil
}

// ParseStatus parses a status message's body.
func ParseStatus(body []byte) (Status, error) {
	kind, rest, ok := cutShort(body)
	text, rest, ok2 := cutLong(rest)
	hint, rest, ok3 := cutLong(rest)
	if !ok || !ok2 || !ok3 || len(rest) != 0 {
		return Status{}, bad("status", "a kind, a text, a hint and nothing after them")
	}
	s := Status{Kind: string(kind), Text: string(text), Hint: string(hint)}
	if err := s.check(); err != nil {
		return Status{}, err
	}
	return s, nil
}
