// Package phc is the grammar of password hashes as text. Three kinds are read:
//
//	$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQxMjM0NTY3OA$vLHPCRLQ...
//	 │         │    │       │   │   └ salt                  └ digest, both unpadded base64
//	 │         │    │       │   └ lanes
//	 │         │    │       └ passes over the memory
//	 │         │    └ memory in KiB
//	 │         └ version 1.3 of Argon2 (RFC 9106), the only one read
//	 └ the PHC string format
//
//	$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW
//	    │  └ 22 characters of salt, 31 of digest: bcrypt, as htpasswd -B makes it
//	    └ binary logarithm of its rounds
//
//	$6$rounds=5000$salt$digest of 86 characters: sha512-crypt, as /etc/shadow has it
//	   └ may be left out: 5000
//
// A hash decides how much memory and time it costs to check a password against
// it, so [Parse] bounds both. It computes nothing: package account does.
package phc

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"sallyport.dev/internal/fault"
)

// The bounds of what [Parse] takes.
const (
	MaxLen    = 512     // bytes of text
	MaxMemory = 1 << 20 // KiB: 1 GiB
	MaxTime   = 16
	MaxLanes  = 16
	MinSalt   = 8 // bytes, as RFC 9106 section 3.1 has it
	MaxSalt   = 64
	MinSum    = 16
	MaxSum    = 64

	MinBcrypt = 4  // the least that bcrypt knows
	MaxBcrypt = 15 // some seconds
	MinRounds = 1000
	MaxRounds = 1_000_000 // about a second
)

// Kind is the function that made a hash.
type Kind uint8

// The kinds of hashes.
const (
	Argon2id Kind = iota
	Bcrypt
	SHA512Crypt
)

// Hash is a password hash and what it takes to compute it again.
type Hash struct {
	Kind   Kind
	Memory uint32 // of argon2id, KiB
	Time   uint32 // of argon2id, passes
	Lanes  uint8  // of argon2id
	Cost   uint32 // of bcrypt, the binary logarithm of its rounds; of sha512-crypt, its rounds
	Head   string // of the other two, what stands before the salt
	Salt   []byte // of the other two as it is written
	Sum    []byte // likewise
}

// others are the heads of hashes that people have and this package does not read.
var others = []struct{ prefix, name string }{
	{"$argon2i$", "argon2i"}, {"$argon2d$", "argon2d"},
	{"$2x$", "faulty bcrypt"}, {"$2$", "faulty bcrypt"},
	{"$5$", "sha256-crypt"}, {"$1$", "md5-crypt"}, {"$apr1$", "Apache's md5"}, {"$y$", "yescrypt"}, {"$gy$", "yescrypt"}, {"$7$", "scrypt"},
	{"{SSHA", "LDAP's salted"}, {"{SHA}", "LDAP's"}, {"$pbkdf2", "PBKDF2"}, {"$scrypt$", "scrypt"},
}

const form = "$argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$DIGEST"

// Parse reads s. What it takes, [Hash.String] writes back byte for byte. Errors are
// [fault.Invalid], or [fault.Unsupported] for hashes of other kinds; none shows s.
func Parse(s string) (Hash, error) {
	for _, o := range others {
		if strings.HasPrefix(s, o.prefix) {
			return Hash{}, fault.New(fault.Unsupported, "a %s hash is not read", o.name).
				WithHint("argon2id, bcrypt and sha512-crypt are; hash the password anew: sallyport account hash")
		}
	}
	switch {
	case len(s) > MaxLen:
		return Hash{}, fault.New(fault.Invalid, "the hash is longer than %d bytes", MaxLen)
	case strings.HasPrefix(s, "$2"):
		return bcrypt(s)
	case strings.HasPrefix(s, "$6$"):
		return sha512Crypt(s)
	case strings.HasPrefix(s, "{"):
		return Hash{}, fault.New(fault.Invalid, "the hash has a name in braces before it").WithHint("begin with its $")
	}
	return argon2id(s)
}

func argon2id(s string) (Hash, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return Hash{}, fault.New(fault.Invalid, "this is no hash of argon2id, bcrypt or sha512-crypt").
			WithHint("make one with: sallyport account hash; its form is %s", form)
	}
	if parts[2] != "v=19" {
		return Hash{}, fault.New(fault.Unsupported, "this version of argon2id is not read").WithHint("version 1.3 is: v=19")
	}
	var h Hash
	if err := h.parameters(parts[3]); err != nil {
		return Hash{}, err
	}
	var err error
	if h.Salt, err = blob(parts[4], "salt", MinSalt, MaxSalt); err != nil {
		return Hash{}, err
	}
	if h.Sum, err = blob(parts[5], "digest", MinSum, MaxSum); err != nil {
		return Hash{}, err
	}
	return h, nil
}

// parameters reads "m=65536,t=3,p=4", in this order.
func (h *Hash) parameters(s string) error {
	fields := strings.Split(s, ",")
	if len(fields) != 3 {
		return fault.New(fault.Invalid, "the hash has no parameters m, t and p").WithHint("its form is %s", form)
	}
	m, err := parameter(fields[0], "m", 8, MaxMemory)
	if err != nil {
		return err
	}
	t, err := parameter(fields[1], "t", 1, MaxTime)
	if err != nil {
		return err
	}
	p, err := parameter(fields[2], "p", 1, MaxLanes)
	if err != nil {
		return err
	}
	if m < 8*p {
		return fault.New(fault.Invalid, "m=%d is too little memory for p=%d", m, p).WithHint("argon2 wants 8 KiB a lane at least")
	}
	h.Memory, h.Time, h.Lanes = m, t, uint8(p) //nolint:gosec // at most MaxLanes
	return nil
}

func parameter(s, name string, low, high uint32) (uint32, error) {
	digits, ok := strings.CutPrefix(s, name+"=")
	n, err := strconv.ParseUint(digits, 10, 32)
	if !ok || err != nil || strconv.FormatUint(n, 10) != digits {
		return 0, fault.New(fault.Invalid, "parameter %s of the hash is no number", name).WithHint("its form is %s", form)
	}
	if n < uint64(low) || n > uint64(high) {
		return 0, fault.New(fault.Invalid, "parameter %s=%d of the hash is out of bounds", name, n).
			WithHint("%s may be from %d to %d; m is in KiB", name, low, high)
	}
	return uint32(n), nil
}

var encoding = base64.RawStdEncoding.Strict()

func blob(s, name string, low, high int) ([]byte, error) {
	b, err := encoding.DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, fault.New(fault.Invalid, "the %s of the hash is no unpadded base64", name).WithHint("its form is %s", form)
	}
	if len(b) < low || len(b) > high {
		return nil, fault.New(fault.Invalid, "the %s of the hash has %d bytes", name, len(b)).
			WithHint("it may have from %d to %d", low, high)
	}
	return b, nil
}

// String writes h as it is read.
func (h Hash) String() string {
	switch h.Kind {
	case Bcrypt:
		return h.Head + string(h.Salt) + string(h.Sum)
	case SHA512Crypt:
		return h.Head + string(h.Salt) + "$" + string(h.Sum)
	}
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", h.Memory, h.Time, h.Lanes,
		encoding.EncodeToString(h.Salt), encoding.EncodeToString(h.Sum))
}
