package account_test

import (
	"os/exec"
	"strings"
	"sync"
	"testing"

	"sallyport.dev/internal/account"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/testkit"
)

// cryptVectors are those of "Unix crypt using SHA-256 and SHA-512" (Drepper) and of
// crypt_blowfish (Openwall).
var cryptVectors = []struct{ hash, password string }{
	{"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", "Hello world!"},
	{"$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.", "Hello world!"},
	{"$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1", "a very much longer text to encrypt.  This one even stretches over morethan one line."},
	{"$6$rounds=77777$short$WuQyW2YR.hBNpjjRhpYD/ifIw05xdfeEyQoMxIXbkvr0gge1a1x3yRULJ5CCaUeOxFmtlcGZelFl5CxtgfiAc0", "we have a short salt string but not a short password"},
	{"$6$rounds=123456$asaltof16chars..$BtCwjqMJGx5hrJhZywWvt0RLE8uZ4oPwcelCjmw2kSYu.Ec6ycULevoBK25fs2xXgMNrCzIMVcgEJAstJeonj1", "a short string"},
	{"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
	{"$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", "U*U*"},
	{"$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a", "U*U*U"},
	{"$2y$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e", "\xff\xff\xa3"},
	{"$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui", "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"},
}

func TestCryptVectors(t *testing.T) {
	for _, v := range cryptVectors {
		s := newStore(t, account.Account{Name: "a", Hash: v.hash})
		if err := s.Authenticate(t.Context(), "a", secret.New(v.password)); err != nil {
			t.Errorf("%s: %v", v.hash, err)
		}
		if strings.Contains(v.hash, "rounds=") {
			continue // a wrong one takes as long
		}
		wantRefused(t, s.Authenticate(t.Context(), "a", secret.New(v.password[1:])))
		wantRefused(t, s.Authenticate(t.Context(), "a", secret.Text{}))
	}
}

// TestHashesOfOpenSSL takes what openssl makes, of long passwords too.
func TestHashesOfOpenSSL(t *testing.T) {
	openssl, _ := testkit.Tool(t, "openssl")
	for _, password := range []string{"x", "pass word", "grüße", strings.Repeat("0123456789abcdef", 12)} {
		cmd := exec.CommandContext(t.Context(), openssl, "passwd", "-6", "-stdin")
		cmd.Stdin = strings.NewReader(password + "\n")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		hash := strings.TrimSpace(string(out))
		s := newStore(t, account.Account{Name: "a", Hash: hash})
		if err := s.Authenticate(t.Context(), "a", secret.New(password)); err != nil {
			t.Errorf("%q by %s: %v", password, hash, err)
		}
		wantRefused(t, s.Authenticate(t.Context(), "a", secret.New(password+"x")))
	}
}

// TestLoginStorm has two hundred at the door at once: all that are let in get the
// right answer, the others are told to come again.
func TestLoginStorm(t *testing.T) {
	s := newStore(t, account.Account{Name: "a", Hash: cryptVectors[5].hash})
	var wg sync.WaitGroup
	errs := make([]error, 200)
	for i := range errs {
		wg.Go(func() { errs[i] = s.Authenticate(t.Context(), "a", secret.New("wrong")) })
	}
	wg.Wait()
	refused := 0
	for _, err := range errs {
		switch fault.KindOf(err) {
		case fault.Unauthenticated:
			refused++
		case fault.Busy:
		default:
			t.Errorf("got %v", err)
		}
	}
	if refused == 0 {
		t.Error("nobody's turn came")
	}
}
