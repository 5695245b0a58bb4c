package socks5

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/secret"
)

// ErrServerClosed is what [Server.Serve] returns after Shutdown or Close.
var ErrServerClosed = errors.New("socks5: server closed")

// Defaults of a [Server].
const (
	DefaultMaxSessions      = 1024
	DefaultHandshakeTimeout = 10 * time.Second
	DefaultDialTimeout      = 30 * time.Second
)

// Request is what a client that is known by now asks for.
type Request struct {
	Principal string // who asks, as Anonymous or Authenticate named it
	User      string // the user name it gave; empty without authentication
	Address          // the host, never resolved here, and the port
	Client    netip.AddrPort
}

// Server is a SOCKS5 proxy. Set Dial, and Anonymous or Authenticate or both;
// without either it refuses everybody.
type Server struct {
	// Dial opens the connection that a client asks for. Its error's kind decides
	// the reply, its text and hint go to the log.
	Dial func(ctx context.Context, r Request) (net.Conn, error)
	// Anonymous says whether a client at that address needs no password, and as
	// which principal it goes. nil: nobody.
	Anonymous func(client netip.AddrPort) (principal string, ok bool)
	// Authenticate checks a user and password (RFC 1929) and returns the principal.
	// It is preferred when a client offers both. nil: not offered.
	Authenticate func(ctx context.Context, user string, password secret.Text, client netip.AddrPort) (principal string, err error)

	MaxSessions      int           // at a time; 0: DefaultMaxSessions. More are closed at once
	HandshakeTimeout time.Duration // from accept to the whole request; 0: 10 s
	DialTimeout      time.Duration // 0: 30 s
	IdleHalfClosed   time.Duration // see netx.Relay; 0: its default
	Logger           *slog.Logger  // nil: discard

	mu        sync.Mutex // guards the following
	closing   bool
	listeners map[net.Listener]struct{}
	sessions  int
	base      context.Context // of all sessions; nil until the first Serve
	cut       context.CancelCauseFunc
	wg        sync.WaitGroup // sessions
}

// Serve accepts clients from l until l fails or the server is shut down, waits for
// its sessions, and closes l. After Shutdown or Close it returns [ErrServerClosed].
func (s *Server) Serve(l net.Listener) error {
	ctx, err := s.enter(l)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	var own sync.WaitGroup
	defer own.Wait()
	for delay := time.Duration(0); ; {
		conn, err := l.Accept()
		switch {
		case err == nil:
			delay = 0
		case s.isClosing():
			return ErrServerClosed
		case isTemporary(err): // out of descriptors: the clients already here will free some
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			s.logger().Warn("accept SOCKS client", "error", err, "again_in", delay)
			if !netx.Pause(ctx, delay) {
				return ErrServerClosed
			}
			continue
		default:
			s.leave(l)
			return errors.Join(err, l.Close())
		}
		if !s.begin() {
			s.logger().Warn("refuse SOCKS client: too many sessions", "client", conn.RemoteAddr().String(), "limit", s.maxSessions())
			_ = conn.Close() // nothing was said yet, so nothing can be lost
			continue
		}
		own.Go(func() {
			defer s.end()
			ss := &session{s: s, conn: conn, log: s.logger().With("client", conn.RemoteAddr().String())}
			ss.run(ctx)
		})
	}
}

// Shutdown stops accepting and waits for the sessions to end by themselves. When
// ctx ends first, they are cut and its error is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.stopListening()
	done := make(chan struct{})
	var waiter sync.WaitGroup
	waiter.Go(func() { s.wg.Wait(); close(done) })
	select {
	case <-done:
	case <-ctx.Done():
		s.cutSessions()
		err = errors.Join(err, context.Cause(ctx))
	}
	waiter.Wait()
	s.cutSessions() // nothing is left to cut; this releases the context
	return err
}

// Close stops accepting and cuts all sessions.
func (s *Server) Close() error {
	err := s.stopListening()
	s.cutSessions()
	s.wg.Wait()
	return err
}

// enter registers a listener and returns the context of its sessions.
func (s *Server) enter(l net.Listener) (context.Context, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, ErrServerClosed
	}
	if s.listeners == nil {
		s.listeners = make(map[net.Listener]struct{})
		s.base, s.cut = context.WithCancelCause(context.Background())
	}
	s.listeners[l] = struct{}{}
	return s.base, nil
}

func (s *Server) leave(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) stopListening() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	var errs []error
	for l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	clear(s.listeners)
	return errors.Join(errs...)
}

func (s *Server) cutSessions() {
	s.mu.Lock()
	cut := s.cut
	s.mu.Unlock()
	if cut != nil {
		cut(ErrServerClosed)
	}
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// begin takes a place for a session, unless there is none left.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || s.sessions >= s.maxSessions() {
		return false
	}
	s.sessions++
	s.wg.Add(1)
	return true
}

func (s *Server) end() {
	s.mu.Lock()
	s.sessions--
	s.mu.Unlock()
	s.wg.Done()
}

// Sessions returns how many clients are connected.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions
}

func (s *Server) maxSessions() int { return orDefault(s.MaxSessions, DefaultMaxSessions) }

func (s *Server) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Logger
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func isTemporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}
