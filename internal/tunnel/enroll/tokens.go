package enroll

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
)

const (
	tokenFolder = "tokens"

	// TokenTTL is how long a token is good when nothing else is asked for.
	TokenTTL = 15 * time.Minute
	// MaxTokenTTL is the longest life a token may be given.
	MaxTokenTTL = 7 * 24 * time.Hour

	// tokenMemory is how long after its expiry a token is remembered, so that
	// whoever comes with it late reads "expired" or "used", not "unknown".
	tokenMemory = 30 * 24 * time.Hour
	// leftoverAge is when an unfinished file belongs to nobody any more.
	leftoverAge = time.Hour
)

func freshName(id string) string { return tokenFolder + "/" + id + ".json" }
func usedName(id string) string  { return tokenFolder + "/" + id + ".used" }

// tokenFile is a token as the state folder keeps it: everything but the secret.
type tokenFile struct {
	Version  int       `json:"version"`
	ID       string    `json:"id"`
	Location string    `json:"location"`
	Made     time.Time `json:"made"`
	Expires  time.Time `json:"expires"`
	Hash     string    `json:"hash"` // hex SHA-256 of the secret, which is 256 random bits
}

func hashSecret(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// fits compares in constant time.
func (t tokenFile) fits(sec string) bool {
	return subtle.ConstantTimeCompare([]byte(t.Hash), []byte(hashSecret(sec))) == 1
}

// NewToken makes a join token for a location. The gateways are the addresses
// (host:port, 1 to 16) that the connector will dial; ttl of 0 means [TokenTTL].
// Only a hash of its secret stays in the state folder. A gateway running beside
// takes the token at once.
func (a *Authority) NewToken(location string, gateways []string, ttl time.Duration) (Token, error) {
	if ttl == 0 {
		ttl = TokenTTL
	}
	if ttl < time.Minute || ttl > MaxTokenTTL {
		return Token{}, fault.New(fault.Invalid, "a join token cannot live %v", ttl).
			WithHint("give it between 1m and %v", MaxTokenTTL)
	}
	sec := make([]byte, secretRaw)
	rand.Read(sec) // never returns an error
	now := a.now().UTC()
	t := Token{
		Gateways: slices.Clone(gateways),
		Location: location,
		Expires:  now.Add(ttl).Truncate(time.Second),
		ID:       newID(tokenIDRaw),
		Secret:   secret.New(tokenText.EncodeToString(sec)),
		Pin:      a.Pin(),
	}
	if err := t.check(); err != nil {
		return Token{}, err
	}
	if t.Encode() == "" {
		return Token{}, fault.New(fault.Invalid, "the gateway addresses are too long for one token").
			WithHint("a token has at most %d characters: give fewer addresses", MaxTokenLen)
	}
	if err := a.sweep(now); err != nil {
		return Token{}, err
	}
	err := a.state.writeJSON(freshName(t.ID), tokenFile{
		Version: 1, ID: t.ID, Location: location, Made: now, Expires: t.Expires, Hash: hashSecret(t.Secret.Reveal()),
	})
	if err != nil {
		return Token{}, fault.As(err, "write join token to %q", a.state.path(tokenFolder))
	}
	a.log().Info("join token made", "token", t)
	return t, nil
}

// errUnknownToken is one answer for a wrong id and a wrong secret: a guesser
// learns nothing.
func errUnknownToken() *fault.Error {
	return fault.New(fault.Unauthenticated, "this gateway does not know the join token").
		WithHint("it was made by another gateway or with another state folder: make one here with " +
			"`sallyport gateway token --location NAME --state DIR`")
}

// findToken looks a token up by what the connector showed. used tells whether
// somebody joined with it already.
func (a *Authority) findToken(id, sec string) (t tokenFile, used bool, err error) {
	if !validID(id, tokenIDRaw) || !validSecret(sec) {
		return tokenFile{}, false, errUnknownToken()
	}
	err = a.state.readJSON(freshName(id), &t)
	if errors.Is(err, fs.ErrNotExist) {
		used = true
		t = tokenFile{}
		err = a.state.readJSON(usedName(id), &t)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return tokenFile{}, false, errUnknownToken()
	case err != nil:
		return tokenFile{}, false, fault.Wrap(fault.Internal, err, "read join token %s", id)
	case t.ID != id || CheckLocation(t.Location) != nil:
		return tokenFile{}, false, fault.New(fault.Internal, "file of join token %s contradicts its name", id)
	case !t.fits(sec):
		return tokenFile{}, false, errUnknownToken()
	}
	return t, used, nil
}

// consume uses the token up. Of all who try, in this process and others, it
// succeeds for one; the rest get false.
func (a *Authority) consume(t tokenFile) (bool, error) {
	err := a.state.root.Rename(freshName(t.ID), usedName(t.ID))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = a.state.syncDir(tokenFolder)
	}
	if err != nil {
		return false, fault.Wrap(fault.Internal, err, "use up join token %s", t.ID)
	}
	return true, nil
}

// putBack makes a token good again after [Authority.consume].
func (a *Authority) putBack(t tokenFile) error {
	if err := a.state.root.Rename(usedName(t.ID), freshName(t.ID)); err != nil {
		return fault.Wrap(fault.Internal, err, "put back join token %s", t.ID)
	}
	return nil
}

// sweep removes what nobody needs any more: tokens a month after their expiry,
// connectors a month after the end of their certificate, and what crashes left.
func (a *Authority) sweep(now time.Time) error {
	return errors.Join(a.sweepLeftovers(), a.sweepTokens(now), a.sweepConnectors(now))
}

func (a *Authority) sweepTokens(now time.Time) error {
	for _, suffix := range []string{".json", ".used"} {
		names, err := a.state.list(tokenFolder, suffix)
		if err != nil {
			return fault.As(err, "list join tokens")
		}
		for _, n := range names {
			n = tokenFolder + "/" + n + suffix
			var t tokenFile
			if err := a.state.readJSON(n, &t); err != nil {
				continue // being used or swept now, or broken: whoever shows it will be told
			}
			if now.After(t.Expires.Add(tokenMemory)) {
				if err := a.remove(n); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (a *Authority) sweepConnectors(now time.Time) error {
	recs, err := a.records()
	if err != nil {
		return err
	}
	for _, r := range recs {
		if now.After(r.NotAfter.Add(tokenMemory)) {
			// The mark goes last: without its record it does no harm, the other
			// way round a revoked connector would look like an expired one.
			if err := errors.Join(a.remove(connectorName(r.ID)), a.remove(revokedName(r.ID))); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweepLeftovers goes by the files' own times, which the file system's clock
// made, not ours. The state folder itself may hold other parts' files: of what
// lies directly in it only our own unfinished authority is touched.
func (a *Authority) sweepLeftovers() error {
	for _, sub := range []string{".", tokenFolder, connectorFolder} {
		names, err := a.state.list(sub, "")
		if err != nil {
			return fault.As(err, "list state folder")
		}
		for _, n := range names {
			if !strings.Contains(n, tmpMark) || sub == "." && !strings.HasPrefix(n, caFolder+tmpMark) {
				continue
			}
			n = path.Join(sub, n)
			fi, err := a.state.root.Lstat(n)
			if err != nil || time.Since(fi.ModTime()) < leftoverAge {
				continue // gone, or perhaps being written now
			}
			if err := a.state.root.RemoveAll(n); err != nil {
				return fault.As(err, "remove leftover %q", a.state.path(n))
			}
		}
	}
	return nil
}

func (a *Authority) remove(name string) error {
	if err := a.state.root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fault.As(err, "remove %q", a.state.path(name))
	}
	return nil
}
