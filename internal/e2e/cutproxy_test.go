//go:build linux

package e2e_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"sallyport.dev/internal/netx"
)

// busy is how many bytes make a link one that carries data: a control connection
// does not get that far.
const busy = 32 << 10

// cutProxy stands in the link. It can reset what goes through it.
type cutProxy struct {
	addr   string
	target string

	mu    sync.Mutex // guards the following
	links map[*cutLink]bool
}

// cutLink is one connection through the proxy.
type cutLink struct {
	in, out *countedTCP
}

// countedTCP counts what is read from it.
type countedTCP struct {
	*net.TCPConn
	n atomic.Int64
}

func (c *countedTCP) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func newCutProxy(t *testing.T, target string) *cutProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &cutProxy{addr: l.Addr().String(), target: target, links: make(map[*cutLink]bool)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed below
			}
			wg.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.reset(0)
		wg.Wait()
	})
	return p
}

// serve relays a connection to the target. If that is away, the connector is told
// by a clean end, and tries again.
func (p *cutProxy) serve(c net.Conn) {
	d, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = c.Close()
		return
	}
	//nolint:forcetypeassert // both are of TCP
	k := &cutLink{in: &countedTCP{TCPConn: c.(*net.TCPConn)}, out: &countedTCP{TCPConn: d.(*net.TCPConn)}}
	p.hold(k, true)
	defer p.hold(k, false)
	_, _ = netx.Relay(context.Background(), k.in, k.out, 0) // how links end is what the test is about
}

func (p *cutProxy) hold(k *cutLink, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if open {
		p.links[k] = true
	} else {
		delete(p.links, k)
	}
}

// mark lets the count of all links start again.
func (p *cutProxy) mark() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.links {
		k.in.n.Store(0)
		k.out.n.Store(0)
	}
}

// reset resets the links that have carried at least so many bytes since they were
// marked, towards both ends, and returns when it is done.
func (p *cutProxy) reset(least int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.links {
		if k.in.n.Load()+k.out.n.Load() >= least {
			_ = netx.Reset(k.in) // one that has just ended needs none
			_ = netx.Reset(k.out)
		}
	}
}
