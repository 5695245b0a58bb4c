package daemon

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"sallyport.dev/internal/api"
)

// startControl answers live commands on the state folder's socket. It is the last
// part to start: whoever finds the socket finds a process that runs.
func (w *world) startControl(ctx context.Context) error {
	if w.opts.Stateless {
		return nil
	}
	l, err := api.Listen(w.cfg.State)
	if err != nil {
		return err
	}
	h := &api.Handler{Status: w.status, Sessions: w.sessions, Site: w.siteHandler(), Logger: w.log.With("part", "control")}
	if w.opts.Load != nil {
		h.Reload = w.reload
	}
	if w.gateway != nil {
		h.Connectors, h.Streams, h.Dial = w.connectors, w.streams, w.dialOwner
	}
	if w.flows != nil {
		h.Flow = w.flowHandler()
	}
	w.group.start(ctx, "control socket", func(ctx context.Context) error {
		srv := &http.Server{
			Handler: h.Routes(), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
			BaseContext: func(net.Listener) context.Context { return ctx },
		}
		return serve(ctx, srv, l, time.Second, http.ErrServerClosed)
	})
	return nil
}

func (w *world) status() api.Status {
	w.mu.Lock()
	parts := slices.Clone(w.parts)
	w.mu.Unlock()
	for i, p := range parts {
		if p.Kind != "site" {
			continue
		}
		if s := w.siteNamed(p.Name); s != nil {
			parts[i].Doing = s.doing()
		}
	}
	return api.Status{Version: api.Version, PID: os.Getpid(), Started: w.started, Parts: parts}
}

// dialOwner dials for the owner of the control socket.
func (w *world) dialOwner(ctx context.Context, r api.DialRequest) (net.Conn, error) {
	return w.gateway.DialVia("owner", r.Location)(ctx, "tcp", r.Address)
}

func (w *world) connectors() ([]api.Connector, error) {
	all, err := w.gateway.Connectors()
	if err != nil {
		return nil, err
	}
	out := make([]api.Connector, len(all))
	for i, c := range all {
		out[i] = api.Connector{
			ID: c.ID, Location: c.Location, Connected: c.Connected, Since: c.Since, Address: c.Peer,
			Joined: c.Joined, Expires: c.NotAfter, Revoked: c.Revoked,
			Links: c.Links, Streams: c.Streams, Mappings: c.Mappings,
		}
	}
	return out, nil
}

func (w *world) streams() []api.Stream {
	all := w.gateway.Streams()
	out := make([]api.Stream, len(all))
	for i, s := range all {
		out[i] = api.Stream{
			ID: s.ID, Principal: s.Principal, Location: s.Location, Target: s.Target, Since: s.Since, In: s.In, Out: s.Out,
		}
	}
	return out
}

// sessions are those of connectors with the gateway and of clients with sites.
func (w *world) sessions() []api.Session {
	var out []api.Session
	if w.gateway != nil {
		for _, s := range w.gateway.Sessions() {
			doing := fmt.Sprintf("%d links, %d idle, %d streams", s.Links, s.Idle, s.Streams)
			if s.Ending {
				doing += ", ending"
			}
			out = append(out, api.Session{Part: "gateway", Principal: "connector " + s.Connector + " of " + s.Location, Address: s.Peer, Since: s.Since, Doing: doing})
		}
	}
	for _, site := range w.current() {
		for _, s := range site.server.Sessions() {
			doing := s.Command
			if s.Path != "" {
				doing = fmt.Sprintf("%s (%q, %d sent, %d received)", s.Command, s.Path, s.Sent, s.Received)
			}
			out = append(out, api.Session{Part: "site " + site.cfg.Name, Principal: s.Account, Address: s.Peer.String(), Since: s.Started, Doing: doing})
		}
	}
	return out
}
