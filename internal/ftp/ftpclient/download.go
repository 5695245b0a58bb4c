package ftpclient

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

func restCommand(offset int64) ftp.Command {
	return ftp.Command{Verb: "REST", Arg: strconv.FormatInt(offset, 10)}
}

// Retr opens the file at path for reading from offset on, in bytes. The context
// bounds the whole transfer. The [Download] must be closed.
func (c *Conn) Retr(ctx context.Context, path string, offset int64) (*Download, error) {
	t, err := c.start(ctx, "read "+quote(path), ftp.Command{Verb: "RETR", Arg: path}, offset)
	if err != nil {
		return nil, err
	}
	return &Download{t: t}, nil
}

// Download is a file being read. At the end of data it closes the data connection
// and reads the server's confirmation, so io.EOF means whole as far as the server
// and TLS can say; over plain FTP a connection that was ended in the middle by
// something other than the server looks the same, and only the size can tell.
type Download struct {
	t *transfer
	n int64

	ranged bool  // only left bytes are wanted
	left   int64 // of them
}

// N returns the number of bytes read so far, from the offset on.
func (d *Download) N() int64 { return d.n }

// Read reads data. io.EOF comes only after the server confirmed the transfer.
func (d *Download) Read(p []byte) (int, error) {
	t := d.t
	if t.over {
		return 0, d.ended()
	}
	if d.ranged {
		if d.left == 0 {
			return 0, d.stopRange()
		}
		p = p[:min(int64(len(p)), d.left)]
	}
	t.arm()
	n, err := t.data.Read(p)
	d.n += int64(n)
	d.left -= int64(n)
	if err == nil {
		return n, nil
	}
	return n, d.stop(err)
}

// stopRange ends a transfer of which as much has come as is wanted. What the server
// says to that changes nothing: the connection has noted if it is out of step.
func (d *Download) stopRange() error {
	t := d.t
	t.cut()
	_, _ = t.settle() // see above
	if err := t.end(nil); err != nil {
		return err
	}
	return io.EOF
}

// stop turns the data connection's error into the transfer's end.
func (d *Download) stop(err error) error {
	t := d.t
	if !isEOF(err) {
		return t.fail(err)
	}
	if t.mark != nil && t.mark.ended.Load() {
		return t.fail(errCutShort)
	}
	if t.next != nil {
		t.next() // the server is free for it as soon as it has said 226
		t.next = nil
	}
	// The data connection first: see the package comment. Errors of closing what
	// has been read to its end say nothing.
	_ = t.data.Close()
	err = t.confirm()
	if err == nil && d.ranged && d.left > 0 {
		err = fault.Wrap(fault.Unreachable, io.ErrUnexpectedEOF, "the file ended %d bytes before the range that was asked for", d.left)
	}
	if err := t.end(err); err != nil {
		return err
	}
	return io.EOF
}

func (d *Download) ended() error {
	if d.t.result != nil {
		return d.t.result
	}
	return io.EOF
}

// WriteTo copies the rest to w. A *os.File or *net.TCPConn takes plain data from
// the kernel without its passing through this process, where the system can.
func (d *Download) WriteTo(w io.Writer) (int64, error) {
	start := d.n
	var err error
	if rf, ok := direct(w); ok && d.t.mark == nil && !d.ranged {
		err = d.splice(rf)
	} else {
		err = d.copy(w)
	}
	if isEOF(err) {
		err = nil
	}
	return d.n - start, err
}

// direct returns w as something that can read from a socket in the kernel.
func direct(w io.Writer) (io.ReaderFrom, bool) {
	switch w := w.(type) {
	case *os.File:
		return w, true
	case *net.TCPConn:
		return w, true
	default:
		return nil, false
	}
}

// spliceStep is the most that moves between two looks at the stall timeout.
const spliceStep = 64 << 20

func (d *Download) splice(w io.ReaderFrom) error {
	t := d.t
	for {
		if t.over {
			return d.ended()
		}
		t.arm()
		rest := &io.LimitedReader{R: t.raw, N: spliceStep}
		n, err := w.ReadFrom(rest)
		d.n += n
		switch {
		case err == nil && rest.N > 0:
			return d.stop(io.EOF) // ReadFrom passes over it
		case err == nil:
		case n > 0 && t.stalled(err): // it took longer than the timeout but moved
		default:
			return t.fail(err)
		}
	}
}

const copyBuffer = 128 << 10

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, copyBuffer); return &b }}

func (d *Download) copy(w io.Writer) error {
	bp, _ := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(bp)
	for {
		n, err := d.Read(*bp)
		if n > 0 {
			if _, werr := w.Write((*bp)[:n]); werr != nil {
				return errors.Join(werr, d.abandon())
			}
		}
		if err != nil {
			return err
		}
	}
}

// Close ends the transfer. After io.EOF it returns nil, after an error that error.
// Before either it gives the transfer up: the server sees a reset, and Close an
// error only if the connection could not be brought back in step, so that it is
// not usable any more.
func (d *Download) Close() error {
	if d.t.over {
		return d.t.result
	}
	return d.abandon()
}

// abandon gives the transfer up and reads the server's word on that, whatever it
// says: the server may have sent everything already.
func (d *Download) abandon() error {
	t := d.t
	if t.over {
		return nil
	}
	t.cut()
	_, err := t.settle()
	_ = t.end(fault.New(fault.Canceled, "the transfer was given up after %d bytes", d.n))
	return err
}

// quote shows a name from outside.
func quote(name string) string {
	const most = 256
	if len(name) > most {
		name = name[:most] + "…"
	}
	return strconv.Quote(name)
}
