package ftpserver

import (
	"fmt"
	"net/netip"
)

// peers counts sessions by where they come from.
type peers struct {
	all      map[netip.Prefix]int
	halfOpen map[netip.Prefix]int // those of all that are not logged in
}

// network is whom a session counts for: an IPv4 address, or the 64 bits that
// IPv6 gives to one household, which may change the rest at will.
func network(addr netip.Addr) netip.Prefix {
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	p, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{} // an address that is none, as of a connection that is not IP's
	}
	return p
}

// refusal says why one more session from addr would be too many, or "".
func (p *peers) refusal(addr netip.Addr, l Limits) string {
	switch at := network(addr); {
	case p.all[at] >= l.SessionsPerPeer:
		return fmt.Sprintf("Too many sessions from your address: %d at once is the most, try again later", l.SessionsPerPeer)
	case p.halfOpen[at] >= l.HalfOpenPerPeer:
		return fmt.Sprintf("Too many sessions from your address have not logged in: %d at once is the most, try again later", l.HalfOpenPerPeer)
	}
	return ""
}

// enter counts a session that has not logged in.
func (p *peers) enter(addr netip.Addr) {
	if p.all == nil {
		p.all, p.halfOpen = make(map[netip.Prefix]int), make(map[netip.Prefix]int)
	}
	at := network(addr)
	p.all[at]++
	p.halfOpen[at]++
}

// leave takes back what enter and login counted.
func (p *peers) leave(addr netip.Addr, loggedIn bool) {
	at := network(addr)
	add(p.all, at, -1)
	if !loggedIn {
		add(p.halfOpen, at, -1)
	}
}

// login notes that a session has logged in, or that it has left its account.
func (p *peers) login(addr netip.Addr, in bool) {
	n := 1
	if in {
		n = -1
	}
	add(p.halfOpen, network(addr), n)
}

// add keeps no entry that counts nothing.
func add(m map[netip.Prefix]int, at netip.Prefix, n int) {
	if m[at] += n; m[at] == 0 {
		delete(m, at)
	}
}

// loggedIn notes whether ss has an account from now on.
func (s *Server) loggedIn(ss *session, in bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ss.counted != in {
		ss.counted = in
		s.peers.login(ss.peer.Addr(), in)
	}
}
