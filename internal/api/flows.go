package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sallyport.dev/internal/fault"
)

// Flow is how a flow stands.
type Flow struct {
	Name     string    `json:"name"`
	Paused   bool      `json:"paused"`
	LastPoll time.Time `json:"last_poll,omitzero"`
	NextPoll time.Time `json:"next_poll,omitzero"`
	Error    string    `json:"error,omitempty"` // of the last poll
	Hint     string    `json:"hint,omitempty"`
	Since    time.Time `json:"since,omitzero"` // of the first failing poll in a row
	Open     int       `json:"open"`           // transfers claimed and not finished
	Active   int       `json:"active"`         // of them at work now
	Dead     int       `json:"dead"`           // dead letters
	Done     int64     `json:"done"`           // delivered since the process began
	Bytes    int64     `json:"bytes"`          // of them
}

// Poll is what one poll of a source found.
type Poll struct {
	Listed  int `json:"listed"`  // files that match
	Claimed int `json:"claimed"` // new transfers
	Waiting int `json:"waiting"` // not ready yet
}

// Transfer is one file's travel through a flow.
type Transfer struct {
	ID       string    `json:"id"`
	Flow     string    `json:"flow"`
	File     string    `json:"file"` // raw bytes of the name at the source
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified,omitzero"`
	Source   string    `json:"source"`
	State    string    `json:"state"`
	Outcome  string    `json:"outcome,omitempty"`
	Claimed  time.Time `json:"claimed"`
	Updated  time.Time `json:"updated"`
	Begun    int       `json:"attempts"`
	Next     time.Time `json:"next_attempt,omitzero"`
	Hash     string    `json:"sha256,omitempty"`
	Sinks    []Output  `json:"sinks"`
	Log      []Attempt `json:"log,omitempty"` // attempts that did not succeed, the last ones
}

// Output is one sink's part in a transfer.
type Output struct {
	Sink      string `json:"sink"`
	Name      string `json:"name"`
	Delivered bool   `json:"delivered"`
}

// Attempt is a try that did not succeed.
type Attempt struct {
	Number int       `json:"number"`
	End    time.Time `json:"end"`
	Error  string    `json:"error"`
	Hint   string    `json:"hint,omitempty"`
}

// TransferQuery chooses transfers. Empty fields choose all.
type TransferQuery struct {
	Flow  string
	State string // claimed, intent, delivered, done, failed
	Past  bool   // finished ones whose marks have ended, instead
	After string // a page's Next
	Limit int
}

// TransferPage is a part of a list.
type TransferPage struct {
	Transfers []Transfer `json:"transfers"`
	Next      string     `json:"next,omitempty"` // empty: the end
}

// FlowHandler answers about flows. All its functions are required.
type FlowHandler struct {
	Flows     func() []Flow
	Pause     func(flow string) error
	Resume    func(flow string) error
	Poll      func(ctx context.Context, flow string) (Poll, error)
	Transfers func(ctx context.Context, q TransferQuery) (TransferPage, error)
	Transfer  func(ctx context.Context, id string) (Transfer, error)
	Retry     func(ctx context.Context, id string) error
	Discard   func(ctx context.Context, id string) error
}

func noFlows() error {
	return fault.New(fault.Unsupported, "no flows run here").
		WithHint("name the state folder of the process that runs the flows with --state DIR")
}

func (h *Handler) flowRoutes(mux *http.ServeMux) {
	route := func(pattern string, do func(f *FlowHandler, r *http.Request) (any, error)) {
		route(mux, pattern, h.Flow != nil, noFlows, func(r *http.Request) (any, error) { return do(h.Flow, r) })
	}
	done := struct{}{}
	route("GET /v1/flows", func(f *FlowHandler, _ *http.Request) (any, error) { return f.Flows(), nil })
	route("POST /v1/flows/{name}/pause", func(f *FlowHandler, r *http.Request) (any, error) { return done, f.Pause(r.PathValue("name")) })
	route("POST /v1/flows/{name}/resume", func(f *FlowHandler, r *http.Request) (any, error) { return done, f.Resume(r.PathValue("name")) })
	route("POST /v1/flows/{name}/run", func(f *FlowHandler, r *http.Request) (any, error) {
		return f.Poll(r.Context(), r.PathValue("name"))
	})
	route("GET /v1/transfers", func(f *FlowHandler, r *http.Request) (any, error) {
		q := r.URL.Query()
		limit, err := strconv.Atoi(q.Get("limit"))
		if err != nil && q.Get("limit") != "" {
			return nil, fault.New(fault.Invalid, "limit %.20q is no number", q.Get("limit"))
		}
		return f.Transfers(r.Context(), TransferQuery{
			Flow: q.Get("flow"), State: q.Get("state"), Past: q.Get("past") == "true", After: q.Get("after"), Limit: limit,
		})
	})
	route("GET /v1/transfers/{id}", func(f *FlowHandler, r *http.Request) (any, error) { return f.Transfer(r.Context(), r.PathValue("id")) })
	route("POST /v1/transfers/{id}/retry", func(f *FlowHandler, r *http.Request) (any, error) {
		return done, f.Retry(r.Context(), r.PathValue("id"))
	})
	route("POST /v1/transfers/{id}/discard", func(f *FlowHandler, r *http.Request) (any, error) {
		return done, f.Discard(r.Context(), r.PathValue("id"))
	})
}

// Flows asks how the flows stand.
func (c *Client) Flows(ctx context.Context) ([]Flow, error) {
	return ask[[]Flow](ctx, c, http.MethodGet, "/v1/flows")
}

// PauseFlow stops a flow from polling and from beginning attempts.
func (c *Client) PauseFlow(ctx context.Context, name string) error { return c.flow(ctx, name, "pause") }

// ResumeFlow ends a pause.
func (c *Client) ResumeFlow(ctx context.Context, name string) error {
	return c.flow(ctx, name, "resume")
}

func (c *Client) flow(ctx context.Context, name, verb string) error {
	_, err := ask[json.RawMessage](ctx, c, http.MethodPost, "/v1/flows/"+url.PathEscape(name)+"/"+verb)
	return err
}

// PollFlow polls a flow's source now.
func (c *Client) PollFlow(ctx context.Context, name string) (Poll, error) {
	return ask[Poll](ctx, c, http.MethodPost, "/v1/flows/"+url.PathEscape(name)+"/run")
}

// Transfers lists transfers by page.
func (c *Client) Transfers(ctx context.Context, q TransferQuery) (TransferPage, error) {
	v := url.Values{"flow": {q.Flow}, "state": {q.State}, "after": {q.After}, "past": {strconv.FormatBool(q.Past)}}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return ask[TransferPage](ctx, c, http.MethodGet, "/v1/transfers?"+v.Encode())
}

// Transfer returns one transfer.
func (c *Client) Transfer(ctx context.Context, id string) (Transfer, error) {
	return ask[Transfer](ctx, c, http.MethodGet, "/v1/transfers/"+url.PathEscape(id))
}

// RetryTransfer gives a dead letter its attempts anew.
func (c *Client) RetryTransfer(ctx context.Context, id string) error {
	return c.transfer(ctx, id, "retry")
}

// DiscardTransfer gives a dead letter up.
func (c *Client) DiscardTransfer(ctx context.Context, id string) error {
	return c.transfer(ctx, id, "discard")
}

func (c *Client) transfer(ctx context.Context, id, verb string) error {
	_, err := ask[json.RawMessage](ctx, c, http.MethodPost, "/v1/transfers/"+url.PathEscape(id)+"/"+verb)
	return err
}
