package enroll

import (
	"encoding/json"
	"net/http"
	"strings"
	"unicode"

	"sallyport.dev/internal/fault"
)

const (
	joinPath    = "/v1/join"
	joinVersion = 1
	maxBody     = 16 << 10 // bytes, both ways

	// JoinProtocol is the ALPN name under which the gateway's port answers joins.
	JoinProtocol = "http/1.1"
)

// joinRequest is the body of POST /v1/join.
type joinRequest struct {
	Version int    `json:"version"`
	Token   string `json:"token"`  // id
	Secret  string `json:"secret"` // base64url
	CSR     []byte `json:"csr"`    // DER, in base64
}

// joinResponse is the body of a 200.
type joinResponse struct {
	Certificate string `json:"certificate"` // PEM
}

// refusal is the body of everything else.
type refusal struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

func decodeJoin(body []byte) (joinRequest, error) {
	var r joinRequest
	if err := decodeStrict(body, &r); err != nil {
		return joinRequest{}, fault.New(fault.Invalid, "join request is not the JSON of a join").
			WithHint("use `sallyport connector join`, of the same version as the gateway")
	}
	if r.Version != joinVersion {
		return joinRequest{}, fault.New(fault.Unsupported, "join request is of version %d, this gateway takes version %d", r.Version, joinVersion).
			WithHint("use the same version of sallyport at gateway and connector")
	}
	return r, nil
}

// httpStatus is how each kind of refusal is said in HTTP.
var httpStatus = map[fault.Kind]int{
	fault.Internal:        http.StatusInternalServerError,
	fault.Invalid:         http.StatusBadRequest,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Denied:          http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Exists:          http.StatusConflict,
	fault.Busy:            http.StatusTooManyRequests,
	fault.Unreachable:     http.StatusBadGateway,
	fault.TimedOut:        http.StatusGatewayTimeout,
	fault.Full:            http.StatusInsufficientStorage,
	fault.Unsupported:     http.StatusNotImplemented,
	fault.Canceled:        http.StatusServiceUnavailable,
}

// decodeRefusal turns the gateway's words back into an error. They came over a
// wire: bounded, and nothing in them moves a terminal's cursor.
func decodeRefusal(status int, body []byte) error {
	var r refusal
	if err := json.Unmarshal(body, &r); err != nil || r.Text == "" {
		return fault.New(fault.Internal, "gateway answered the join with HTTP status %d and no reason", status).
			WithHint("use the same version of sallyport at gateway and connector")
	}
	kind, _ := fault.ParseKind(r.Kind) // an unknown one counts as Internal
	return &fault.Error{Kind: kind, Text: plain(r.Text), Hint: plain(r.Hint)}
}

func plain(s string) string {
	const limit = 500
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > limit {
		s = string(r[:limit]) + "…"
	}
	return s
}
