package gateway

import (
	"slices"
	"strings"
	"time"

	"sallyport.dev/internal/tunnel"
	"sallyport.dev/internal/tunnel/enroll"
)

// Connector is a connector that joined, connected or not.
type Connector struct {
	enroll.Issued
	Connected bool
	Session   string    // id; empty if not connected
	Since     time.Time // of the session
	Peer      string    // address that it comes from
	Software  string    // version, as it says
	Mappings  []string  // "host:21", "host:5000-5010"
	Links     int       // data links, parked ones included
	Idle      int       // of these: parked
	Streams   int       // running
}

// Connectors returns all connectors that ever joined, by location and age.
func (g *Gateway) Connectors() ([]Connector, error) {
	g.setUp()
	issued, err := g.Authority.Connectors()
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]Connector, 0, len(issued))
	for _, is := range issued {
		c := Connector{Issued: is}
		for _, s := range g.sessions {
			if s.who.ID == is.ID && !s.draining {
				c.fill(s)
			}
		}
		out = append(out, c)
	}
	return out, nil
}

func (c *Connector) fill(s *session) {
	st := s.pool.Stats()
	c.Connected, c.Session, c.Since = true, s.id.String(), s.since
	c.Peer, c.Software = s.link.RemoteAddr().String(), s.hello.Software
	c.Links, c.Idle, c.Streams = st.Links, st.Idle, s.running
	for _, m := range s.hello.Mappings {
		c.Mappings = append(c.Mappings, tunnel.MappingText(m))
	}
}

// Stream is one connection that runs through the tunnel.
type Stream struct {
	ID        string
	Principal string
	Location  string
	Connector string // id
	Target    string // as asked for
	Mapping   string // that covers it; empty through a pinhole
	Since     time.Time
	In, Out   int64 // bytes from the plant and to it
}

// Streams returns the streams that run, oldest first.
func (g *Gateway) Streams() []Stream {
	g.setUp()
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]Stream, 0, len(g.streams))
	for id, r := range g.streams {
		s := Stream{
			ID: id.String(), Principal: r.t.principal, Location: r.s.who.Location, Connector: r.s.who.ID,
			Target: r.t.String(), Mapping: r.mapping, Since: r.since,
		}
		if r.st != nil {
			s.In, s.Out = r.st.Bytes()
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Stream) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// Session is one connector's session, those included that only end their streams.
type Session struct {
	ID        string
	Connector string // id
	Location  string
	Peer      string
	Instance  string // of the connector's process
	Since     time.Time
	Ending    bool // takes no new streams
	Links     int
	Idle      int
	Waiting   int // dials that wait for a link
	Streams   int
}

// Sessions returns the sessions, oldest first.
func (g *Gateway) Sessions() []Session {
	g.setUp()
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]Session, 0, len(g.sessions))
	for _, s := range g.sessions {
		st := s.pool.Stats()
		out = append(out, Session{
			ID: s.id.String(), Connector: s.who.ID, Location: s.who.Location, Peer: s.link.RemoteAddr().String(),
			Instance: s.hello.Instance.String(), Since: s.since, Ending: s.draining,
			Links: st.Links, Idle: st.Idle, Waiting: st.Waiting, Streams: s.running,
		})
	}
	slices.SortFunc(out, func(a, b Session) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// Revoke shuts a connector out for ever and cuts its sessions at once.
func (g *Gateway) Revoke(id string) error {
	g.setUp()
	if err := g.Authority.Revoke(id); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.sessions {
		if s.who.ID == id {
			s.draining = true
			s.cancel(errRevoked)
			s.pool.Cut()
		}
	}
	return nil
}
