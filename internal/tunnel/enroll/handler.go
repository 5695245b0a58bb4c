package enroll

import (
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"sallyport.dev/internal/fault"
)

// bodyTime is how long a client may take to send a join's body.
const bodyTime = 10 * time.Second

// JoinHandler answers POST /v1/join and refuses everything else. It needs TLS
// by [Authority.ServerConfig] below it, since the body holds a token's secret,
// and a server around it that bounds the header's size and time.
func (a *Authority) JoinHandler() http.Handler { return joinHandler{a} }

type joinHandler struct{ a *Authority }

func (h joinHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	log := h.a.log().With("peer", r.RemoteAddr)
	text, err := h.serve(w, r)
	if err != nil {
		refuse(w, log, err)
		return
	}
	answer(w, log, http.StatusOK, joinResponse{Certificate: string(text)})
}

func (h joinHandler) serve(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	const only = "without a connector's certificate only `sallyport connector join` is answered here"
	switch {
	case r.URL.Path != joinPath:
		return nil, fault.New(fault.NotFound, "nothing is served at %.80q", r.URL.Path).WithHint(only)
	case r.Method != http.MethodPost:
		return nil, fault.New(fault.Unsupported, "method %.20q is not served here", r.Method).WithHint(only)
	}
	if wait, ok := h.a.joins.allow(SourceKey(r.RemoteAddr), h.a.now()); !ok {
		return nil, fault.New(fault.Busy, "too many joins").WithHint("try again in %s", seconds(wait))
	}
	// Not every ResponseWriter has deadlines; where it has none, the server's own
	// read timeout has to do.
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, fault.Wrap(fault.Internal, err, "set deadline of join")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if big := (*http.MaxBytesError)(nil); errors.As(err, &big) {
		return nil, fault.New(fault.Invalid, "join request is longer than %d bytes", big.Limit).WithHint(only)
	} else if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "join request did not arrive whole")
	}
	req, err := decodeJoin(body)
	if err != nil {
		return nil, err
	}
	return h.a.join(req)
}

// join turns a token into a certificate. Everything that can be refused is
// refused before the token is used up.
func (a *Authority) join(req joinRequest) ([]byte, error) {
	a.turn.Lock()
	defer a.turn.Unlock()
	t, used, err := a.findToken(req.Token, req.Secret)
	if err != nil {
		return nil, err
	}
	now := a.now().UTC()
	expired := !now.Before(t.Expires)
	if expired && !used {
		return nil, fault.New(fault.Denied, "join token %s for location %s expired at %s, %v ago", t.ID, t.Location,
			instant(t.Expires), now.Sub(t.Expires).Round(time.Second)).WithHint("%s", newTokenHint(t.Location))
	}
	key, err := parseCSR(req.CSR)
	if err != nil {
		return nil, err
	}
	recs, err := a.records()
	if err != nil {
		return nil, err
	}
	if used {
		return a.answerAgain(t, key, recs, expired)
	}
	if err := occupied(t.Location, recs, now); err != nil {
		return nil, err
	}
	if won, err := a.consume(t); err != nil {
		return nil, err
	} else if !won {
		return nil, errUsed(t, nil)
	}
	c := Issued{ID: freeID(recs), Location: t.Location, Token: t.ID, Joined: now, Renewed: now}
	text, err := a.issue(c, key)
	if err != nil {
		return nil, errors.Join(err, a.putBack(t)) // nobody has got anything for it
	}
	a.log().Info("connector joined", "connector", c.ID, "location", c.Location, "token", t.ID)
	return text, nil
}

// answerAgain serves the connector whose first answer was lost: the same token
// with the same key gets the same certificate, which is of use to that key alone.
func (a *Authority) answerAgain(t tokenFile, key *ecdsa.PublicKey, recs []record, expired bool) ([]byte, error) {
	for _, r := range recs {
		if r.Token != t.ID {
			continue
		}
		if !expired && r.Revoked.IsZero() && key.Equal(r.cert.PublicKey) {
			return r.pem, nil
		}
		return nil, errUsed(t, &r)
	}
	return nil, errUsed(t, nil)
}

func errUsed(t tokenFile, by *record) error {
	e := fault.New(fault.Denied, "join token %s for location %s was used already", t.ID, t.Location)
	if by != nil {
		e.Text += ", by connector " + by.ID + " at " + instant(by.Joined)
	}
	return e.WithHint("a token works once; %s", newTokenHint(t.Location))
}

// occupied refuses a second connector at a location.
func occupied(location string, recs []record, now time.Time) error {
	for _, r := range recs {
		if r.Location == location && r.Revoked.IsZero() && now.Before(r.NotAfter) {
			return fault.New(fault.Exists, "location %s already has connector %s, joined at %s", location, r.ID, instant(r.Joined)).
				WithHint("the token is still good: revoke the other with `sallyport gateway connectors revoke %s --state DIR` and join again, "+
					"or make a token for another location with `sallyport gateway token --location NAME --state DIR`", r.ID)
		}
	}
	return nil
}

// freeID picks a connector id that nobody has.
func freeID(recs []record) string {
	for {
		id := newID(connectorRaw)
		taken := false
		for _, r := range recs {
			taken = taken || r.ID == id
		}
		if !taken {
			return id
		}
	}
}

// refuse tells the client what it may know and the log everything.
func refuse(w http.ResponseWriter, log *slog.Logger, err error) {
	f := (*fault.Error)(nil)
	if !errors.As(err, &f) {
		f = fault.Wrap(fault.Internal, err, "answer join")
	}
	out := refusal{Kind: f.Kind.String(), Text: f.Text, Hint: f.Hint}
	if f.Kind == fault.Internal || f.Kind == fault.Full {
		id := newID(connectorRaw)
		log.Error("join not answered", "incident", id, "error", err)
		out.Text = "the gateway could not answer the join"
		out.Hint = "look for incident " + id + " in the gateway's log"
	} else {
		log.Info("join refused", "kind", out.Kind, "reason", err)
	}
	answer(w, log, httpStatus[f.Kind], out)
}

func answer(w http.ResponseWriter, log *slog.Logger, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		log.Error("join not answered", "error", err)
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if _, err := w.Write(b); err != nil {
		log.Info("join's answer not delivered", "error", err)
	}
}
