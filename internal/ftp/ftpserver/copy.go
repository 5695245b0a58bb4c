package ftpserver

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// sendFile moves f, which stands at offset, to conn. It leaves the
// moving to the kernel where it can (sendfile, TransmitFile). Each chunk has a deadline; a chunk that was cut by it but moved
// something goes on, so that only standing still is an error.
func (t *transfer) sendFile(conn net.Conn, f *os.File, offset int64) error {
	if secured, ok := conn.(*tls.Conn); ok {
		return t.sendProtected(secured, f)
	}
	for {
		if err := conn.SetWriteDeadline(time.Now().Add(t.stall)); err != nil {
			return err
		}
		n, err := sendSome(conn, f)
		total := t.moved.Add(n)
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return nil
		case n > 0 && errors.Is(err, os.ErrDeadlineExceeded):
			// A copy through a buffer may have read more than it could write.
			if _, err := f.Seek(offset+total, io.SeekStart); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// receiveFile moves conn's bytes to f until the client ends them, by splice
// where the system has it. Deadlines are as in sendFile.
func (t *transfer) receiveFile(conn net.Conn, f *os.File) error {
	if secured, ok := conn.(*tls.Conn); ok {
		return t.receiveProtected(secured, f)
	}
	for {
		if err := conn.SetReadDeadline(time.Now().Add(t.stall)); err != nil {
			return err
		}
		n, err := receiveSome(f, conn)
		t.moved.Add(n)
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return nil
		case n > 0 && errors.Is(err, os.ErrDeadlineExceeded):
		default:
			return err
		}
	}
}

// fileSender and fileReceiver are connections that move files by themselves, as
// io.CopyN does.
type (
	fileSender interface {
		sendFile(f *os.File, n int64) (int64, error)
	}
	fileReceiver interface {
		receiveFile(f *os.File, n int64) (int64, error)
	}
)

// sendSome moves a chunk of f to conn. io.EOF says that it was the last.
func sendSome(conn net.Conn, f *os.File) (int64, error) {
	if own, ok := conn.(fileSender); ok {
		return own.sendFile(f, chunk)
	}
	return io.CopyN(conn, f, chunk)
}

// receiveSome moves a chunk of conn to f, as sendSome does.
func receiveSome(f *os.File, conn net.Conn) (int64, error) {
	if own, ok := conn.(fileReceiver); ok {
		return own.receiveFile(f, chunk)
	}
	return io.CopyN(f, conn, chunk)
}

// protectedBuffer is how much of a file moves in one go where TLS stands between
// it and the kernel: some records.
const protectedBuffer = 128 << 10

var protectedBuffers = sync.Pool{New: func() any { b := make([]byte, protectedBuffer); return &b }}

// sendProtected moves f to conn through a buffer; deadlines are the business of
// the pacedConn beneath.
func (t *transfer) sendProtected(conn *tls.Conn, f *os.File) error {
	buf, _ := protectedBuffers.Get().(*[]byte)
	defer protectedBuffers.Put(buf)
	for {
		n, err := f.Read(*buf)
		if n > 0 {
			written, err := conn.Write((*buf)[:n])
			t.moved.Add(int64(written))
			if err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// receiveProtected moves conn's bytes to f. Records are small, so they are
// gathered before they are written.
func (t *transfer) receiveProtected(conn *tls.Conn, f *os.File) error {
	buf, _ := protectedBuffers.Get().(*[]byte)
	defer protectedBuffers.Put(buf)
	for {
		n, err := io.ReadFull(conn, *buf)
		t.moved.Add(int64(n))
		if n > 0 {
			if _, err := f.Write((*buf)[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF) && n > 0 && n < len(*buf):
			// Either the end came after some bytes, or within a record: the next
			// read tells which.
		default:
			return err
		}
	}
}

// renew gives what set bounds the stall time-out anew.
func (t *transfer) renew(set func(time.Time) error) error { return set(time.Now().Add(t.stall)) }

// writePaced writes p to conn, and fails when nothing moves for the stall time-out.
func writePaced(conn net.Conn, t *transfer, p []byte) (int, error) {
	written := 0
	for {
		if err := t.renew(conn.SetWriteDeadline); err != nil {
			return written, err
		}
		n, err := conn.Write(p[written:])
		written += n
		if err == nil || n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return written, err
		}
	}
}

// stallWriter writes to conn, and fails when nothing moves for the stall time-out.
type stallWriter struct {
	conn net.Conn
	t    *transfer
}

func (w *stallWriter) Write(p []byte) (int, error) {
	n, err := writePaced(w.conn, w.t, p)
	w.t.moved.Add(int64(n))
	return n, err
}

// stallReader reads from conn, and fails when nothing comes for the stall time-out.
type stallReader struct {
	conn net.Conn
	t    *transfer
}

func (r *stallReader) Read(p []byte) (int, error) {
	if err := r.t.renew(r.conn.SetReadDeadline); err != nil {
		return 0, err
	}
	n, err := r.conn.Read(p)
	r.t.moved.Add(int64(n))
	return n, err
}
