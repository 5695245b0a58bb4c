package ftpserver

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/netx"
)

// spread is how many passive ports are opened before the first is used again.
// Reuse far apart keeps a client that connects too late from meeting the next
// transfer of its own, and spreads what TIME_WAIT takes of its ports.
const spread = 64

// maxPassivePorts bounds the listeners of one server, and maxBusyPorts those of
// a range that are tried in one go when other programs hold them.
const (
	maxPassivePorts = 4096
	maxBusyPorts    = 64
)

// passivePool keeps passive ports open and hands the connections that arrive to
// the sessions that wait for them. A wait is keyed by port and client address:
// clients of different addresses share a port, so that a small range serves many
// sessions, and a connection from anywhere else is reset and disturbs nobody.
// A port is free for the same client again once its connection has arrived.
type passivePool struct {
	listen func(addr netip.AddrPort) (net.Listener, error)
	log    *slog.Logger

	accepting sync.WaitGroup
	mu        sync.Mutex // guards the following, and every passivePort
	low, high uint16     // of the range; zero: ports of the system's choice
	closed    bool
	total     int
	sets      map[netip.Addr]*portSet   // by local address
	leaving   map[*passivePort]struct{} // no longer offered, but waited on
}

// portSet is the ports open on one local address.
type portSet struct {
	local  netip.Addr
	ports  []*passivePort
	turn   int    // index of the port to look at next
	cursor uint16 // the port of the range to open next
}

type passivePort struct {
	l       net.Listener
	number  uint16
	waiting map[netip.Addr]*passiveWait
}

// passiveWait is one session's claim to the next connection of its client on
// one port.
type passiveWait struct {
	pool   *passivePool
	port   *passivePort
	client netip.Addr
	conns  chan net.Conn // of one; closed when the port was given to another session
	since  time.Time
	opened bool // a transfer waits, which bounds it; guarded by the pool's mutex
}

// staleClaim is how old a claim that no transfer has used yet must be before another
// session of the same client may have its port, when there is no other.
const staleClaim = 30 * time.Second

var errClaimLost error = fault.New(fault.Busy, "the passive port that was asked for before went to another session of yours, since it was not used").
	WithHint("send EPSV or PASV again, right before the transfer")

// lease picks a port on local for a connection from client.
func (p *passivePool) lease(local, client netip.Addr) (*passiveWait, error) {
	client = client.WithZone("")
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrServerClosed
	}
	if p.sets == nil {
		p.sets, p.leaving = make(map[netip.Addr]*portSet), make(map[*passivePort]struct{})
	}
	set := p.sets[local]
	if set == nil {
		set = &portSet{local: local}
		p.sets[local] = set
	}
	var err error
	if len(set.ports) < spread {
		err = p.openLocked(set)
	}
	port := set.freeLocked(client)
	if port == nil && err == nil && len(set.ports) >= spread {
		err = p.openLocked(set)
		port = set.freeLocked(client)
	}
	now := time.Now()
	if port == nil {
		port = set.staleLocked(client, now)
	}
	if port == nil {
		return nil, p.exhausted(err, client)
	}
	w := &passiveWait{pool: p, port: port, client: client, conns: make(chan net.Conn, 1), since: now}
	port.waiting[client] = w
	return w, nil
}

func (p *passivePool) exhausted(err error, client netip.Addr) error {
	if p.low == 0 {
		return fault.Wrap(fault.Busy, err, "no passive port is free for %s", client).
			WithHint("close data connections that are asked for and not used")
	}
	return fault.Wrap(fault.Busy, err, "no passive port of %d-%d is free for %s", p.low, p.high, client).
		WithHint("widen the range of passive ports, or close data connections that are asked for and not used")
}

// freeLocked returns the port whose last use is longest ago among those that
// nobody at client waits on.
func (s *portSet) freeLocked(client netip.Addr) *passivePort {
	for range s.ports {
		port := s.ports[s.turn%len(s.ports)]
		s.turn++
		if _, taken := port.waiting[client]; !taken {
			return port
		}
	}
	return nil
}

// staleLocked takes the oldest claim of client that is stale and returns its port.
func (s *portSet) staleLocked(client netip.Addr, now time.Time) *passivePort {
	var oldest *passiveWait
	for _, port := range s.ports {
		if w := port.waiting[client]; w != nil && !w.opened && now.Sub(w.since) > staleClaim && (oldest == nil || w.since.Before(oldest.since)) {
			oldest = w
		}
	}
	if oldest == nil {
		return nil
	}
	delete(oldest.port.waiting, client)
	close(oldest.conns) // nothing is delivered to it any more
	return oldest.port
}

// openLocked opens one more port of set, if there is one.
func (p *passivePool) openLocked(set *portSet) error {
	if p.total >= maxPassivePorts {
		return fault.New(fault.Busy, "%d passive ports are open already", p.total)
	}
	if p.low == 0 {
		return p.openPortLocked(set, 0)
	}
	size := int(p.high-p.low) + 1
	if len(set.ports) == size {
		return fault.New(fault.Busy, "all %d passive ports are open", size)
	}
	open := make(map[uint16]bool, len(set.ports))
	for _, port := range set.ports {
		open[port.number] = true
	}
	var err error
	for busy, tried := 0, 0; tried < size && busy < maxBusyPorts; tried++ {
		number := max(set.cursor, p.low)
		if set.cursor = number + 1; number == p.high {
			set.cursor = p.low
		}
		if open[number] {
			continue
		}
		if err = p.openPortLocked(set, number); err == nil {
			return nil
		}
		busy++ // held by another program, which may let it go again
	}
	return err
}

func (p *passivePool) openPortLocked(set *portSet, number uint16) error {
	l, err := p.listen(netip.AddrPortFrom(set.local, number))
	if err != nil {
		return err
	}
	port := &passivePort{l: l, number: addrPort(l.Addr()).Port(), waiting: make(map[netip.Addr]*passiveWait)}
	set.ports = append(set.ports, port)
	set.turn = len(set.ports) - 1 // the new one is the next
	p.total++
	p.accepting.Go(func() { p.accept(port) })
	return nil
}

// accept hands on what arrives at port until the pool is closed.
func (p *passivePool) accept(port *passivePort) {
	delay := time.Duration(0)
	for {
		conn, err := port.l.Accept()
		switch {
		case err == nil:
			delay = 0
			p.deliver(port, conn)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			delay = min(max(2*delay, 5*time.Millisecond), maxAcceptDelay)
			p.log.Warn("accept data connection", "port", port.number, "err", err, "retry", delay)
			<-time.After(delay) // bounds how long close waits, too
		}
	}
}

// deliver gives conn to whoever waits for its peer on port, else resets it.
func (p *passivePool) deliver(port *passivePort, conn net.Conn) {
	client := addrPort(conn.RemoteAddr()).Addr().WithZone("")
	p.mu.Lock()
	w := port.waiting[client]
	if w != nil {
		w.conns <- conn // has room: a wait is delivered to once
		p.freeLocked(port, client)
	}
	p.mu.Unlock()
	if w == nil {
		p.log.Debug("stranger at passive port", "port", port.number, "peer", conn.RemoteAddr().String())
		_ = netx.Reset(conn) // nobody is interested in how it ends
	}
}

// number is the port to tell the client.
func (w *passiveWait) number() uint16 { return w.port.number }

// open waits for the connection.
func (w *passiveWait) open(ctx context.Context) (net.Conn, error) {
	w.pool.mu.Lock()
	w.opened = true
	w.pool.mu.Unlock()
	select {
	case conn, ok := <-w.conns:
		if !ok {
			return nil, errClaimLost
		}
		return conn, nil
	case <-ctx.Done():
		return nil, fault.As(context.Cause(ctx), "waiting for a data connection from %s to port %d", w.client, w.port.number)
	}
}

// maxEarly bounds how many connections, those of strangers among them, a session takes
// in for its port.
const maxEarly = 16

// ready returns the connection if it has come already, as it mostly has when the
// client's next command comes.
func (w *passiveWait) ready() net.Conn {
	early, ok := w.port.l.(interface{ acceptNow() net.Conn })
	for tries := 0; ok && len(w.conns) == 0 && tries < maxEarly; tries++ {
		conn := early.acceptNow()
		if conn == nil {
			break
		}
		w.pool.deliver(w.port, conn)
	}
	select {
	case conn := <-w.conns:
		return conn
	default:
		return nil
	}
}

// close gives the claim up and resets a connection that nobody took.
func (w *passiveWait) close() {
	w.pool.mu.Lock()
	if w.port.waiting[w.client] == w {
		w.pool.freeLocked(w.port, w.client)
	}
	w.pool.mu.Unlock()
	select {
	case conn, ok := <-w.conns:
		if ok {
			_ = netx.Reset(conn) // as above
		}
	default:
	}
}

// setRange changes the ports to offer. Those that it has not are closed, at once
// or when the last that wait on them are done.
func (p *passivePool) setRange(low, high uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if low == p.low && high == p.high {
		return
	}
	p.low, p.high = low, high
	for _, set := range p.sets {
		set.cursor, set.turn = 0, 0
		set.ports = slices.DeleteFunc(set.ports, func(port *passivePort) bool {
			if low != 0 && low <= port.number && port.number <= high {
				return false
			}
			p.leaving[port] = struct{}{}
			p.endLocked(port)
			return true
		})
	}
}

// freeLocked ends the wait of client on port.
func (p *passivePool) freeLocked(port *passivePort, client netip.Addr) {
	delete(port.waiting, client)
	if _, ok := p.leaving[port]; ok {
		p.endLocked(port)
	}
}

// endLocked closes a port that is leaving, unless somebody waits on it.
func (p *passivePool) endLocked(port *passivePort) {
	if len(port.waiting) == 0 {
		delete(p.leaving, port)
		p.total--
		_ = port.l.Close() // ends its accept, which is the point
	}
}

// close closes every port and waits for its goroutine.
func (p *passivePool) close() {
	p.mu.Lock()
	p.closed = true
	for _, set := range p.sets {
		for _, port := range set.ports {
			_ = port.l.Close() // ends its accept, which is the point
		}
	}
	for port := range p.leaving {
		_ = port.l.Close()
	}
	p.sets, p.leaving = nil, nil
	p.mu.Unlock()
	p.accepting.Wait()
}

// listenData opens one passive port.
func (s *Server) listenData(addr netip.AddrPort) (net.Listener, error) {
	if _, system := s.Network.(netx.System); s.Network != nil && !system {
		return s.Network.Listen(context.Background(), "tcp", addr.String())
	}
	return listenSystem(addr)
}
