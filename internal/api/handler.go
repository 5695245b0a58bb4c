package api

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/netx"
)

// Handler answers on a control socket. Status and Sessions are required; the
// others are a gateway's, and refused in words where there is none.
type Handler struct {
	Status     func() Status
	Sessions   func() []Session
	Connectors func() ([]Connector, error)
	Streams    func() []Stream
	// Dial opens a connection for the owner of the socket.
	Dial func(ctx context.Context, req DialRequest) (net.Conn, error)
	// Flow answers about flows; nil where none run.
	Flow *FlowHandler
	// Reload reads the document anew; nil where there is none.
	Reload func(ctx context.Context) (Reloaded, error)
	// Site answers about sites; nil where none run.
	Site   *SiteHandler
	Logger *slog.Logger // nil: discard
}

// Routes returns the handler's mux.
func (h *Handler) Routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, h.Status(), nil) })
	route(mux, "GET /v1/connectors", h.Connectors != nil, noGateway, func(*http.Request) (any, error) { return h.Connectors() })
	route(mux, "GET /v1/streams", h.Streams != nil, noGateway, func(*http.Request) (any, error) { return h.Streams(), nil })
	mux.HandleFunc("GET /v1/sessions", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, h.Sessions(), nil)
	})
	mux.HandleFunc("POST /v1/dial", h.dial)
	route(mux, "POST /v1/reload", h.Reload != nil, noDocument, func(r *http.Request) (any, error) { return h.Reload(r.Context()) })
	h.flowRoutes(mux)
	h.siteRoutes(mux)
	return mux
}

// route answers requests by what do returns or, where this process has no such part,
// by missing.
func route(mux *http.ServeMux, pattern string, here bool, missing func() error, do func(r *http.Request) (any, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if !here {
			refuse(w, missing())
			return
		}
		v, err := do(r)
		answer(w, v, err)
	})
}

func noDocument() error {
	return fault.New(fault.Unsupported, "this process was started without a document")
}

func noGateway() error {
	return fault.New(fault.Unsupported, "no gateway runs here").
		WithHint("name the state folder of the process that plays the gateway with --state DIR")
}

func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the owner went away: nobody is left to tell
}

// statusOf is the HTTP dialect of fault kinds.
var statusOf = map[fault.Kind]int{
	fault.Internal: 500, fault.Invalid: 400, fault.Unauthenticated: 401, fault.Denied: 403,
	fault.NotFound: 404, fault.Exists: 409, fault.Busy: 503, fault.Unreachable: 502,
	fault.TimedOut: 504, fault.Full: 507, fault.Unsupported: 501, fault.Canceled: 499,
}

func refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(statusOf[fault.KindOf(err)])
	_ = json.NewEncoder(w).Encode(ProblemOf(err)) // as above
}

func (h *Handler) dial(w http.ResponseWriter, r *http.Request) {
	if h.Dial == nil {
		refuse(w, noGateway())
		return
	}
	var req DialRequest
	dec := json.NewDecoder(io.LimitReader(r.Body, 64<<10))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&req); err != nil {
		refuse(w, fault.Wrap(fault.Invalid, err, "read the dial request"))
		return
	}
	if r.Header.Get("Upgrade") != upgradeProtocol {
		refuse(w, fault.New(fault.Invalid, "a dial must upgrade to %s", upgradeProtocol))
		return
	}
	dialled, err := h.Dial(r.Context(), req)
	if err != nil {
		refuse(w, err)
		return
	}
	hj, ok := w.(http.Hijacker)
	if !ok {
		_ = dialled.Close()
		refuse(w, fault.New(fault.Internal, "this HTTP server cannot switch protocols"))
		return
	}
	socket, rw, err := hj.Hijack()
	if err != nil {
		_ = dialled.Close()
		refuse(w, fault.As(err, "switch protocols"))
		return
	}
	const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + upgradeProtocol + "\r\n\r\n"
	if _, err := io.WriteString(socket, switching); err != nil {
		_ = socket.Close() // the owner went away
		_ = netx.Reset(dialled)
		return
	}
	moved, err := netx.Relay(r.Context(), newStream(socket, rw.Reader), dialled, 0)
	h.log().Debug("connection for the owner ended", "address", req.Address, "out", moved.AtoB, "in", moved.BtoA, "err", err)
}

func (h *Handler) log() *slog.Logger {
	if h.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return h.Logger
}
