package ftpserver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A data connection lives for one file, which may be small: what is done for each
// counts more than what is done for each byte. So passive ports hand out a
// [dataConn], on which no option is set, and which Go's poller hears of only when
// something has to be waited for.

// listenSystem opens one passive port.
func listenSystem(addr netip.AddrPort) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1}
	l, err := lc.Listen(context.Background(), "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return l, nil
	}
	f, err := tcp.File() // another handle on it
	_ = tcp.Close()      // the socket goes on
	if err != nil {
		return nil, err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		_ = f.Close() // err is what counts
		return nil, err
	}
	return &dataListener{f: f, raw: raw, addr: l.Addr()}, nil
}

// dataListener is one passive port.
type dataListener struct {
	f      *os.File
	raw    syscall.RawConn
	addr   net.Addr
	closed atomic.Bool
}

func (l *dataListener) Addr() net.Addr { return l.addr }

func (l *dataListener) Close() error {
	l.closed.Store(true)
	return l.f.Close()
}

// Accept waits for the next connection.
func (l *dataListener) Accept() (net.Conn, error) {
	var c *dataConn
	var failed error
	err := l.raw.Read(func(fd uintptr) bool {
		c, failed = l.accept(fd)
		return failed != syscall.EAGAIN //nolint:errorlint // as system calls return it
	})
	return l.accepted(c, errors.Join(failed, err))
}

// acceptNow returns a connection that is there already, or nil.
func (l *dataListener) acceptNow() net.Conn {
	var c *dataConn
	var failed error
	err := l.raw.Control(func(fd uintptr) { c, failed = l.accept(fd) })
	if err != nil || failed != nil {
		return nil // Accept meets the same fault
	}
	conn, err := l.accepted(c, nil)
	if err != nil {
		return nil
	}
	return conn
}

func (l *dataListener) accept(listening uintptr) (*dataConn, error) {
	for {
		fd, peer, err := syscall.Accept4(int(listening), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		switch err {
		case nil:
			return &dataConn{fd: fd, local: l.addr, peer: addrOf(peer)}, nil
		case syscall.EINTR, syscall.ECONNABORTED: // accept(2): somebody gave up meanwhile
		default:
			return nil, err
		}
	}
}

func (l *dataListener) accepted(c *dataConn, err error) (net.Conn, error) {
	switch {
	case l.closed.Load():
		if c != nil {
			_ = c.Close() // came too late
		}
		return nil, net.ErrClosed
	case err != nil:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: err}
	}
	return c, nil
}

func addrOf(sa syscall.Sockaddr) net.Addr {
	switch a := sa.(type) {
	case *syscall.SockaddrInet4:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))) //nolint:gosec // as ports are
	case *syscall.SockaddrInet6:
		ip := netip.AddrFrom16(a.Addr)
		if a.ZoneId != 0 { // of a link-local address: whose name matters to nobody, but that it has one
			ip = ip.WithZone(zoneOf(int(a.ZoneId)))
		}
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(a.Port))) //nolint:gosec // as above
	default:
		return &net.TCPAddr{}
	}
}

func zoneOf(index int) string {
	if i, err := net.InterfaceByIndex(index); err == nil {
		return i.Name
	}
	return ""
}

// dataConn is one data connection: a bare socket until something has to be waited
// for, from then on a file that Go's poller watches.
type dataConn struct {
	local, peer net.Addr
	gathers     bool // see gather

	mu     sync.Mutex // guards the following; held over calls that do not wait
	fd     int
	f      *os.File // owns fd, if it is there
	closed bool
}

// fill has packets filled before they go: records of TLS are smaller than those of a
// fast network. The end of the connection sends the rest (tcp(7), TCP_CORK).
func fill(conn net.Conn) {
	if c, ok := conn.(*dataConn); ok {
		_ = c.now(func(fd int) error { return syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_CORK, 1) }) // without it there are more packets
	}
}

// peekEnd reports whether the peer of the socket has ended it, and no byte before that
// waits to be read.
func peekEnd(fd uintptr) bool {
	var b [1]byte
	n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	switch err {
	case nil:
		return n == 0
	case syscall.EAGAIN, syscall.EINTR:
		return false
	default:
		return true
	}
}

// file hands the socket to the poller.
func (c *dataConn) file() (*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	if c.f == nil {
		c.f = os.NewFile(uintptr(c.fd), "data connection")
	}
	return c.f, nil
}

// now calls op with the socket, unless it is closed. op must not wait.
func (c *dataConn) now(op func(fd int) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return net.ErrClosed
	case c.f == nil:
		return op(c.fd)
	}
	raw, err := c.f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = op(int(fd)) }); err != nil {
		return err
	}
	return failed
}

func (c *dataConn) Read(p []byte) (int, error) {
	f, err := c.file()
	if err != nil {
		return 0, err
	}
	n, err := f.Read(p)
	return n, c.explain("read", err)
}

func (c *dataConn) Write(p []byte) (int, error) {
	f, err := c.file()
	if err != nil {
		return 0, err
	}
	n, err := f.Write(p)
	return n, c.explain("write", err)
}

// explain makes err what Go's own connections return.
func (c *dataConn) explain(op string, err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // as files return it
		return err
	}
	if p, ok := err.(*os.PathError); ok { //nolint:errorlint // as above
		err = p.Err
	}
	if err == os.ErrClosed { //nolint:errorlint // as above
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.peer, Err: err}
}

// Close ends the connection in order.
func (c *dataConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	if c.f != nil {
		return c.explain("close", c.f.Close())
	}
	return c.explain("close", os.NewSyscallError("close", syscall.Close(c.fd)))
}

// Reset closes the connection so that the peer sees it cut.
func (c *dataConn) Reset() error {
	err := c.now(func(fd int) error {
		return syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	})
	if cerr := c.Close(); err == nil {
		err = cerr
	}
	return err
}

// CloseWrite ends our direction.
func (c *dataConn) CloseWrite() error {
	return c.now(func(fd int) error { return os.NewSyscallError("shutdown", syscall.Shutdown(fd, syscall.SHUT_WR)) })
}

func (c *dataConn) LocalAddr() net.Addr  { return c.local }
func (c *dataConn) RemoteAddr() net.Addr { return c.peer }

func (c *dataConn) SetDeadline(t time.Time) error {
	return c.deadline((*os.File).SetDeadline, t)
}

func (c *dataConn) SetReadDeadline(t time.Time) error {
	return c.deadline((*os.File).SetReadDeadline, t)
}

func (c *dataConn) SetWriteDeadline(t time.Time) error {
	return c.deadline((*os.File).SetWriteDeadline, t)
}

func (c *dataConn) deadline(set func(*os.File, time.Time) error, t time.Time) error {
	f, err := c.file()
	if err != nil {
		return err
	}
	return c.explain("set", set(f, t))
}

// SyscallConn is for those who set an option.
func (c *dataConn) SyscallConn() (syscall.RawConn, error) {
	f, err := c.file()
	if err != nil {
		return nil, err
	}
	return f.SyscallConn()
}
