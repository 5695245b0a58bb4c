package enroll

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
)

// Authority is the gateway's side: it makes tokens, answers joins, issues,
// renews and revokes. Make one with [OpenAuthority]. Its methods may be called
// from many goroutines.
type Authority struct {
	// Log gets joins, renewals and refusals. Set it before use; nil discards.
	Logger *slog.Logger

	state  *folder
	ca     *ca
	now    func() time.Time
	joins  limiter
	renews limiter

	turn sync.Mutex // joins and renewals take turns, so that one location gets one connector

	mu     sync.Mutex       // guards the following
	server *tls.Certificate // nil until the first handshake
	made   time.Time        // when server was
}

// Issued is a connector that the authority gave a certificate to.
type Issued struct {
	ID, Location string
	Token        string    // id of the token it joined with
	Joined       time.Time // when it joined
	Renewed      time.Time // when its newest certificate was issued
	NotAfter     time.Time // when that certificate ends
	Revoked      time.Time // zero if it is not
}

// OpenAuthority opens the authority kept in the state folder dir, and makes
// folder and authority if there are none. Another process may do the same at
// the same time. A nil now means time.Now. Close it after use.
func OpenAuthority(dir string, now func() time.Time) (*Authority, error) {
	if now == nil {
		now = time.Now
	}
	f, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	a := &Authority{state: f, now: now, joins: joinLimits(), renews: renewLimits()}
	for _, sub := range []string{tokenFolder, connectorFolder} {
		if err := f.root.Mkdir(sub, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, errors.Join(fault.As(err, "make folder %q", f.path(sub)), f.close())
		}
	}
	if a.ca, err = openCA(f, now()); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return a, nil
}

// Close lets go of the state folder. Handshakes and joins fail from then on.
func (a *Authority) Close() error { return a.state.close() }

// Pin returns what tokens carry of this authority: the SHA-256 of its
// SubjectPublicKeyInfo.
func (a *Authority) Pin() [32]byte { return pinOf(a.ca.cert) }

func (a *Authority) log() *slog.Logger {
	if a.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return a.Logger
}

// Check reports whether the connector may speak now: neither revoked nor
// expired. Every handshake asks; ask again while a session lives, since a
// revocation may come from another process. The refusal is of kind Denied. If
// the state folder cannot be read, nobody may.
func (a *Authority) Check(id Identity) error {
	if !validID(id.ID, connectorRaw) {
		return fault.New(fault.Denied, "connector id %.40q is malformed", id.ID)
	}
	revoked, err := a.state.exists(revokedName(id.ID))
	if err != nil {
		return fault.Wrap(fault.Internal, err, "look up whether connector %s is revoked", id.ID)
	}
	if revoked {
		return fault.New(fault.Denied, "connector %s of location %s is revoked", id.ID, id.Location).
			WithHint("%s", newTokenHint(id.Location))
	}
	if a.now().After(id.NotAfter) {
		return fault.New(fault.Denied, "certificate of connector %s of location %s ended at %s", id.ID, id.Location, instant(id.NotAfter)).
			WithHint("%s", newTokenHint(id.Location))
	}
	return nil
}

func newTokenHint(location string) string {
	return "make a new token at the gateway with `sallyport gateway token --location " + location +
		" --state DIR` and join with it"
}

// Connectors returns every connector known here, revoked and expired ones
// included, by location and then by age.
func (a *Authority) Connectors() ([]Issued, error) {
	recs, err := a.records()
	if err != nil {
		return nil, err
	}
	out := make([]Issued, 0, len(recs))
	for _, r := range recs {
		out = append(out, r.Issued)
	}
	slices.SortFunc(out, func(x, y Issued) int {
		if c := strings.Compare(x.Location, y.Location); c != 0 {
			return c
		}
		return x.Joined.Compare(y.Joined)
	})
	return out, nil
}

// Revoke shuts a connector out for ever: handshakes fail from now on, and
// [Authority.Check] tells of it to whoever holds a session. Revoking twice is
// no error; an unknown id is NotFound.
func (a *Authority) Revoke(id string) error {
	recs, err := a.records()
	if err != nil {
		return err
	}
	var known []string
	for _, r := range recs {
		if r.ID == id && r.Revoked.IsZero() {
			return a.markRevoked(r.Issued)
		}
		if r.ID == id {
			return nil
		}
		known = append(known, r.ID+" ("+r.Location+")")
	}
	e := fault.New(fault.NotFound, "no connector has the id %.40q", id)
	if len(known) == 0 {
		return e.WithHint("no connector has joined yet")
	}
	const some = 8
	if len(known) > some {
		known = append(known[:some], "…")
	}
	return e.WithHint("known are %s", strings.Join(known, ", "))
}

func (a *Authority) markRevoked(c Issued) error {
	if err := a.state.writeJSON(revokedName(c.ID), revocation{Revoked: a.now().UTC()}); err != nil {
		return fault.As(err, "write revocation of connector %s", c.ID)
	}
	a.log().Info("connector revoked", "connector", c.ID, "location", c.Location)
	return nil
}
