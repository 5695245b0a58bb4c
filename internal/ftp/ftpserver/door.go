package ftpserver

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"

	"sallyport.dev/internal/fault"
)

// Door is an address at which several servers are reached. Clients say which they
// mean: by HOST (RFC 7151), by the name that they begin TLS with (SNI), or before
// the user's name, as in "files.example.com|anna". A session that says so moves to
// that server, counts there and lives by its settings.
type Door struct {
	// Implicit speaks TLS from the first byte, as on port 990.
	Implicit bool
	Logger   *slog.Logger // nil: discard

	// porter has the sessions that have to say whom they want, and the listener.
	porter Server

	mu    sync.Mutex // guards the following
	first *Server
	hosts map[string]*Server
}

// Open makes first the server of who names none, nil if everybody has to, and hosts
// those of names. It may be called again at any time; sessions that have a server
// keep it. The same server may be reached by several names and doors.
func (d *Door) Open(first *Server, hosts map[string]*Server) error {
	lower := make(map[string]*Server, len(hosts))
	for name, srv := range hosts {
		lower[strings.ToLower(name)] = srv
	}
	all := slices.Collect(maps.Values(lower))
	if first != nil {
		all = append(all, first)
	}
	if len(all) == 0 {
		return fault.New(fault.Invalid, "a door leads to no server")
	}
	for _, srv := range all {
		if err := srv.behindDoor(); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hosts == nil {
		d.porter.Logger, d.porter.door = d.Logger, d
		d.porter.Authenticate = func(context.Context, Login) (Account, error) { return Account{}, errNoSite }
	}
	d.first, d.hosts = first, lower
	return nil
}

// Serve accepts control connections from l until Shutdown or Close, which make it
// return [ErrServerClosed]. It returns when the sessions that it started have ended,
// at whatever server they are. [Door.Open] must have been called.
func (d *Door) Serve(l net.Listener) error { return d.porter.Serve(l) }

// Shutdown stops accepting. Sessions that have a server are that server's matter;
// the others end as those of [Server.Shutdown] do.
func (d *Door) Shutdown(ctx context.Context) error { return d.porter.Shutdown(ctx) }

// Close stops accepting, and ends the sessions that have no server yet.
func (d *Door) Close() error { return d.porter.Close() }

// home is the server with which sessions begin.
func (d *Door) home() *Server {
	d.mu.Lock()
	defer d.mu.Unlock()
	return cmp.Or(d.first, &d.porter)
}

// named returns the server of a host, nil if there is none.
func (d *Door) named(host string) *Server {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hosts[strings.ToLower(host)]
}

// speaksTLS returns a server that does, for sessions whose own does not or is not
// known yet: which one is meant may be said within TLS alone.
func (d *Door) speaksTLS() *Server {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(d.hosts)) {
		if srv := d.hosts[name]; srv.current().TLS != nil {
			return srv
		}
	}
	return nil
}

// errNoSite refuses logins that do not say at which site.
var errNoSite error = fault.New(fault.Denied, "there are several sites at this address: send HOST and its name before USER, or log in as NAME|USER")

// destination is where a login with USER name goes, the host if name says one, and
// the user.
func (s *session) destination(name string) (to *Server, host, user string) {
	to = cmp.Or(s.byHost, s.byTLS, s.home)
	prefix, rest, ok := strings.Cut(name, "|")
	if !ok || rest == "" || s.door == nil {
		return to, s.hostName, name
	}
	srv := s.door.named(prefix)
	if srv == nil || s.byTLS != nil && srv != s.byTLS {
		return to, s.hostName, name // a user with a bar in the name; most likely nobody's
	}
	return srv, strings.ToLower(prefix), rest
}

// secureServer is the server whose TLS the session begins, nil if there is none.
func (s *session) secureServer() *Server {
	if s.policy.TLS != nil {
		return s.srv
	}
	if s.door != nil {
		return s.door.speaksTLS()
	}
	return nil
}

// mayMove says why a session that has begun TLS cannot go on at srv.
func (s *session) mayMove(srv *Server) error {
	t := srv.current().TLS
	if s.tls == nil || s.tls.of == srv || t == nil || !t.ClientRequired {
		return nil
	}
	return fault.New(fault.Denied, "that site wants a certificate of its clients: begin TLS with its name, or send HOST before AUTH TLS")
}

// moveTo makes the session one of srv's, or ends it in words.
func (s *session) moveTo(srv *Server) bool {
	if srv == s.srv {
		return true
	}
	s.leaveAccount()
	s.dropData()
	policy, pool, refusal := srv.take(s)
	if refusal != "" {
		s.log.Warn("session refused", "reason", refusal)
		s.send(policy.full(s, refusal))
		s.quit = true
		return false
	}
	s.srv.unregister(s)
	s.srv, s.policy, s.pool = srv, policy, pool
	s.timeouts, s.limits = policy.Timeouts, policy.Limits
	s.pace.setIdle(policy.Timeouts.Idle)
	s.log = srv.logger().With("session", s.id, "peer", s.peer.String())
	if s.tls != nil && policy.TLS != nil {
		s.tls.policy = policy.TLS
	}
	s.log.Debug("session begins, by name")
	return true
}

// take counts a session that comes from another server, or says why it cannot.
func (s *Server) take(ss *session) (p *policy, pool *passivePool, refusal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.startLocked()
	if refusal = s.countLocked(ss); refusal != "" {
		return s.now, nil, refusal
	}
	return s.now, s.poolLocked(), ""
}

// behindDoor prepares a server for sessions of a door's.
func (s *Server) behindDoor() error {
	if err := s.Settings.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.startLocked()
	s.kept = true
	return nil
}

// current is the settings of sessions to come.
func (s *Server) current() *policy {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return newPolicy(s.Settings)
	}
	return s.now
}
