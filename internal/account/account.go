// Package account knows who may log in, and checks passwords.
//
// A [Store] holds [Account]s and answers [Store.Authenticate]. A password is
// known by its hash (see package phc for the kinds) or by a reference to the
// password itself, which is read anew at each login. Sites and the
// gateway's SOCKS5 listener ask the same store; what somebody may do after
// logging in is [Store.Allows] for lists of subjects, and theirs beyond that.
//
// It is made for strangers at the door: a wrong password and an unknown name cost
// the same work and give the same error, however the accounts' hashes differ; the
// memory that hashing takes at one moment is bounded, and so is the queue for it. Right answers are remembered for
// a few minutes, since programs open many connections with one password.
package account

import (
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"sallyport.dev/internal/account/phc"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
)

// The bounds of a [Store].
const (
	MaxPassword = 1024            // bytes of a password
	rememberFor = 5 * time.Minute // how long a right password is remembered
	remembered  = 1024            // how many are
	memory      = 128 << 10       // KiB that hashing may take at one moment, one hash at least
	maxWaiting  = 128             // logins that may wait for that memory
)

// Account is somebody who may log in. Exactly one of Hash and Password is set.
type Account struct {
	Name     string
	Hash     string     // as package phc reads it
	Password secret.Ref // where the password is
	Groups   []string
}

// entry is an account, ready to check against.
type entry struct {
	Account
	hash phc.Hash
}

// Store is a set of accounts. It may be used by many goroutines.
type Store struct {
	accounts map[string]entry
	prices   []phc.Hash // what is computed for whoever is refused; none: nothing needs to be
	seen     *memo
	room     *semaphore.Weighted // in KiB
	queue    chan struct{}
}

// NewStore checks accounts and returns a store of them. It resolves no reference:
// [Store.Check] does.
func NewStore(accounts []Account) (*Store, error) {
	s := &Store{
		accounts: make(map[string]entry, len(accounts)),
		seen:     newMemo(),
		room:     semaphore.NewWeighted(memory),
		queue:    make(chan struct{}, maxWaiting),
	}
	for _, a := range accounts {
		e := entry{Account: a}
		if _, twice := s.accounts[a.Name]; twice || a.Name == "" {
			return nil, fault.New(fault.Invalid, "account %q has no name of its own", a.Name)
		}
		if (a.Hash == "") == a.Password.IsZero() {
			return nil, fault.New(fault.Invalid, "account %q needs either a hash or a reference to a password", a.Name)
		}
		if a.Hash != "" {
			var err error
			if e.hash, err = phc.Parse(a.Hash); err != nil {
				return nil, fault.As(err, "read the password of account %q", a.Name)
			}
			s.prices = addPrice(s.prices, e.hash)
		}
		s.accounts[a.Name] = e
	}
	return s, nil
}

// Check resolves every reference once, so that a missing one is found at the start
// and not at somebody's login.
func (s *Store) Check() error {
	for name, e := range s.accounts {
		if e.Password.IsZero() {
			continue
		}
		text, err := e.Password.Resolve()
		if err != nil {
			return fault.As(err, "find the password of account %q", name)
		}
		if text.Empty() {
			return fault.New(fault.Invalid, "the password of account %q is empty", name).
				WithHint("put one into %s", e.Password)
		}
	}
	return nil
}

// Allows reports whether subjects name the account called name: by its name, by
// "@group" or by "*". The empty name is the anonymous one, which only "?" names.
func (s *Store) Allows(subjects []string, name string) bool {
	e, known := s.accounts[name]
	for _, sub := range subjects {
		group, isGroup := strings.CutPrefix(sub, "@")
		switch {
		case name == "":
			if sub == "?" {
				return true
			}
		case !known:
		case sub == "*", isGroup && slices.Contains(e.Groups, group), !isGroup && sub == name:
			return true
		}
	}
	return false
}

// Groups returns the groups of the account called name.
func (s *Store) Groups(name string) []string { return slices.Clone(s.accounts[name].Groups) }

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: it ends the program instead
	return b
}
