package ftpserver

import (
	"net"
	"sync"
	"time"
)

// pace says how long the next command may take to come: for ever while a
// transfer runs, not at all once the server is going down and the session is at
// rest. Its lock is never held while something is sent, so that a client that
// takes no replies holds nobody up but itself.
type pace struct {
	conn net.Conn // beneath TLS

	mu           sync.Mutex // guards the following
	idle         time.Duration
	transferring bool
	draining     bool
	loginBy      time.Time // end of the time to log in; zero after login
}

// past is a deadline that has gone by.
var past = time.Unix(1, 0)

// arm sets the deadline of reads anew, also of one under way.
func (p *pace) arm() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.armLocked()
}

func (p *pace) armLocked() error {
	var deadline time.Time
	switch {
	case p.transferring:
	case p.draining:
		deadline = past
	case p.loginBy.IsZero():
		deadline = time.Now().Add(p.idle)
	default:
		deadline = p.loginBy
	}
	return p.conn.SetReadDeadline(deadline)
}

// transfer says whether a transfer runs from now on.
func (p *pace) transfer(running bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.transferring = running
	return p.armLocked()
}

// drain ends the session when it is at rest.
func (p *pace) drain() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining = true
	return p.armLocked()
}

// login gives until by to log in; the zero time says that it was done.
func (p *pace) login(by time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loginBy = by
}

// setIdle says how long the client may be silent between commands from now on.
func (p *pace) setIdle(idle time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = idle
}

func (p *pace) state() (transferring, draining bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.transferring, p.draining
}
