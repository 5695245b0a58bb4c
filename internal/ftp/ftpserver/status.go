package ftpserver

// Status is how much of what a server bounds is in use.
type Status struct {
	Sessions int // now
	Most     int // sessions at once
	// Ports is how many passive ports may be offered at one local address, and Free
	// how many of them nobody waits on, where those are fewest. A port on which
	// somebody waits serves clients of other addresses still.
	Ports, Free int
	Blocked     int // pairs of user and address that may not log in now
}

// Status returns how things stand. It may be called at any time.
func (s *Server) Status() Status {
	blocked := s.guard().Blocked()
	s.mu.Lock()
	defer s.mu.Unlock()
	now, pool := s.now, s.pool
	if now == nil {
		now = newPolicy(s.Settings)
	}
	st := Status{Sessions: len(s.sessions), Most: now.Limits.Sessions, Blocked: blocked}
	if pool == nil {
		pool = &passivePool{low: now.Passive.Low, high: now.Passive.High}
	}
	st.Ports, st.Free = pool.gauge()
	return st
}

// gauge returns how many ports there are for one local address, and how many of
// them nobody waits on.
func (p *passivePool) gauge() (ports, free int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ports = maxPassivePorts
	if p.low != 0 {
		ports = int(p.high-p.low) + 1
	}
	busy := 0
	for _, set := range p.sets {
		n := 0
		for _, port := range set.ports {
			if len(port.waiting) > 0 {
				n++
			}
		}
		busy = max(busy, n)
	}
	return ports, ports - busy
}
