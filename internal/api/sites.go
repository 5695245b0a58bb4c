package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"sallyport.dev/internal/fault"
)

// SiteSession is a session of a client with a site.
type SiteSession struct {
	ID       uint64    `json:"id"` // within the process
	Site     string    `json:"site"`
	User     string    `json:"user,omitempty"` // empty before login
	Client   string    `json:"client"`
	Since    time.Time `json:"since"`
	Command  string    `json:"command,omitempty"` // the last one, its secrets masked
	Begun    time.Time `json:"command_since,omitzero"`
	Previous string    `json:"previous_command,omitempty"`
	Reply    int       `json:"reply,omitempty"` // the last one
	Failure  int       `json:"last_error,omitempty"`
	Path     string    `json:"path,omitempty"` // of the transfer that runs
	Sent     int64     `json:"sent"`
	Received int64     `json:"received"`
}

// Reloaded is what a reload of the document did.
type Reloaded struct {
	Sites   []string `json:"sites"`   // what became of which, such as "changed softwares"
	Restart []string `json:"restart"` // keys of the document that differ and wait for a restart
}

// Reload makes the process read its document anew.
func (c *Client) Reload(ctx context.Context) (Reloaded, error) {
	return ask[Reloaded](ctx, c, http.MethodPost, "/v1/reload")
}

// SiteHandler answers about sites. All its functions are required.
type SiteHandler struct {
	Sessions func() []SiteSession
	// Disconnect ends a session at once. It reports whether there was one.
	Disconnect func(id uint64) bool
}

func (h *Handler) siteRoutes(mux *http.ServeMux) {
	route := func(pattern string, do func(r *http.Request) (any, error)) {
		route(mux, pattern, h.Site != nil, noSites, do)
	}
	route("GET /v1/sites/sessions", func(*http.Request) (any, error) { return h.Site.Sessions(), nil })
	route("POST /v1/sites/sessions/{id}/disconnect", func(r *http.Request) (any, error) {
		id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
		if err != nil {
			return nil, fault.New(fault.Invalid, "session %.20q is no number", r.PathValue("id"))
		}
		if !h.Site.Disconnect(id) {
			return nil, fault.New(fault.NotFound, "there is no session %d", id).WithHint("`sallyport site sessions` lists them")
		}
		return struct{}{}, nil
	})
}

func noSites() error {
	return fault.New(fault.Unsupported, "no site runs here").
		WithHint("name the state folder of the process that runs the site with --state DIR")
}

// SiteSessions asks for the sessions of clients with sites.
func (c *Client) SiteSessions(ctx context.Context) ([]SiteSession, error) {
	return ask[[]SiteSession](ctx, c, http.MethodGet, "/v1/sites/sessions")
}

// Disconnect ends a session with a site at once, cutting its transfer.
func (c *Client) Disconnect(ctx context.Context, id uint64) error {
	_, err := ask[json.RawMessage](ctx, c, http.MethodPost, "/v1/sites/sessions/"+strconv.FormatUint(id, 10)+"/disconnect")
	return err
}
