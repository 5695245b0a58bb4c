package account

import (
	"cmp"
	"context"
	"crypto/sha512"
	"crypto/subtle"
	"slices"

	"github.com/go-crypt/x/crypt"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"sallyport.dev/internal/account/phc"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
)

// Hash returns a hash of password to write into a document: argon2id with 64 MiB,
// 3 passes and 4 lanes, the second recommendation of RFC 9106 section 4.
func Hash(password secret.Text) string {
	h := phc.Hash{Memory: 64 << 10, Time: 3, Lanes: 4, Salt: random(16), Sum: make([]byte, 32)}
	h.Sum = sumArgon2id(h, password)
	return h.String()
}

func sumArgon2id(h phc.Hash, password secret.Text) []byte {
	return argon2.IDKey([]byte(password.Reveal()), h.Salt, h.Time, h.Memory, h.Lanes, uint32(len(h.Sum))) //nolint:gosec // a digest has at most phc.MaxSum bytes
}

// matches computes h for password and reports whether it is the same.
func matches(h phc.Hash, password secret.Text) bool {
	switch h.Kind {
	case phc.Bcrypt: // which sees no more than 72 bytes of a password
		return bcrypt.CompareHashAndPassword([]byte(h.String()), []byte(password.Reveal())) == nil
	case phc.SHA512Crypt:
		sum := crypt.KeySHACrypt(sha512.New, []byte(password.Reveal()), h.Salt, int(h.Cost))
		return subtle.ConstantTimeCompare(sum, h.Sum) == 1
	}
	return subtle.ConstantTimeCompare(sumArgon2id(h, password), h.Sum) == 1
}

// maxPrices is how many prices of hashes a refusal pays, the dearest ones. What
// cheaper ones cost is not seen beside them.
const maxPrices = 4

// addPrice adds the price of h to list unless it is there: a hash that takes as
// long, and that no password has to match.
func addPrice(list []phc.Hash, h phc.Hash) []phc.Hash {
	if slices.ContainsFunc(list, func(p phc.Hash) bool { return samePrice(p, h) }) {
		return list
	}
	list = append(list, h)
	slices.SortFunc(list, func(a, b phc.Hash) int { return cmp.Compare(nanoseconds(b), nanoseconds(a)) })
	return list[:min(len(list), maxPrices)]
}

func samePrice(a, b phc.Hash) bool {
	return a.Kind == b.Kind && a.Memory == b.Memory && a.Time == b.Time && a.Lanes == b.Lanes && a.Cost == b.Cost
}

// nanoseconds guesses what h takes on one core. It is good enough to tell dear from
// cheap.
func nanoseconds(h phc.Hash) uint64 {
	switch h.Kind {
	case phc.Bcrypt:
		return 55_000 << h.Cost
	case phc.SHA512Crypt:
		return 1_200 * uint64(h.Cost)
	}
	return 800 * uint64(h.Memory) * uint64(h.Time)
}

// pay computes what every price but that of paid costs, so that whoever is refused
// has cost the same work. A nil paid: nothing was computed yet.
func (s *Store) pay(ctx context.Context, paid *phc.Hash, password secret.Text) error {
	for _, p := range s.prices {
		if paid != nil && samePrice(p, *paid) {
			continue
		}
		if _, err := s.hashing(ctx, p, password, func() bool { return false }); err != nil {
			return err
		}
	}
	return nil
}

// lightweight is what a hash that takes no memory to speak of counts in the room for
// hashing, in KiB: it keeps a processor busy all the same.
const lightweight = memory / 8

// hashing checks password against h within the store's bounds. When its turn has
// come it asks known first, and does nothing if that is true.
func (s *Store) hashing(ctx context.Context, h phc.Hash, password secret.Text, known func() bool) (right bool, err error) {
	select {
	case s.queue <- struct{}{}:
		defer func() { <-s.queue }()
	default:
		return false, fault.New(fault.Busy, "too many logins at once").WithHint("try again in a moment")
	}
	need := min(max(int64(h.Memory), lightweightOf(h)), memory)
	if err := s.room.Acquire(ctx, need); err != nil {
		return false, fault.As(err, "wait for the turn to log in")
	}
	defer s.room.Release(need)
	return known() || matches(h, password), nil
}

func lightweightOf(h phc.Hash) int64 {
	if h.Kind == phc.Argon2id {
		return 0
	}
	return lightweight
}
