package ftpserver

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// The bytes of a file go from the disk's cache to the socket by sendfile(2), and
// from a socket to a file by splice(2), through a pipe.

// sendNow sends up to n bytes of f, as far as the socket takes them at once.
func (c *dataConn) sendNow(f *os.File, n int64) (int64, error) {
	sent := int64(0)
	src, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = c.now(func(fd int) error {
		var failed error
		err := src.Control(func(from uintptr) { sent, failed = sendfile(fd, int(from), n) })
		return errors.Join(err, failed)
	})
	if errors.Is(err, syscall.EAGAIN) {
		err = nil
	}
	return sent, err
}

// sendfile sends up to n bytes until the socket takes no more, which is EAGAIN, or
// the file ends, which is nil with less.
func sendfile(to, from int, n int64) (int64, error) {
	sent := int64(0)
	for sent < n {
		m, err := syscall.Sendfile(to, from, nil, int(min(n-sent, chunk)))
		if err == syscall.EINTR {
			continue
		}
		if err != nil || m == 0 {
			return sent, err
		}
		sent += int64(m)
	}
	return sent, nil
}

// sendFile is io.CopyN from f to the socket: io.EOF says that f ended before n.
func (c *dataConn) sendFile(f *os.File, n int64) (int64, error) {
	to, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	src, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	sent := int64(0)
	var failed, waited error
	err = src.Control(func(from uintptr) {
		waited = to.Write(func(fd uintptr) bool {
			var m int64
			m, failed = sendfile(int(fd), int(from), n-sent)
			sent += m
			return failed != syscall.EAGAIN //nolint:errorlint // as system calls return it
		})
	})
	switch {
	case err != nil:
		return sent, err
	case waited != nil:
		return sent, c.explain("sendfile", waited)
	case failed != nil:
		return sent, c.explain("sendfile", os.NewSyscallError("sendfile", failed))
	case sent < n:
		return sent, io.EOF
	}
	return sent, nil
}

// receiveFile is io.CopyN from the socket to f: io.EOF says that the peer ended the
// connection before n.
func (c *dataConn) receiveFile(f *os.File, n int64) (int64, error) {
	from, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	dst, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	p, err := takePipe()
	if err != nil {
		return 0, err
	}
	c.gather()
	got := int64(0)
	var failed, stored, waited error
	err = dst.Control(func(to uintptr) {
		waited = from.Read(func(fd uintptr) bool {
			for got < n {
				var m int
				m, failed = splice(int(fd), p.w, int(min(n-got, p.size)))
				if failed != nil || m == 0 {
					return failed != syscall.EAGAIN //nolint:errorlint // as system calls return it
				}
				if stored = p.store(int(to), m); stored != nil {
					return true
				}
				got += int64(m)
			}
			return true
		})
		if errors.Is(waited, os.ErrDeadlineExceeded) && got == 0 { // less than what is gathered may have come
			got, stored = c.receiveRest(p, int(to))
		}
	})
	if stored != nil || err != nil {
		p.close() // something may be left in it
	} else {
		givePipe(p)
	}
	switch {
	case err != nil:
		return got, err
	case stored != nil:
		return got, &os.PathError{Op: "write", Path: f.Name(), Err: stored}
	case waited != nil:
		return got, c.explain("splice", waited)
	case failed != nil:
		return got, c.explain("splice", os.NewSyscallError("splice", failed))
	case got < n:
		return got, io.EOF
	}
	return got, nil
}

// receiveRest moves what has come at a deadline to a file.
func (c *dataConn) receiveRest(p *pipe, to int) (int64, error) {
	m := 0
	err := c.now(func(fd int) error {
		var err error
		m, err = splice(fd, p.w, int(p.size))
		return err
	})
	if err != nil || m == 0 {
		return 0, nil // the deadline is what counts
	}
	return int64(m), p.store(to, m)
}

// gathered is how many bytes must have come before the poller wakes an upload, but for
// its end or a deadline: a file that is smaller and its end come in one piece. Much
// more than this would have the kernel bound the window of the connection by it.
const gathered = 16 << 10

// gather sets that.
func (c *dataConn) gather() {
	if c.gathers {
		return
	}
	c.gathers = true
	_ = c.now(func(fd int) error { // without it the poller wakes it more often
		return syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, gathered)
	})
}

// pipeSize is what a pipe is asked to hold, and pipeLeast what any holds.
const (
	pipeSize  = 1 << 20
	pipeLeast = 64 << 10
)

// Numbers of Linux that package syscall lacks.
const (
	fSetPipeSize   = 1031
	spliceMove     = 1
	spliceNonblock = 2
)

// pipe is what bytes pass through between two splices; between transfers it is empty.
type pipe struct {
	r, w int
	size int64
}

// pipes are those not in use, up to a few.
var pipes = make(chan *pipe, 32)

// givePipe keeps an empty pipe for the next upload.
func givePipe(p *pipe) {
	select {
	case pipes <- p:
	default:
		p.close()
	}
}

func takePipe() (*pipe, error) {
	select {
	case p := <-pipes:
		return p, nil
	default:
	}
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	p := &pipe{r: fds[0], w: fds[1], size: pipeLeast}
	// Somebody without privileges may have no right to a large one (pipe(7)).
	if n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(p.w), fSetPipeSize, pipeSize); errno == 0 {
		p.size = int64(n) //nolint:gosec // what was asked for, rounded up
	}
	return p, nil
}

// close closes a pipe that may not be used again.
func (p *pipe) close() {
	_, _ = syscall.Close(p.r), syscall.Close(p.w) // pipes have nothing to say at their end
}

func splice(from, to, n int) (int, error) {
	for {
		m, err := syscall.Splice(from, nil, to, nil, n, spliceMove|spliceNonblock)
		if err != syscall.EINTR {
			return int(m), err
		}
	}
}

// store moves n bytes from the pipe to a file: by splice, or through memory on file
// systems that have none.
func (p *pipe) store(to, n int) error {
	for n > 0 {
		m, err := splice(p.r, to, n)
		switch {
		case err == syscall.EINVAL: //nolint:errorlint // as system calls return it
			return p.storeSlowly(to, n)
		case err != nil:
			return err
		case m == 0:
			return io.ErrUnexpectedEOF
		}
		n -= m
	}
	return nil
}

func (p *pipe) storeSlowly(to, n int) error {
	buf, _ := protectedBuffers.Get().(*[]byte)
	defer protectedBuffers.Put(buf)
	for n > 0 {
		m, err := syscall.Read(p.r, (*buf)[:min(n, len(*buf))])
		if err == syscall.EINTR {
			continue
		}
		if err != nil || m == 0 {
			return errors.Join(err, io.ErrUnexpectedEOF)
		}
		for rest := (*buf)[:m]; len(rest) > 0; {
			w, err := syscall.Write(to, rest)
			if err != nil && err != syscall.EINTR {
				return err
			}
			rest = rest[max(w, 0):]
		}
		n -= m
	}
	return nil
}
