package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
)

// Authenticate checks the password of the account called name. Whoever is not
// known and whoever gives a wrong password get the same [fault.Unauthenticated]
// after the same work. Too many logins at once are [fault.Busy]; a reference that
// cannot be resolved is the operator's error and told as such.
func (s *Store) Authenticate(ctx context.Context, name string, password secret.Text) error {
	if len(password.Reveal()) > MaxPassword {
		password = secret.Text{} // bounded work, and never right
	}
	e, known := s.accounts[name]
	switch {
	case !known:
		return s.refuse(ctx, password)
	case e.Hash != "":
		return s.byHash(ctx, e, password)
	}
	want, err := e.Password.Resolve()
	if err != nil {
		return fault.As(err, "find the password of account %q", name)
	}
	if want.Empty() || !same(s.seen.key, want, password) {
		return s.refuse(ctx, password)
	}
	return nil
}

func (s *Store) byHash(ctx context.Context, e entry, password secret.Text) error {
	mark := s.seen.mark(e.Name, e.Hash, password)
	if s.seen.has(mark) {
		return nil
	}
	right, err := s.hashing(ctx, e.hash, password, func() bool {
		return s.seen.has(mark) // somebody before us in the queue had the same password
	})
	if err != nil {
		return err
	}
	if !right || password.Empty() {
		if err := s.pay(ctx, &e.hash, password); err != nil {
			return err
		}
		return refused()
	}
	s.seen.add(mark)
	return nil
}

// refuse costs as much as a wrong password of an account with a hash.
func (s *Store) refuse(ctx context.Context, password secret.Text) error {
	if err := s.pay(ctx, nil, password); err != nil {
		return err
	}
	return refused()
}

func refused() error {
	return fault.New(fault.Unauthenticated, "unknown user or wrong password").
		WithHint("accounts stand under `accounts` in the document")
}

// same compares by keyed digests, so that the time tells no length either.
func same(key []byte, a, b secret.Text) bool {
	return hmac.Equal(digest(key, a.Reveal()), digest(key, b.Reveal()))
}

func digest(key []byte, parts ...string) []byte {
	m := hmac.New(sha256.New, key)
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		m.Write(n[:])
		m.Write([]byte(p))
	}
	return m.Sum(nil)
}

// memo remembers right passwords, by a digest whose key is made at the start and
// never leaves this process. Wrong ones are not remembered: there are too many.
type memo struct {
	key []byte

	mu   sync.Mutex                      // guards till
	till map[[sha256.Size]byte]time.Time // at most as many as are remembered
}

func newMemo() *memo {
	return &memo{key: random(sha256.Size), till: map[[sha256.Size]byte]time.Time{}}
}

// mark returns the digest of one account's password. The hash is part of it, so
// that a changed one is checked anew.
func (m *memo) mark(name, hash string, password secret.Text) [sha256.Size]byte {
	return [sha256.Size]byte(digest(m.key, name, hash, password.Reveal()))
}

func (m *memo) has(mark [sha256.Size]byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	till, ok := m.till[mark]
	return ok && time.Now().Before(till)
}

// add remembers mark. When there is no room the one that ends first makes it.
func (m *memo) add(mark [sha256.Size]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if _, ok := m.till[mark]; !ok && len(m.till) >= remembered {
		var first [sha256.Size]byte
		var at time.Time
		for k, t := range m.till {
			if at.IsZero() || t.Before(at) {
				first, at = k, t
			}
		}
		delete(m.till, first)
	}
	m.till[mark] = now.Add(rememberFor)
}
