package ftpserver

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
)

// Text, TYPE A: lines end in CR LF on the wire (RFC 959 section 3.1.1.1), and in
// this system's way in files.

const textBuffer = 32 << 10

var textBuffers = sync.Pool{New: func() any { b := make([]byte, textBuffer); return &b }}

func (t *transfer) sendText(conn net.Conn, f *os.File) error {
	w := newDataWriter(conn, t)
	defer w.release()
	if err := copyText(&toWire{w: w}, f); err != nil {
		return err
	}
	return w.Flush()
}

func (t *transfer) receiveText(conn net.Conn, f *os.File) error {
	src := &stallReader{conn: conn, t: t}
	if crlfFiles {
		return copyText(f, src)
	}
	w := &fromWire{w: f}
	if err := copyText(w, src); err != nil {
		return err
	}
	return w.Close()
}

// copyText is io.Copy through a buffer of ours, with nothing handed to the kernel.
func copyText(w io.Writer, r io.Reader) error {
	buf, _ := textBuffers.Get().(*[]byte)
	defer textBuffers.Put(buf)
	for {
		n, err := r.Read(*buf)
		if n > 0 {
			if _, err := w.Write((*buf)[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// toWire puts a CR before every LF that has none.
type toWire struct {
	w  io.Writer
	cr bool // the last byte written was CR
}

func (t *toWire) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			t.cr = p[len(p)-1] == '\r'
			_, err := t.w.Write(p)
			return total, err
		}
		line, end := p[:i], "\r\n"
		if i > 0 {
			t.cr = line[i-1] == '\r'
		}
		if t.cr {
			end = "\n"
		}
		if _, err := t.w.Write(line); err != nil {
			return 0, err
		}
		if _, err := io.WriteString(t.w, end); err != nil {
			return 0, err
		}
		t.cr = false
		p = p[i+1:]
	}
	return total, nil
}

// fromWire makes CR LF into LF. Any other CR stays.
type fromWire struct {
	w   io.Writer
	cr  bool // a CR waits for what follows it
	buf []byte
}

func (f *fromWire) Write(p []byte) (int, error) {
	f.buf = f.buf[:0]
	for _, c := range p {
		if f.cr && c != '\n' {
			f.buf = append(f.buf, '\r')
		}
		if f.cr = c == '\r'; !f.cr {
			f.buf = append(f.buf, c)
		}
	}
	if _, err := f.w.Write(f.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close writes a CR that nothing followed. It closes nothing below.
func (f *fromWire) Close() error {
	if !f.cr {
		return nil
	}
	f.cr = false
	_, err := f.w.Write([]byte{'\r'})
	return err
}
