package connector

import "sync"

// sitting is a control connection and the data connections that were opened through
// its pinholes. They may run over other links, which are found dead at another time;
// but when the control connection is lost, so is the transfer, and a server must learn
// that from the data connection while it still has the control connection to answer on.
type sitting struct {
	mu   sync.Mutex // guards the following
	over bool
	cuts map[*dialled]func()
}

// join has cut called when the sitting is lost, at once if it is already. leave ends
// that: afterwards cut is not called, nor is it running.
func (s *sitting) join(d *dialled, cut func()) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		cut()
		return func() {}
	}
	if s.cuts == nil {
		s.cuts = make(map[*dialled]func())
	}
	s.cuts[d] = cut
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.cuts, d)
	}
}

// lose cuts all data connections, those that still come included.
func (s *sitting) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for _, cut := range s.cuts {
		cut()
	}
	s.cuts = nil
}
