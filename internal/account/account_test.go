package account_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/argon2"

	"sallyport.dev/internal/account"
	"sallyport.dev/internal/account/phc"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
)

// hashOf makes a hash of a chosen price: mem KiB, one pass.
func hashOf(password string, mem uint32) string {
	h := phc.Hash{Memory: mem, Time: 1, Lanes: 1, Salt: []byte("saltsaltsaltsalt")}
	h.Sum = argon2.IDKey([]byte(password), h.Salt, h.Time, h.Memory, h.Lanes, 32)
	return h.String()
}

func ref(t *testing.T, s string) secret.Ref {
	t.Helper()
	r, err := secret.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newStore(t *testing.T, accounts ...account.Account) *account.Store {
	t.Helper()
	s, err := account.NewStore(accounts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantRefused wants the answer that strangers get, whatever they did wrong.
func wantRefused(t *testing.T, err error) {
	t.Helper()
	if got := fault.KindOf(err); err == nil || got != fault.Unauthenticated {
		t.Errorf("got %v (%s), want it refused as %s", err, got, fault.Unauthenticated)
	} else if got, want := fault.Public(err), "unknown user or wrong password"; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAuthenticate(t *testing.T) {
	t.Setenv("CPI_PASSWORD", "by reference")
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("in a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStore(t,
		account.Account{Name: "hashed", Hash: hashOf("by hash", 64)},
		account.Account{Name: "env", Password: ref(t, "env:CPI_PASSWORD")},
		account.Account{Name: "file", Password: ref(t, "file:"+file)})
	for _, tc := range []struct {
		name, user, password string
		right                bool
	}{
		{"hash", "hashed", "by hash", true},
		{"hash-again", "hashed", "by hash", true},
		{"hash-wrong", "hashed", "by has", false},
		{"hash-empty", "hashed", "", false},
		{"hash-itself", "hashed", hashOf("by hash", 64), false},
		{"env", "env", "by reference", true},
		{"env-wrong", "env", "by Reference", false},
		{"env-longer", "env", "by reference ", false},
		{"env-empty", "env", "", false},
		{"file", "file", "in a file", true},
		{"unknown", "nobody", "by hash", false},
		{"no-name", "", "", false},
		{"endless", "hashed", strings.Repeat("x", 1<<20), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := s.Authenticate(t.Context(), tc.user, secret.New(tc.password))
			if tc.right && err != nil {
				t.Errorf("got %v, want it to be right", err)
			}
			if !tc.right {
				wantRefused(t, err)
			}
		})
	}
	if err := os.WriteFile(file, []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Authenticate(t.Context(), "file", secret.New("another")); err != nil {
		t.Errorf("a changed file: %v", err)
	}
	wantRefused(t, s.Authenticate(t.Context(), "file", secret.New("in a file")))
}

func TestEmptyHashedPasswordIsNeverRight(t *testing.T) {
	s := newStore(t, account.Account{Name: "open", Hash: hashOf("", 64)})
	wantRefused(t, s.Authenticate(t.Context(), "open", secret.Text{}))
	wantRefused(t, s.Authenticate(t.Context(), "open", secret.New(strings.Repeat("x", account.MaxPassword+1))))
}

// allocated returns how many KiB f allocates, which tells whether it hashed.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) >> 10
}

func TestStrangersCostTheSame(t *testing.T) {
	const price = 8 << 10
	t.Setenv("PLAIN", "plain")
	s := newStore(t,
		account.Account{Name: "dear", Hash: hashOf("right", price)},
		account.Account{Name: "cheap", Hash: hashOf("right", 64)},
		account.Account{Name: "crypt", Hash: "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
		account.Account{Name: "plain", Password: ref(t, "env:PLAIN")})
	for _, user := range []string{"dear", "cheap", "crypt", "plain", "nobody"} {
		got := allocated(func() { wantRefused(t, s.Authenticate(t.Context(), user, secret.New("wrong"))) })
		if got < price || got > price+1024 {
			t.Errorf("%s: a wrong password took %d KiB, want %d", user, got, price)
		}
	}
}

func TestRightPasswordIsHashedOnce(t *testing.T) {
	const price = 16 << 10
	s := newStore(t, account.Account{Name: "svc", Hash: hashOf("right", price)})
	got := allocated(func() {
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				if err := s.Authenticate(t.Context(), "svc", secret.New("right")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
	// 128 MiB of room let eight begin; the others find the answer of those.
	if most := uint64(9 * price); got > most {
		t.Errorf("64 logins at once took %d KiB, want at most %d", got, most)
	}
	if got := allocated(func() {
		if err := s.Authenticate(t.Context(), "svc", secret.New("right")); err != nil {
			t.Error(err)
		}
	}); got > 64 {
		t.Errorf("a remembered login took %d KiB", got)
	}
	if got := allocated(func() { wantRefused(t, s.Authenticate(t.Context(), "svc", secret.New("wrong"))) }); got < price {
		t.Errorf("a wrong password beside a remembered one took %d KiB, want it hashed", got)
	}
}

func TestCanceledLogin(t *testing.T) {
	s := newStore(t, account.Account{Name: "svc", Hash: hashOf("right", 64)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Authenticate(ctx, "svc", secret.New("right"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it canceled", err)
	}
}

func TestNewStoreRefuses(t *testing.T) {
	env := ref(t, "env:X")
	for _, tc := range []struct {
		name     string
		accounts []account.Account
		want     string
	}{
		{"no-name", []account.Account{{Password: env}}, `account ""`},
		{"twice", []account.Account{{Name: "a", Password: env}, {Name: "a", Password: env}}, `account "a" has no name of its own`},
		{"nothing", []account.Account{{Name: "a"}}, "either a hash or a reference"},
		{"both", []account.Account{{Name: "a", Password: env, Hash: hashOf("x", 64)}}, "either a hash or a reference"},
		{"bcrypt", []account.Account{{Name: "a", Hash: "$2b$12$abc"}}, `password of account "a": this is no bcrypt hash`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := account.NewStore(tc.accounts); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	t.Setenv("SET", "x")
	t.Setenv("EMPTY", "")
	if err := newStore(t, account.Account{Name: "a", Password: ref(t, "env:SET")}, account.Account{Name: "b", Hash: hashOf("x", 64)}).Check(); err != nil {
		t.Errorf("got %v, want all found", err)
	}
	err := newStore(t, account.Account{Name: "a", Password: ref(t, "env:SALLYPORT_UNSET")}).Check()
	if fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), `account "a"`) {
		t.Errorf("got %v, want account \"a\" named as not found", err)
	}
	if err := newStore(t, account.Account{Name: "a", Password: ref(t, "env:EMPTY")}).Check(); fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v, want the empty password refused", err)
	}
}

func TestAllows(t *testing.T) {
	s := newStore(t,
		account.Account{Name: "erp", Hash: hashOf("x", 64), Groups: []string{"interfaces"}},
		account.Account{Name: "interfaces", Hash: hashOf("x", 64)})
	for _, tc := range []struct {
		subjects, user string
		want           bool
	}{
		{"erp", "erp", true},
		{"erp", "interfaces", false},
		{"@interfaces", "erp", true},
		{"@interfaces", "interfaces", false},
		{"interfaces", "erp", false},
		{"*", "erp", true},
		{"*", "", false},
		{"*", "stranger", false},
		{"?", "", true},
		{"?", "erp", false},
		{"stranger", "stranger", false},
		{"@other erp", "erp", true},
		{"", "erp", false},
	} {
		if got := s.Allows(strings.Fields(tc.subjects), tc.user); got != tc.want {
			t.Errorf("Allows(%q, %q): got %t, want %t", tc.subjects, tc.user, got, tc.want)
		}
	}
}

func TestHash(t *testing.T) {
	text := account.Hash(secret.New("right"))
	h, err := phc.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if h.Memory != 64<<10 || h.Time != 3 || len(h.Salt) != 16 || len(h.Sum) != 32 {
		t.Errorf("got %s", text)
	}
	s := newStore(t, account.Account{Name: "a", Hash: text})
	if err := s.Authenticate(t.Context(), "a", secret.New("right")); err != nil {
		t.Error(err)
	}
}
