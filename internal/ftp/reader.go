package ftp

import (
	"bytes"
	"errors"
	"io"
)

// Bounds of what a [Reader] takes from a peer.
const (
	DefaultMaxLine  = 4096     // bytes of a line without its end
	MaxReplyLines   = 512      // lines of one reply
	MaxReplyBytes   = 64 << 10 // bytes of one reply
	firstBufferSize = 512      // what a quiet session costs
	maxEmptyReads   = 100      // reads of nothing before io.ErrNoProgress
)

// ErrLineTooLong says that a line was longer than the reader's bound. The whole
// line has been dropped, so the next read starts at the next one.
var ErrLineTooLong error = &SyntaxError{What: "line", Line: "…", Want: "a shorter one"}

// Reader reads lines, commands and replies within bounds. It reads ahead; see
// [Reader.Buffered]. It keeps its place over an error of the reader below, so a
// read that hit a deadline can be tried again.
type Reader struct {
	r        io.Reader
	max      int
	buf      []byte // grows to max+2
	pos, end int    // unread part of buf
	scanned  int    // bytes from pos known to hold no LF
	dropping bool   // inside a line that is too long
}

// NewReader returns a reader of lines up to maxLine bytes, their ends not
// counted; 0 means [DefaultMaxLine].
func NewReader(r io.Reader, maxLine int) *Reader {
	if maxLine <= 0 {
		maxLine = DefaultMaxLine
	}
	return &Reader{r: r, max: maxLine}
}

// Reset drops what was read ahead and goes on with r.
func (r *Reader) Reset(in io.Reader) {
	r.r, r.pos, r.end, r.scanned, r.dropping = in, 0, 0, 0, false
}

// Buffered returns how many bytes were read ahead. After a command that starts
// TLS there must be none: they came unprotected and were meant to be taken for
// protected ones.
func (r *Reader) Buffered() int { return r.end - r.pos }

// ReadLine returns the next line without its CRLF or LF. The slice is good until
// the next read. A line that is too long is [ErrLineTooLong]; io.EOF comes only
// between lines, io.ErrUnexpectedEOF within one.
func (r *Reader) ReadLine() ([]byte, error) {
	for {
		if i := bytes.IndexByte(r.buf[r.pos+r.scanned:r.end], '\n'); i >= 0 {
			line := r.buf[r.pos : r.pos+r.scanned+i]
			r.pos += r.scanned + i + 1
			r.scanned = 0
			if n := len(line); n > 0 && line[n-1] == '\r' {
				line = line[:n-1]
			}
			if r.dropping || len(line) > r.max {
				r.dropping = false
				return nil, ErrLineTooLong
			}
			return line, nil
		}
		r.scanned = r.end - r.pos
		if r.scanned > r.max+1 { // no room left for an end
			r.dropping = true
			r.pos, r.end, r.scanned = 0, 0, 0
		}
		if err := r.fill(); err != nil {
			if errors.Is(err, io.EOF) && (r.end > r.pos || r.dropping) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// fill reads once more from below, making room first.
func (r *Reader) fill() error {
	if r.pos > 0 {
		copy(r.buf, r.buf[r.pos:r.end])
		r.end -= r.pos
		r.pos = 0
	}
	if r.end == len(r.buf) {
		bigger := make([]byte, min(max(2*len(r.buf), firstBufferSize), r.max+2))
		copy(bigger, r.buf[:r.end])
		r.buf = bigger
	}
	for range maxEmptyReads {
		n, err := r.r.Read(r.buf[r.end:])
		r.end += n
		if n > 0 {
			return nil // an error with bytes comes again with the next read
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// ReadCommand reads and parses one command. After a [*SyntaxError], which
// [ErrLineTooLong] is too, the next line can be read.
func (r *Reader) ReadCommand() (Command, error) {
	line, err := r.ReadLine()
	if err != nil {
		return Command{}, err
	}
	return ParseCommand(line)
}

// ReadReply reads one reply of at most [MaxReplyLines] lines and
// [MaxReplyBytes]. It takes both styles of lines in between, with and without
// the code in front; only the same code followed by a space ends a reply.
// After a [*SyntaxError] the connection is out of step and must be closed.
func (r *Reader) ReadReply() (Reply, error) {
	line, err := r.ReadLine()
	if err != nil {
		return Reply{}, err
	}
	first, err := ParseReplyLine(line)
	if err != nil {
		return Reply{}, err
	}
	reply := Reply{Code: first.Code, Lines: []string{first.Text}}
	size := len(line)
	for more := first.More; more; {
		if line, err = r.ReadLine(); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return Reply{}, err
		}
		size += len(line)
		if len(reply.Lines) == MaxReplyLines || size > MaxReplyBytes {
			return Reply{}, &SyntaxError{What: "reply", Line: first.Text, Want: "at most 512 lines and 64 KiB"}
		}
		if EndsReply(line, first.Code) {
			more = false
			reply.Lines = append(reply.Lines, unescapeIAC(line[4:]))
		} else {
			reply.Lines = append(reply.Lines, continuation(line, first.Code))
		}
	}
	return reply, nil
}
