package ftpclient

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/netx"
)

// drainPatience bounds the wait for the server's own end of an upload's data
// connection. The final reply decides, not this.
const drainPatience = 5 * time.Second

// Stor opens the file at path for writing from offset on; at 0 it is made anew.
// The context bounds the whole transfer. One of [Upload.Commit] and
// [Upload.Abort] must be called.
func (c *Conn) Stor(ctx context.Context, path string, offset int64) (*Upload, error) {
	return c.upload(ctx, "write "+quote(path), ftp.Command{Verb: "STOR", Arg: path}, offset)
}

// Append opens the file at path for writing at its end, making it if need be.
// It is like [Conn.Stor] otherwise.
func (c *Conn) Append(ctx context.Context, path string) (*Upload, error) {
	return c.upload(ctx, "append to "+quote(path), ftp.Command{Verb: "APPE", Arg: path}, 0)
}

func (c *Conn) upload(ctx context.Context, what string, cmd ftp.Command, offset int64) (*Upload, error) {
	t, err := c.start(ctx, what, cmd, offset)
	if err != nil {
		return nil, err
	}
	// Until Commit, the end of this process must not look like the end of the file.
	netx.Guard(t.raw)
	return &Upload{t: t}, nil
}

// Upload is a file being written.
type Upload struct {
	t *transfer
	n int64
}

// N returns the number of bytes handed over so far.
func (u *Upload) N() int64 { return u.n }

// Write sends data. After an error, which is the server's own reason where it gave
// one, nothing more can be sent.
func (u *Upload) Write(p []byte) (int, error) {
	t := u.t
	if t.over {
		return 0, u.ended()
	}
	n, err := t.write(p)
	u.n += int64(n)
	if err != nil {
		return n, t.fail(err)
	}
	return n, nil
}

func (u *Upload) ended() error {
	if u.t.result != nil {
		return u.t.result
	}
	return fault.New(fault.Invalid, "%s: the upload is over", u.t.what)
}

// ReadFrom sends all of r. A regular file goes out through the kernel, without
// passing through this process, where the system can. An error of r leaves the
// upload open, to be aborted.
func (u *Upload) ReadFrom(r io.Reader) (int64, error) {
	start := u.n
	var err error
	if f, ok := regular(r); ok && u.t.mark == nil {
		if tcp, ok := u.t.raw.(*net.TCPConn); ok {
			err = u.sendfile(tcp, f)
			return u.n - start, err
		}
	}
	err = u.copy(r)
	return u.n - start, err
}

// regular returns r as a regular file, on which one can seek.
func regular(r io.Reader) (*os.File, bool) {
	f, ok := r.(*os.File)
	if !ok {
		return nil, false
	}
	info, err := f.Stat()
	return f, err == nil && info.Mode().IsRegular()
}

func (u *Upload) sendfile(tcp *net.TCPConn, f *os.File) error {
	t := u.t
	for {
		if t.over {
			return u.ended()
		}
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		t.arm()
		rest := &io.LimitedReader{R: f, N: spliceStep}
		n, err := tcp.ReadFrom(rest)
		u.n += n
		switch {
		case err == nil && n < spliceStep:
			return nil
		case err == nil:
		case t.stalled(err) && t.moving(n):
			// It took longer than the timeout but moved. Where the kernel did not
			// do it, more may have been read from the file than was sent.
			if _, err := f.Seek(at+n, io.SeekStart); err != nil {
				return err
			}
		default:
			return t.fail(err)
		}
	}
}

func (u *Upload) copy(r io.Reader) error {
	bp, _ := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(bp)
	for {
		n, err := r.Read(*bp)
		if n > 0 {
			if _, werr := u.Write((*bp)[:n]); werr != nil {
				return werr
			}
		}
		if isEOF(err) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Commit ends the file and waits for the server's confirmation. Only when it
// returns nil has the server said that the file is whole. An error that
// [errors.Is] [ErrUnconfirmed] leaves that open.
func (u *Upload) Commit() error {
	t := u.t
	if t.over {
		return t.result
	}
	if err := t.finish(); err != nil {
		return t.fail(err)
	}
	return t.end(t.confirm())
}

// finish ends the data connection well: close_notify, end of our direction, then
// whatever the server has still to say. A server's session tickets that nobody
// reads would make our system answer with a reset, and the file's tail be lost.
func (t *transfer) finish() error {
	if secured, ok := t.data.(*tls.Conn); ok {
		if err := secured.CloseWrite(); err != nil {
			return err
		}
	}
	netx.Unguard(t.raw)
	halved, err := netx.CloseWrite(t.raw)
	if err != nil {
		return err
	}
	if halved {
		t.drain()
	}
	// The final reply decides whether it all arrived.
	_ = t.raw.Close()
	return nil
}

// drain reads to the end of the server's direction, for a bounded time. Nothing
// but TLS records should come, and of them only few.
func (t *transfer) drain() {
	_ = t.raw.SetReadDeadline(time.Now().Add(drainPatience)) // a closed connection fails the read below
	if t.ctx.Err() != nil {
		_ = t.raw.SetDeadline(longAgo)
	}
	var buf [512]byte
	for total := 0; total < 64<<10; {
		n, err := t.data.Read(buf[:])
		if err != nil {
			return // the end, or a failure that the final reply will speak of
		}
		total += n
	}
}

// Abort gives the upload up so that it cannot be taken for a whole file: the
// server sees a reset. The error says that the connection is not usable any more,
// or that the server called the file complete all the same.
func (u *Upload) Abort() error {
	t := u.t
	if t.over {
		return nil
	}
	t.cut()
	r, err := t.settle()
	given := fault.New(fault.Canceled, "the upload was given up after %d bytes", u.n)
	_ = t.end(given)
	if err == nil && r.Code.Positive() {
		return t.c.wrap(fault.New(fault.Invalid, "the server took an upload that was cut off for complete: %d %.100q", r.Code, r.Text()).
			WithHint("remove the file; this server does not tell a cut connection from a finished one"), t.what)
	}
	return err
}
