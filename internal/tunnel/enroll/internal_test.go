package enroll

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
)

// When the certificate cannot be issued, nobody got anything for the token.
func TestTokenIsPutBackWhenIssuingFails(t *testing.T) {
	a, err := OpenAuthority(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	tok, err := a.NewToken("plant1", []string{"gw:1"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	csr, _, err := newCSR()
	if err != nil {
		t.Fatal(err)
	}
	req := joinRequest{Version: 1, Token: tok.ID, Secret: tok.Secret.Reveal(), CSR: csr}
	wrong, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	right := a.ca
	a.ca = &ca{key: wrong, cert: right.cert, pool: right.pool}
	if _, err := a.join(req); fault.KindOf(err) != fault.Internal {
		t.Fatalf("got %v, want an internal error", err)
	}
	a.ca = right
	if _, err := a.join(req); err != nil {
		t.Errorf("the second try: %v", err)
	}
}

func TestSourceKey(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:1234":            "192.0.2.1",
		"[::ffff:192.0.2.1]:1":      "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::]:1":   "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1":          "fe80::/64",
		"pipe":                      "",
	} {
		if got := SourceKey(in); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

func TestLimiterRemembersOnlySoMany(t *testing.T) {
	l := joinLimits()
	l.all.SetBurst(1 << 20)
	now := time.Now()
	for i := range 5000 {
		l.allow(fmt.Sprint(i), now)
	}
	if got := len(l.seen); got != l.keys {
		t.Errorf("got %d keys remembered, want %d", got, l.keys)
	}
	if wait, ok := l.allow("new", now); ok || wait <= 0 {
		t.Errorf("got %v, %v for a new key with no room, want a wait", wait, ok)
	}
	if _, ok := l.allow("new", now.Add(time.Minute)); !ok || len(l.seen) != 1 {
		t.Errorf("got %v with %d keys after a minute, want room", ok, len(l.seen))
	}
}

func TestRefusalFromTheWire(t *testing.T) {
	for _, c := range []struct {
		name, body string
		kind       fault.Kind
		text       string
	}{
		{"ours", `{"kind":"denied","text":"no","hint":"go"}`, fault.Denied, "no"},
		{"newer-kind", `{"kind":"sleepy","text":"no"}`, fault.Internal, "no"},
		{"terminal", `{"kind":"denied","text":"a\u001b[2Jb\r\n\u202ec"}`, fault.Denied, "a?[2Jb???c"},
		{"html", `<html>`, fault.Internal, "HTTP status 403 and no reason"},
		{"empty", `{}`, fault.Internal, "HTTP status 403 and no reason"},
		{"long", `{"kind":"busy","text":"` + strings.Repeat("é", 900) + `"}`, fault.Busy, strings.Repeat("é", 500) + "…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := decodeRefusal(403, []byte(c.body))
			if got := fault.KindOf(err); got != c.kind || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v %q, want %v %q", got, err, c.kind, c.text)
			}
		})
	}
}

func TestCheckLocation(t *testing.T) {
	for s, want := range map[string]bool{
		"plant1": true, "A.b-c_9": true, "1": true, strings.Repeat("a", 63): true,
		"": false, ".": false, "-a": false, "_a": false, "a b": false, "a/b": false, "é": false, "a\x00": false, strings.Repeat("a", 64): false,
	} {
		if got := CheckLocation(s) == nil; got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	}
}
