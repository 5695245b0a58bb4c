package phc_test

import (
	"strings"
	"testing"

	"sallyport.dev/internal/account/phc"
	"sallyport.dev/internal/fault"
)

const good = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQxMjM0NTY3OA$vLHPCRLQ5uLm+Gdx3BJdk7VVvmGwW9j2H3DkKHmRa4E"

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
		{"empty", "", "no argon2id hash", fault.Invalid},
		{"bcrypt", "$2b$12$abcdefghijklmnopqrstuv", "bcrypt hash", fault.Unsupported},
		{"sha512-crypt", "$6$salt$digest", "sha512-crypt hash", fault.Unsupported},
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
		{"cut", good[:40], "no argon2id hash", fault.Invalid},
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
		if h.Memory > phc.MaxMemory || h.Time > phc.MaxTime || h.Lanes == 0 || h.Memory < 8*uint32(h.Lanes) {
			t.Fatalf("out of bounds: %+v", h)
		}
	})
}
