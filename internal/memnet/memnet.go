// Package memnet is a network in memory, for tests of anything with a clock.
//
// A [Network] implements netx.Network. Its connections are buffered both ways,
// have deadlines and half-close, and block only on channels and timers, so they
// work inside a testing/synctest bubble. Faults are injected by wrapping
// [Network.OnDial] or by resetting a [Conn].
//
// It is not fast and does not model loss, delay or congestion.
package memnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Network is an in-memory network of listeners by address. Its zero value is
// ready to use.
type Network struct {
	// OnDial, if set, sees every dial before it happens; an error fails the dial.
	OnDial func(addr string) error
	// Source is the address dialled connections come from. Zero means 127.0.0.1.
	Source netip.Addr
	// Buffer bounds the bytes in flight in one direction. Zero means 64 KiB.
	Buffer int

	mu        sync.Mutex // guards the following
	listeners map[string]*listener
	nextPort  uint16
}

// Listen listens on addr ("host:port"); port 0 picks a free one from 40000 up.
// An empty or unspecified host accepts dials to any host on that port.
func (n *Network) Listen(_ context.Context, network, addr string) (net.Listener, error) {
	host, port, err := splitAddr(addr)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners == nil {
		n.listeners = make(map[string]*listener)
	}
	if port == 0 {
		port = n.freePortLocked()
	}
	a := netip.AddrPortFrom(host, port)
	if _, taken := n.listeners[key(a)]; taken {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: net.TCPAddrFromAddrPort(a), Err: syscall.EADDRINUSE}
	}
	l := &listener{n: n, addr: a, backlog: make(chan *Conn, 128), done: make(chan struct{})}
	n.listeners[key(a)] = l
	return l, nil
}

// Dial connects to a listener. Nobody listening gives ECONNREFUSED.
func (n *Network) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) { return nil, &net.OpError{Op: "dial", Net: network, Err: err} }
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	if n.OnDial != nil {
		if err := n.OnDial(addr); err != nil {
			return fail(err)
		}
	}
	host, port, err := splitAddr(addr)
	if err != nil {
		return fail(err)
	}
	src := n.Source
	if !src.IsValid() {
		src = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	dst := netip.AddrPortFrom(host, port)
	n.mu.Lock()
	l := n.lookupLocked(dst)
	from := netip.AddrPortFrom(src, n.freePortLocked())
	n.mu.Unlock()
	if l == nil {
		return fail(syscall.ECONNREFUSED)
	}
	client, server := pair(from, dst, n.Buffer)
	select {
	case l.backlog <- server:
		return client, nil
	case <-l.done:
		return fail(syscall.ECONNREFUSED)
	case <-ctx.Done():
		return fail(ctx.Err())
	}
}

func (n *Network) lookupLocked(a netip.AddrPort) *listener {
	if l := n.listeners[key(a)]; l != nil {
		return l
	}
	return n.listeners[key(netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port()))]
}

func (n *Network) freePortLocked() uint16 {
	for {
		if n.nextPort < 40000 || n.nextPort == 65535 {
			n.nextPort = 40000
		} else {
			n.nextPort++
		}
		free := true
		for _, l := range n.listeners {
			free = free && l.addr.Port() != n.nextPort
		}
		if free {
			return n.nextPort
		}
	}
}

func key(a netip.AddrPort) string {
	if a.Addr().IsUnspecified() {
		return ":" + strconv.Itoa(int(a.Port()))
	}
	return a.String()
}

func splitAddr(addr string) (netip.Addr, uint16, error) {
	h, p, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.Addr{}, 0, err
	}
	port, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("port %q: %w", p, err)
	}
	switch h {
	case "":
		return netip.IPv4Unspecified(), uint16(port), nil
	case "localhost":
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port), nil
	}
	a, err := netip.ParseAddr(h)
	if err != nil {
		return netip.Addr{}, 0, &net.DNSError{Err: "no such host", Name: h, IsNotFound: true}
	}
	return a.Unmap(), uint16(port), nil
}

type listener struct {
	n       *Network
	addr    netip.AddrPort
	backlog chan *Conn
	once    sync.Once
	done    chan struct{}

	mu       sync.Mutex // guards the following
	deadline time.Time
}

func (l *listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	dl := l.deadline
	l.mu.Unlock()
	var expired <-chan time.Time
	if !dl.IsZero() {
		t := time.NewTimer(time.Until(dl))
		defer t.Stop()
		expired = t.C
	}
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	case <-expired:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: errTimeout}
	}
}

// SetDeadline bounds the Accepts that start after it, as net.TCPListener's does.
func (l *listener) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = t
	return nil
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.n.mu.Lock()
		delete(l.n.listeners, key(l.addr))
		l.n.mu.Unlock()
		for {
			select {
			case c := <-l.backlog:
				_ = c.Reset()
			default:
				return
			}
		}
	})
	return nil
}

func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }
