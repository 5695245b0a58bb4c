package ftpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/netx"
)

// ErrServerClosed is returned by [Server.Serve] after Shutdown or Close.
var ErrServerClosed = errors.New("ftp server closed")

// Server is an FTP server. Authenticate must be set; all else may be left alone.
// Its fields must not change once Serve was called; [Server.Apply] takes other
// settings then.
type Server struct {
	Settings
	// Network dials active data connections and listens for passive ones.
	// Nil means the operating system's.
	Network netx.Network
	Logger  *slog.Logger // nil: discard
	// Guard remembers failed logins. Nil: the server has one of its own.
	Guard *Guard

	// IDs counts sessions. Servers that are reached through one [Door] share one, so
	// that a session keeps its number. Nil: the server counts its own.
	IDs *atomic.Uint64

	own    Guard // if there is no other
	ownIDs atomic.Uint64
	door   *Door // of which this is the porter

	mu           sync.Mutex // guards the following
	started      bool
	closed       bool            // no new sessions; those there end when they are at rest
	accepting    context.Context // until the server is closed
	cancelAccept context.CancelFunc
	now          *policy // of sessions to come
	pool         *passivePool
	listeners    map[net.Listener]struct{}
	kept         bool // a door leads here: passive ports stay open without listeners
	sessions     map[*session]struct{}
	peers        peers
	perUser      map[string]int // logged in
	isGone       bool
	gone         chan struct{} // closed when the server is and no session is left
}

func (s *Server) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Logger
}

func (s *Server) guard() *Guard {
	if s.Guard == nil {
		return &s.own
	}
	return s.Guard
}

// Serve accepts control connections from l until Shutdown or Close, which make
// it return [ErrServerClosed], or until l itself is closed. It closes l, and
// returns when the sessions it started have ended. Several listeners may be
// served at once.
func (s *Server) Serve(l net.Listener) error {
	if err := s.Settings.check(); err != nil {
		return errors.Join(err, l.Close())
	}
	if !s.enter(l) {
		return errors.Join(ErrServerClosed, l.Close())
	}
	var own sync.WaitGroup
	err := s.accept(l, &own)
	own.Wait()
	s.leave(l)
	return err
}

// enter registers l, unless the server is closed already.
func (s *Server) enter(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.startLocked()
	s.listeners[l] = struct{}{}
	return true
}

// startLocked makes what sessions need.
func (s *Server) startLocked() {
	if s.started {
		return
	}
	s.started = true
	s.accepting, s.cancelAccept = context.WithCancel(context.Background())
	s.listeners = make(map[net.Listener]struct{})
	s.sessions = make(map[*session]struct{})
	s.perUser = make(map[string]int)
	if s.gone == nil { // else it was closed before
		s.gone = make(chan struct{})
	}
	if s.now == nil { // else Apply was first
		s.now = newPolicy(s.Settings)
	}
}

func (s *Server) poolLocked() *passivePool {
	if s.pool == nil {
		s.pool = &passivePool{low: s.now.Passive.Low, high: s.now.Passive.High, listen: s.listenData, log: s.logger()}
	}
	return s.pool
}

// leave forgets l.
func (s *Server) leave(l net.Listener) {
	_ = l.Close() // mostly closed already, which is no fault
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
	s.closePool()
}

// closePool closes the passive ports once nobody can come any more who would use
// them.
func (s *Server) closePool() {
	s.mu.Lock()
	var pool *passivePool
	if len(s.listeners) == 0 && len(s.sessions) == 0 && (s.closed || !s.kept) {
		pool, s.pool = s.pool, nil
	}
	s.mu.Unlock()
	if pool != nil {
		pool.close()
	}
}

// maxAcceptDelay bounds the pause after a failed accept, such as for want of
// file descriptors.
const maxAcceptDelay = time.Second

func (s *Server) accept(l net.Listener, own *sync.WaitGroup) error {
	delay := time.Duration(0)
	for {
		conn, err := l.Accept()
		if err == nil {
			delay = 0
			s.admit(conn, own)
			continue
		}
		if s.isClosed() {
			return ErrServerClosed
		}
		if errors.Is(err, net.ErrClosed) {
			return fault.As(err, "accepting control connections")
		}
		delay = min(max(2*delay, 5*time.Millisecond), maxAcceptDelay)
		s.logger().Warn("accept control connection", "err", err, "retry", delay)
		if !netx.Pause(s.accepting, delay) {
			return ErrServerClosed
		}
	}
}

// admit starts a session on conn, or says why not.
func (s *Server) admit(conn net.Conn, own *sync.WaitGroup) {
	door, first := s.door, s
	if door != nil {
		first = door.home()
	}
	ss, refusal := first.register(conn, door)
	if refusal != "" {
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second)) // fails on a dead connection only, as the next call does
		_, err := conn.Write(ss.policy.full(ss, refusal).Append(nil))
		ss.cancel(errBye)
		s.logger().Warn("session refused", "peer", conn.RemoteAddr().String(), "reason", refusal, "err", errors.Join(err, conn.Close()))
		return
	}
	own.Go(func() {
		ss.serve()
		ss.srv.unregister(ss) // which may be another by now
	})
}

// register makes a session of conn, and counts it unless there is a reason not to.
func (s *Server) register(conn net.Conn, door *Door) (ss *session, refusal string) {
	peer := addrPort(conn.RemoteAddr())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.startLocked()
	ids := s.IDs
	if ids == nil {
		ids = &s.ownIDs
	}
	ss = newSession(s, ids.Add(1), conn, peer)
	ss.home, ss.door = s, door
	if refusal = s.countLocked(ss); refusal == "" {
		ss.pool = s.poolLocked()
	}
	return ss, refusal
}

// countLocked counts ss among the sessions, or says why it cannot be one.
func (s *Server) countLocked(ss *session) (refusal string) {
	peer, limits := ss.peer.Addr(), s.now.Limits
	switch {
	case s.closed:
		return "The server is going down"
	case len(s.sessions) >= limits.Sessions:
		return fmt.Sprintf("Too many sessions: %d at once is the most, try again later", limits.Sessions)
	}
	if refusal := s.peers.refusal(peer, limits); refusal != "" {
		return refusal
	}
	s.peers.enter(peer)
	s.sessions[ss] = struct{}{}
	return ""
}

func (s *Server) unregister(ss *session) {
	s.mu.Lock()
	delete(s.sessions, ss)
	s.peers.leave(ss.peer.Addr(), ss.counted)
	s.mu.Unlock()
	s.closePool()
	s.mu.Lock()
	s.endLocked()
	s.mu.Unlock()
}

// endLocked tells whoever waits for the end that it has come, if it has.
func (s *Server) endLocked() {
	if s.closed && len(s.sessions) == 0 && !s.isGone {
		s.isGone = true
		close(s.gone)
	}
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Shutdown stops accepting, lets transfers that run come to their end, says 421
// to every session at rest, and returns when all have gone. When ctx ends first,
// the sessions that are left go on and its error is returned; Close ends them.
func (s *Server) Shutdown(ctx context.Context) error {
	sessions, gone := s.beginClose()
	for _, ss := range sessions {
		ss.drain()
	}
	select {
	case <-gone:
		s.closePool()
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close ends every session at once. Transfers are cut so that the client sees
// it, uploads under way are not published.
func (s *Server) Close() error {
	sessions, gone := s.beginClose()
	for _, ss := range sessions {
		ss.cancel(fault.Wrap(fault.Canceled, ErrServerClosed, "the server was closed"))
	}
	<-gone
	s.closePool()
	return nil
}

// beginClose closes the listeners. It returns the sessions there are, and what
// is closed when they have ended.
func (s *Server) beginClose() ([]*session, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.gone == nil {
		s.gone = make(chan struct{})
	}
	if s.cancelAccept != nil {
		s.cancelAccept()
	}
	for l := range s.listeners {
		_ = l.Close() // Serve closes it again and finds it closed
	}
	all := make([]*session, 0, len(s.sessions))
	for ss := range s.sessions {
		all = append(all, ss)
	}
	s.endLocked()
	return all, s.gone
}

// addrPort returns the address of a, IPv4 in its own form; the zero value if a
// is not one of IP.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	if t, ok := a.(*net.TCPAddr); ok {
		ap = t.AddrPort()
	} else if p, err := netip.ParseAddrPort(a.String()); err == nil {
		ap = p
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
