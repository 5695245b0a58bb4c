package frame

import (
	"encoding/binary"
	"io"
)

// Type is the type of a message on a data link between streams.
type Type uint8

// The types.
const (
	TypeAttach Type = 1 + iota
	TypeOpen
	TypeStatus
	TypePing
	TypePong
)

var typeNames = map[Type]string{
	TypeAttach: "attach", TypeOpen: "open", TypeStatus: "status", TypePing: "ping", TypePong: "pong",
}

// String returns the type's name in the package comment.
func (t Type) String() string {
	if n, ok := typeNames[t]; ok {
		return n
	}
	return "unknown"
}

const messageHeader = 3

// appendHeader starts a message: the caller appends the body,
// and seal fills in its length.
func appendHeader(b []byte, t Type) (out []byte, start int) {
	return append(b, byte(t), 0, 0), len(b)
}

func seal(b []byte, start int) []byte {
	binary.BigEndian.PutUint16(b[start+1:], uint16(len(b)-start-messageHeader)) //nolint:gosec // every body is checked before it is appended
	return b
}

// AppendPing appends a ping.
func AppendPing(b []byte) []byte { return append(b, byte(TypePing), 0, 0) }

// AppendPong appends a pong.
func AppendPong(b []byte) []byte { return append(b, byte(TypePong), 0, 0) }

// AppendAttach appends the message that ties a data link to a session.
func AppendAttach(b []byte, session ID) []byte {
	b, start := appendHeader(b, TypeAttach)
	return seal(append(append(b, Version), session[:]...), start)
}

// ParseAttach parses an attach message's body.
func ParseAttach(body []byte) (session ID, err error) {
	if len(body) != 1+len(session) {
		return ID{}, bad("attach", "%d bytes, got %d", 1+len(session), len(body))
	}
	if body[0] != Version {
		return ID{}, bad("attach", "protocol %d, got %d", Version, body[0])
	}
	return ID(body[1:]), nil
}

// ReadMessage reads one message. Its body is at most [MaxMessage] bytes and is
// the caller's. io.EOF means that the link ended between messages.
func ReadMessage(r io.Reader) (Type, []byte, error) {
	var h [messageHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	t, n := Type(h[0]), int(binary.BigEndian.Uint16(h[1:]))
	if _, ok := typeNames[t]; !ok {
		return 0, nil, bad("message", "a type from 1 to %d, got %d", len(typeNames), t)
	}
	if n > MaxMessage {
		return 0, nil, bad(t.String(), "at most %d bytes, got %d", MaxMessage, n)
	}
	if (t == TypePing || t == TypePong) && n != 0 {
		return 0, nil, bad(t.String(), "an empty body, got %d bytes", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return t, body, nil
}
