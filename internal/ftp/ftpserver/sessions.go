package ftpserver

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// Session is what can be told of a session that runs.
type Session struct {
	ID       uint64
	Account  string // empty before login
	Peer     netip.AddrPort
	Started  time.Time
	Command  string // the last one, its secrets masked
	At       time.Time
	Previous string   // the one before, likewise
	Reply    ftp.Code // the last one
	Failure  ftp.Code // the last one of 400 or more, or 0
	Path     string   // of the transfer that runs, or empty
	Sent     int64    // bytes of data connections, listings included
	Received int64
}

// seen is what others may look at while the session runs.
type seen struct {
	mu       sync.Mutex // guards the following
	name     string
	previous ftp.Command
	last     ftp.Command
	lastAt   time.Time
	code     ftp.Code
	failure  ftp.Code
	transfer *transfer
	sent     int64
	received int64
	faults   int
}

func (v *seen) command(c ftp.Command, loggedIn bool) {
	if c.Verb == "USER" && !loggedIn {
		c.Arg = "" // may be a password typed too early
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.previous, v.last, v.lastAt = v.last, c, time.Now()
}

func (v *seen) reply(code ftp.Code) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.code = code
	if code >= 400 {
		v.failure = code
	}
}

func (v *seen) login(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.name = name
}

func (v *seen) account() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.name
}

func (v *seen) begin(t *transfer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.transfer = t
}

func (v *seen) end(t *transfer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.transfer = nil
	v.addLocked(t)
}

func (v *seen) addLocked(t *transfer) {
	if t.upload {
		v.received += t.moved.Load()
	} else {
		v.sent += t.moved.Load()
	}
}

// fault counts a fault and returns its number within the session.
func (v *seen) fault() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.faults++
	return v.faults
}

func (s *session) snapshot() Session {
	v := &s.seen
	v.mu.Lock()
	defer v.mu.Unlock()
	info := Session{
		ID: s.id, Account: v.name, Peer: s.peer, Started: s.started,
		At: v.lastAt, Reply: v.code, Failure: v.failure, Sent: v.sent, Received: v.received,
	}
	if v.last.Verb != "" {
		info.Command = v.last.String()
	}
	if v.previous.Verb != "" {
		info.Previous = v.previous.String()
	}
	if t := v.transfer; t != nil {
		info.Path = t.path
		if t.upload {
			info.Received += t.moved.Load()
		} else {
			info.Sent += t.moved.Load()
		}
	}
	return info
}

// Sessions describes the sessions that run, in the order they began.
func (s *Server) Sessions() []Session {
	s.mu.Lock()
	all := make([]Session, 0, len(s.sessions))
	for ss := range s.sessions {
		all = append(all, ss.snapshot())
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b Session) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Disconnect ends the session id at once, cutting its transfer. It reports
// whether there was one.
func (s *Server) Disconnect(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ss := range s.sessions {
		if ss.id == id {
			ss.cancel(fault.New(fault.Canceled, "session was disconnected"))
			return true
		}
	}
	return false
}
