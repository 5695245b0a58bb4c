package ftpserver

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// sendFile moves f, which stands at offset, to conn. It hands both bare to
// io.CopyN, which leaves the moving to the kernel where it can (sendfile,
// TransmitFile). Each chunk has a deadline; a chunk that was cut by it but moved
// something goes on, so that only standing still is an error.
func (t *transfer) sendFile(conn net.Conn, f *os.File, offset int64) error {
	for {
		if err := conn.SetWriteDeadline(time.Now().Add(t.stall)); err != nil {
			return err
		}
		n, err := io.CopyN(conn, f, chunk)
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
	for {
		if err := conn.SetReadDeadline(time.Now().Add(t.stall)); err != nil {
			return err
		}
		n, err := io.CopyN(f, conn, chunk)
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

// stallWriter writes to conn, and fails when nothing moves for the stall time-out.
type stallWriter struct {
	conn net.Conn
	t    *transfer
}

func (w *stallWriter) Write(p []byte) (int, error) {
	written := 0
	for {
		if err := w.conn.SetWriteDeadline(time.Now().Add(w.t.stall)); err != nil {
			return written, err
		}
		n, err := w.conn.Write(p[written:])
		written += n
		w.t.moved.Add(int64(n))
		if err == nil || n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return written, err
		}
	}
}

// stallReader reads from conn, and fails when nothing comes for the stall time-out.
type stallReader struct {
	conn net.Conn
	t    *transfer
}

func (r *stallReader) Read(p []byte) (int, error) {
	if err := r.conn.SetReadDeadline(time.Now().Add(r.t.stall)); err != nil {
		return 0, err
	}
	n, err := r.conn.Read(p)
	r.t.moved.Add(int64(n))
	return n, err
}
