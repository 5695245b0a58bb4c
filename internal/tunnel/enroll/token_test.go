package enroll_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/tunnel/enroll"
)

func sampleToken() enroll.Token {
	return enroll.Token{
		Gateways: []string{"gateway.example.com:443", "[2001:db8::1]:8443"},
		Location: "plant1",
		Expires:  time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		ID:       "abcdefghijklmnop",
		Secret:   secret.New("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
		Pin:      [32]byte{1, 2, 3},
	}
}

func TestTokenRoundTrip(t *testing.T) {
	want := sampleToken()
	text := want.Encode()
	if !strings.HasPrefix(text, "sallyport-join-") || strings.ContainsAny(text, " \n") || len(text) > enroll.MaxTokenLen {
		t.Fatalf("got %q, want one line with the prefix", text)
	}
	for _, s := range []string{text, text + "\n", "  " + text + "\r\n"} {
		got, err := enroll.ParseToken(s)
		if err != nil {
			t.Fatalf("parse %q: %v", s, err)
		}
		if got.Secret != want.Secret {
			t.Error("the secret changed on the way")
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(secret.Text.Equal)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

func TestTokenCutOffAnywhere(t *testing.T) {
	text := sampleToken().Encode()
	for n := 1; n < len(text); n++ {
		_, err := enroll.ParseToken(text[:n])
		wantFault(t, err, fault.Invalid, "cut off", "copy the whole line")
	}
}

func TestTokenAlteredAnywhere(t *testing.T) {
	text := sampleToken().Encode()
	for i := len("sallyport-join-"); i < len(text); i++ {
		b := []byte(text)
		if b[i]++; b[i] == '{' {
			b[i] = 'A'
		}
		tok, err := enroll.ParseToken(string(b))
		if err == nil {
			t.Fatalf("byte %d altered: got %v, want an error", i, tok)
		}
		if strings.Contains(err.Error(), string(b[20:40])) {
			t.Errorf("error shows the token: %v", err)
		}
	}
	last := text[:len(text)-1] + "_"
	if last == text {
		last = text[:len(text)-1] + "A"
	}
	_, err := enroll.ParseToken(last)
	wantFault(t, err, fault.Invalid, "altered", "copy the whole line")
}

func TestTokenRefusals(t *testing.T) {
	text := sampleToken().Encode()
	for _, c := range []struct {
		name, in string
		kind     fault.Kind
		text     string
	}{
		{"empty", "", fault.Invalid, "empty"},
		{"blank", " \n", fault.Invalid, "empty"},
		{"other", "hunter2", fault.Invalid, "does not begin with"},
		{"broken-over-lines", text[:60] + "\n" + text[60:], fault.Invalid, "one line"},
		{"twice", text + text, fault.Invalid, "too many"},
		{"something-after", text + "AAAA", fault.Invalid, "4 characters too many"},
		{"huge", "sallyport-join-" + strings.Repeat("A", 1<<20), fault.Invalid, "longer than 2048"},
		{"newer-version", "sallyport-join-AgAA" + text[19:], fault.Unsupported, "version 2, this program reads version 1"},
		{"nothing-inside", "sallyport-join-AQAD", fault.Invalid, "too short"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tok, err := enroll.ParseToken(c.in)
			wantFault(t, err, c.kind, c.text, "")
			if !cmp.Equal(tok, enroll.Token{}, cmp.Comparer(secret.Text.Equal)) {
				t.Errorf("got %v with an error, want the zero token", tok)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error shows what was pasted: %v", err)
			}
		})
	}
}

func TestTokenOutOfBoundsDoesNotEncode(t *testing.T) {
	for name, change := range map[string]func(*enroll.Token){
		"no-gateway":    func(t *enroll.Token) { t.Gateways = nil },
		"many-gateways": func(t *enroll.Token) { t.Gateways = slicesOf("gw:1", 17) },
		"long-gateways": func(t *enroll.Token) { t.Gateways = slicesOf(strings.Repeat("g", 240)+":1", 16) },
		"gateway-port":  func(t *enroll.Token) { t.Gateways = []string{"gw:0"} },
		"gateway-ctrl":  func(t *enroll.Token) { t.Gateways = []string{"g\nw:1"} },
		"location":      func(t *enroll.Token) { t.Location = "../etc" },
		"id":            func(t *enroll.Token) { t.ID = "../../../../etc/" },
		"secret":        func(t *enroll.Token) { t.Secret = secret.New("short") },
		"expires":       func(t *enroll.Token) { t.Expires = time.Unix(-1, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			tok := sampleToken()
			change(&tok)
			if got := tok.Encode(); got != "" {
				t.Errorf("got %q, want nothing", got)
			}
		})
	}
}

func slicesOf(s string, n int) []string {
	var out []string
	for range n {
		out = append(out, s)
	}
	return out
}

func TestTokenNeverPrintsItsSecret(t *testing.T) {
	tok := sampleToken()
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s %v %+v", tok, tok, tok, tok, &tok, []enroll.Token{tok})
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "token", tok, "p", &tok)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "token", tok, "all", []enroll.Token{tok})
	b, err := json.Marshal(tok)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	if s := out.String(); strings.Contains(s, tok.Secret.Reveal()) || !strings.Contains(s, tok.ID) {
		t.Errorf("got %s, want the id and no secret", s)
	}
}

func FuzzParseToken(f *testing.F) {
	text := sampleToken().Encode()
	for _, s := range []string{text, text + "\n", text[:40], "", "sallyport-join-", "sallyport-join-AQAD", "sallyport-join-AgAA", strings.ToUpper(text)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := enroll.ParseToken(s)
		if err != nil {
			if !cmp.Equal(tok, enroll.Token{}, cmp.Comparer(secret.Text.Equal)) {
				t.Errorf("got %v with an error, want the zero token", tok)
			}
			if fault.HintOf(err) == "" {
				t.Errorf("error without a hint: %v", err)
			}
			return
		}
		if got, want := tok.Encode(), strings.TrimSpace(s); got != want {
			t.Errorf("got %q, want %q again", got, want)
		}
	})
}
