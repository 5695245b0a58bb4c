package phc

import (
	"strconv"
	"strings"

	"sallyport.dev/internal/fault"
)

// The hashes of crypt(3): three or four fields behind dollar signs, in an alphabet
// of their own for which base64 is only a cousin. Salt and digest are kept as they
// are written.

const (
	bcryptForm    = "$2b$COST$ and 53 characters"
	bcryptSalt    = 22
	bcryptSum     = 31
	sha512Form    = "$6$SALT$DIGEST or $6$rounds=N$SALT$DIGEST"
	sha512Sum     = 86
	sha512MaxSalt = 16
	sha512Rounds  = 5000 // when the hash names none
)

// bcrypt reads $2a$, $2b$ and $2y$, which differ in what made them: the function is
// the same.
func bcrypt(s string) (Hash, error) {
	const head = len("$2b$12$")
	if len(s) != head+bcryptSalt+bcryptSum || !strings.ContainsRune("aby", rune(s[2])) || s[3] != '$' || s[6] != '$' || !cryptText(s[head:]) {
		return Hash{}, fault.New(fault.Invalid, "this is no bcrypt hash").WithHint("its form is %s", bcryptForm)
	}
	cost, err := strconv.ParseUint(s[4:6], 10, 8)
	if err != nil {
		return Hash{}, fault.New(fault.Invalid, "the cost of the bcrypt hash is no number").WithHint("its form is %s", bcryptForm)
	}
	if cost < MinBcrypt || cost > MaxBcrypt {
		return Hash{}, fault.New(fault.Invalid, "the cost %d of the bcrypt hash is out of bounds", cost).
			WithHint("it may be from %d to %d; each step takes twice as long", MinBcrypt, MaxBcrypt)
	}
	return Hash{
		Kind: Bcrypt, Cost: uint32(cost), Head: s[:head],
		Salt: []byte(s[head : head+bcryptSalt]), Sum: []byte(s[head+bcryptSalt:]),
	}, nil
}

// sha512Crypt reads what "Unix crypt using SHA-256 and SHA-512" (Drepper) defines.
// Rounds out of its bounds, which crypt(3) silently moves into them, are refused.
func sha512Crypt(s string) (Hash, error) {
	h := Hash{Kind: SHA512Crypt, Cost: sha512Rounds, Head: "$6$"}
	rest := s[len(h.Head):]
	if digits, ok := strings.CutPrefix(rest, "rounds="); ok {
		digits, rest, _ = strings.Cut(digits, "$")
		n, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || strconv.FormatUint(n, 10) != digits {
			return Hash{}, fault.New(fault.Invalid, "the rounds of the sha512-crypt hash are no number").WithHint("its form is %s", sha512Form)
		}
		if n < MinRounds || n > MaxRounds {
			return Hash{}, fault.New(fault.Invalid, "the sha512-crypt hash wants %d rounds", n).
				WithHint("there may be from %d to %d", MinRounds, MaxRounds)
		}
		h.Cost, h.Head = uint32(n), h.Head+"rounds="+digits+"$"
	}
	salt, sum, ok := strings.Cut(rest, "$")
	if !ok || salt == "" || len(salt) > sha512MaxSalt || len(sum) != sha512Sum || !cryptText(salt) || !cryptText(sum) {
		return Hash{}, fault.New(fault.Invalid, "this is no sha512-crypt hash").WithHint("its form is %s", sha512Form)
	}
	h.Salt, h.Sum = []byte(salt), []byte(sum)
	return h, nil
}

// cryptText reports whether s is of crypt(3)'s alphabet.
func cryptText(s string) bool {
	for _, c := range []byte(s) {
		if c != '.' && c != '/' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
