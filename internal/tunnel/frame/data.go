package frame

import (
	"encoding/binary"
	"fmt"
)

// HeaderLen is the length of a data frame's header, in bytes. A reset has
// [ResetLen] bytes in all.
const (
	HeaderLen = 4
	ResetLen  = HeaderLen + 2

	resetMark = 0xFFFFFFFF
)

// Code says why a direction of a stream was cut.
type Code uint16

// The codes. An unknown code means what CodeAborted means.
const (
	CodeAborted  Code = 1 + iota // the program at that end gave up
	CodePeer                     // the connection behind that end was reset by its peer
	CodeIdle                     // half-open and silent for too long
	CodeUnread                   // closed at that end while bytes were still coming
	CodeShutdown                 // that end is stopping
)

var codeTexts = map[Code]string{
	CodeAborted:  "aborted",
	CodePeer:     "reset by the peer behind it",
	CodeIdle:     "silent for too long",
	CodeUnread:   "closed before everything was read",
	CodeShutdown: "shutting down",
}

// String returns the code in words.
func (c Code) String() string {
	if t, ok := codeTexts[c]; ok {
		return t
	}
	return fmt.Sprintf("code %d", uint16(c))
}

// PutHeader writes the header of a data frame of n bytes, 1 to [MaxData], to b.
func PutHeader(b []byte, n int) {
	if n < 1 || n > MaxData {
		panic(fmt.Sprintf("frame: data frame of %d bytes", n))
	}
	binary.BigEndian.PutUint32(b, uint32(n))
}

// AppendEnd appends an end mark.
func AppendEnd(b []byte) []byte { return append(b, 0, 0, 0, 0) }

// AppendReset appends a reset.
func AppendReset(b []byte, c Code) []byte {
	b = binary.BigEndian.AppendUint32(b, resetMark)
	return binary.BigEndian.AppendUint16(b, uint16(c))
}

// Header is a parsed frame header: exactly one of data (N > 0), end mark
// (N = 0) and reset, after which a u16 code follows.
type Header struct {
	N     int
	Reset bool
}

// End reports whether h is an end mark.
func (h Header) End() bool { return h.N == 0 && !h.Reset }

// ParseHeader parses the first [HeaderLen] bytes of b.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderLen {
		return Header{}, bad("frame", "a header of %d bytes, got %d", HeaderLen, len(b))
	}
	n := binary.BigEndian.Uint32(b)
	switch {
	case n == resetMark:
		return Header{Reset: true}, nil
	case n > MaxData:
		return Header{}, bad("frame", "at most %d bytes, got %d", MaxData, n)
	}
	return Header{N: int(n)}, nil
}

// ParseCode parses the code that follows a reset header.
func ParseCode(b []byte) (Code, error) {
	if len(b) < 2 {
		return 0, bad("reset", "a code of 2 bytes, got %d", len(b))
	}
	return Code(binary.BigEndian.Uint16(b)), nil
}
