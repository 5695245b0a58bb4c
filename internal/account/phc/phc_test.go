package phc_test

import (
	"strings"
	"testing"

	"sallyport.dev/internal/account/phc"
	"sallyport.dev/internal/fault"
)

const good = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQxMjM0NTY3OA$vLHPCRLQ5uLm+Gdx3BJdk7VVvmGwW9j2H3DkKHmRa4E"

const (
	goodBcrypt = "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW"
	goodSHA512 = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
)

// TestParseCrypt reads and writes the hashes of crypt(3).
func TestParseCrypt(t *testing.T) {
	for _, tc := range []struct {
		text string
		kind phc.Kind
		cost uint32
		salt string
	}{
		{goodBcrypt, phc.Bcrypt, 12, "R9h/cIPz0gi.URNNX3kh2O"},
		{strings.Replace(goodBcrypt, "$2b$12$", "$2y$05$", 1), phc.Bcrypt, 5, "R9h/cIPz0gi.URNNX3kh2O"},
		{goodSHA512, phc.SHA512Crypt, 5000, "saltstring"},
		{strings.Replace(goodSHA512, "$6$", "$6$rounds=5000$", 1), phc.SHA512Crypt, 5000, "saltstring"},
		{strings.Replace(goodSHA512, "$6$", "$6$rounds=1000000$", 1), phc.SHA512Crypt, 1_000_000, "saltstring"},
	} {
		h, err := phc.Parse(tc.text)
		if err != nil {
			t.Errorf("%s: %v", tc.text, err)
			continue
		}
		if h.Kind != tc.kind || h.Cost != tc.cost || string(h.Salt) != tc.salt || h.String() != tc.text {
			t.Errorf("%s: got %+v, %s", tc.text, h, h)
		}
	}
}

func TestParse(t *testing.T) {
	h, err := phc.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	if h.Memory != 65536 || h.Time != 3 || h.Lanes != 4 || string(h.Salt) != "somesalt12345678" || len(h.Sum) != 32 {
		t.Errorf("got %+v", h)
	}
	if got := h.String(); got != good {
		t.Errorf("got %s, want %s", got, good)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, text, want string
		kind             fault.Kind
	}{
		{"empty", "", "no hash of argon2id, bcrypt or sha512-crypt", fault.Invalid},
		{"long", "$6$" + strings.Repeat("a", phc.MaxLen), "longer than 512 bytes", fault.Invalid},
		{"bcrypt-cut", goodBcrypt[:59], "no bcrypt hash", fault.Invalid},
		{"bcrypt-longer", goodBcrypt + "a", "no bcrypt hash", fault.Invalid},
		{"bcrypt-alphabet", goodBcrypt[:59] + "=", "no bcrypt hash", fault.Invalid},
		{"bcrypt-variant", strings.Replace(goodBcrypt, "$2b$", "$2x$", 1), "faulty bcrypt", fault.Unsupported},
		{"bcrypt-unknown", strings.Replace(goodBcrypt, "$2b$", "$2c$", 1), "no bcrypt hash", fault.Invalid},
		{"bcrypt-bomb", strings.Replace(goodBcrypt, "$12$", "$31$", 1), "cost 31", fault.Invalid},
		{"bcrypt-free", strings.Replace(goodBcrypt, "$12$", "$03$", 1), "cost 3", fault.Invalid},
		{"bcrypt-sign", strings.Replace(goodBcrypt, "$12$", "$+9$", 1), "no number", fault.Invalid},
		{"sha512-cut", goodSHA512[:60], "no sha512-crypt hash", fault.Invalid},
		{"sha512-no-salt", strings.Replace(goodSHA512, "saltstring", "", 1), "no sha512-crypt hash", fault.Invalid},
		{"sha512-long-salt", strings.Replace(goodSHA512, "saltstring", "saltstringsaltstr", 1), "no sha512-crypt hash", fault.Invalid},
		{"sha512-bomb", strings.Replace(goodSHA512, "$6$", "$6$rounds=999999999$", 1), "999999999 rounds", fault.Invalid},
		{"sha512-few", strings.Replace(goodSHA512, "$6$", "$6$rounds=999$", 1), "999 rounds", fault.Invalid},
		{"sha512-zero", strings.Replace(goodSHA512, "$6$", "$6$rounds=05000$", 1), "no number", fault.Invalid},
		{"braces", "{SHA512-CRYPT}" + goodSHA512, "in braces", fault.Invalid},
		{"sha256-crypt", "$5$salt$digest", "sha256-crypt hash", fault.Unsupported},
		{"yescrypt", "$y$j9T$salt$digest", "yescrypt hash", fault.Unsupported},
		{"argon2i", strings.Replace(good, "argon2id", "argon2i", 1), "argon2i hash", fault.Unsupported},
		{"version", strings.Replace(good, "v=19", "v=16", 1), "version", fault.Unsupported},
		{"memory-bomb", strings.Replace(good, "m=65536", "m=1048577", 1), "m=1048577", fault.Invalid},
		{"memory-zero", strings.Replace(good, "m=65536", "m=0", 1), "m=0", fault.Invalid},
		{"time-bomb", strings.Replace(good, "t=3", "t=17", 1), "t=17", fault.Invalid},
		{"no-lanes", strings.Replace(good, "p=4", "p=0", 1), "p=0", fault.Invalid},
		{"lanes-over-memory", strings.Replace(good, "m=65536", "m=16", 1), "too little memory", fault.Invalid},
		{"order", strings.Replace(good, "m=65536,t=3", "t=3,m=65536", 1), "parameter m", fault.Invalid},
		{"leading-zero", strings.Replace(good, "t=3", "t=03", 1), "parameter t", fault.Invalid},
		{"plus", strings.Replace(good, "t=3", "t=+3", 1), "parameter t", fault.Invalid},
		{"huge", strings.Replace(good, "t=3", "t=99999999999999999999", 1), "parameter t", fault.Invalid},
		{"padding", good + "=", "base64", fault.Invalid},
		{"short-salt", strings.Replace(good, "c29tZXNhbHQxMjM0NTY3OA", "c29t", 1), "salt", fault.Invalid},
		{"short-digest", good[:len(good)-32], "digest", fault.Invalid},
		{"cut", good[:40], "no hash of argon2id", fault.Invalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := phc.Parse(tc.text)
			if err == nil {
				t.Fatal("got no error")
			}

			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %q, want %q in it", err, tc.want)
			}
			if got := fault.KindOf(err); got != tc.kind {
				t.Errorf("got kind %s, want %s", got, tc.kind)
			}
			if tc.kind == fault.Unsupported && tc.name != "version" && !strings.Contains(fault.HintOf(err), "argon2id") {
				t.Errorf("got hint %q, want argon2id named", fault.HintOf(err))
			}
		})
	}
}

// What parses is written back byte for byte and stays within the bounds.
func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Add("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$2b$12$abcdefghijklmnopqrstuv")
	f.Add(goodBcrypt)
	f.Add(goodSHA512)
	f.Add(strings.Replace(goodSHA512, "$6$", "$6$rounds=12345$", 1))
	f.Add("$argon2id$v=19$m=8,t=1,p=1$AAAA\nAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := phc.Parse(s)
		if err != nil {
			if h.Salt != nil || h.Sum != nil || h.Memory != 0 {
				t.Fatalf("got %+v beside an error", h)
			}
			return
		}
		if got := h.String(); got != s {
			t.Fatalf("got %q, want %q", got, s)
		}
		bad := h.Cost < phc.MinBcrypt || h.Cost > phc.MaxBcrypt
		switch h.Kind {
		case phc.Argon2id:
			bad = h.Memory > phc.MaxMemory || h.Time > phc.MaxTime || h.Lanes == 0 || h.Memory < 8*uint32(h.Lanes)
		case phc.SHA512Crypt:
			bad = h.Cost < phc.MinRounds || h.Cost > phc.MaxRounds
		}
		if bad {
			t.Fatalf("out of bounds: %+v", h)
		}
	})
}
