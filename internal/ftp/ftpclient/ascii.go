package ftpclient

import (
	"bufio"
	"context"
	"io"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// Type is how a file's bytes go over the data connection (RFC 959 section 3.1.1).
type Type uint8

// The types.
const (
	Binary Type = iota // as they are
	Text               // TYPE A: lines end with CRLF on the wire, whatever they end with at either side
)

// SetType sets the type of transfers from now on; connections begin as Binary. A
// server may change line ends in transfers of type Text, so that their sizes say
// nothing; they cannot be resumed. [Conn.Retr] gives the bytes as they come over the
// wire and [Conn.Stor] sends those it is given: see [NewTextReader] and
// [NewTextWriter].
func (c *Conn) SetType(ctx context.Context, t Type) error {
	if (t == Text) == c.text {
		return nil
	}
	arg := "I"
	if t == Text {
		arg = "A"
	}
	if _, err := c.simple(ctx, "set type "+arg, ftp.Command{Verb: "TYPE", Arg: arg}, ftp.CodeOK); err != nil {
		return err
	}
	c.text = t == Text
	return nil
}

// keepAlive says something on an idle connection.
func (c *Conn) keepAlive(ctx context.Context, k KeepAlive) error {
	switch k {
	case KeepAliveNone:
		return nil
	case KeepAliveNoop:
		return c.Noop(ctx)
	case KeepAliveStat:
		_, err := c.simple(ctx, "ask for a sign of life", ftp.Command{Verb: "STAT"}, ftp.CodeSystemStatus, ftp.CodeDirStatus, ftp.CodeFileStatus)
		return err
	default:
		return fault.New(fault.Internal, "keep-alive %d is not known", k)
	}
}

// NewTextReader returns a reader of r in which CRLF has become LF. Other CRs stay.
func NewTextReader(r io.Reader) io.Reader { return &textReader{r: bufio.NewReaderSize(r, copyBuffer)} }

type textReader struct{ r *bufio.Reader }

// Read reads with changed line ends.
func (t *textReader) Read(p []byte) (n int, err error) {
	for n < len(p) && (n == 0 || t.r.Buffered() > 0) {
		b, err := t.r.ReadByte()
		if err != nil {
			return n, err
		}
		if b == '\r' {
			if n > 0 && t.r.Buffered() == 0 {
				return n, t.r.UnreadByte() // what follows would have to be waited for
			}
			if next, err := t.r.Peek(1); err == nil && next[0] == '\n' {
				b = '\n'
				_, _ = t.r.Discard(1) // it was peeked at
			}
		}
		p[n] = b
		n++
	}
	return n, nil
}

// NewTextWriter returns a writer to w that makes CRLF of each LF that has no CR
// before it.
func NewTextWriter(w io.Writer) io.Writer { return &textWriter{w: w} }

type textWriter struct {
	w    io.Writer
	last byte
	buf  []byte
}

// Write writes with changed line ends. The count is of p's bytes; after an error it
// is zero, as how many of them went over cannot be said.
func (t *textWriter) Write(p []byte) (int, error) {
	t.buf = t.buf[:0]
	last := t.last
	for _, b := range p {
		if b == '\n' && last != '\r' {
			t.buf = append(t.buf, '\r')
		}
		t.buf = append(t.buf, b)
		last = b
	}
	if _, err := t.w.Write(t.buf); err != nil {
		return 0, err
	}
	t.last = last
	return len(p), nil
}
