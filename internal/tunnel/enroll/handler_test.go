package enroll_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
)

type answer struct{ Kind, Text, Hint, Certificate string }

func TestJoinBodies(t *testing.T) {
	g := newGateway(t)
	tok := mustToken(t, g.Authority, "plant1")
	good := joinBody(t, tok, newCSR(t, newP256(t), "x"))
	for _, c := range []struct {
		name, body string
		code       int
		kind       fault.Kind
		text       string
	}{
		{"empty", "", 400, fault.Invalid, "not the JSON of a join"},
		{"junk", "token=1", 400, fault.Invalid, "not the JSON of a join"},
		{"array", "[]", 400, fault.Invalid, "not the JSON of a join"},
		{"unknown-key", strings.Replace(good, `{`, `{"location":"plant9",`, 1), 400, fault.Invalid, "not the JSON of a join"},
		{"trailing", good + "{}", 400, fault.Invalid, "not the JSON of a join"},
		{"cut-off", good[:len(good)/2], 400, fault.Invalid, "not the JSON of a join"},
		{"version", strings.Replace(good, `"version":1`, `"version":2`, 1), 501, fault.Unsupported, "version 2, this gateway takes version 1"},
		{"too-long", good + strings.Repeat(" ", 16<<10), 400, fault.Invalid, "longer than 16384 bytes"},
		{"path-as-id", strings.Replace(good, tok.ID, "../../../etc/pwd", 1), 401, fault.Unauthenticated, "does not know the join token"},
		{"no-secret", strings.Replace(good, tok.Secret.Reveal(), "", 1), 401, fault.Unauthenticated, "does not know the join token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.clock.advance(time.Second * 6) // the rate limit is tested elsewhere
			w := post(g.Authority, "192.0.2.1:1", c.body)
			var got answer
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("got %q: %v", w.Body, err)
			}
			if w.Code != c.code || got.Kind != c.kind.String() || !strings.Contains(got.Text, c.text) || got.Hint == "" {
				t.Errorf("got %d %+v, want %d %v with %q and a hint", w.Code, got, c.code, c.kind, c.text)
			}
			if h := w.Header(); h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/json" {
				t.Errorf("got header %v", h)
			}
		})
	}
	if w := post(g.Authority, "192.0.2.1:1", good); w.Code != http.StatusOK {
		t.Errorf("the good body after all these: got %d %s", w.Code, w.Body)
	}
	if strings.Contains(g.logs.String(), tok.Secret.Reveal()) {
		t.Error("the log holds a secret")
	}
}

func TestJoinsAreRateLimited(t *testing.T) {
	g := newGateway(t)
	code := func(peer string) (int, answer) {
		w := post(g.Authority, peer, "{}")
		var a answer
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		return w.Code, a
	}
	for i := range 10 {
		if c, a := code("192.0.2.1:1"); c != 501 && c != 400 {
			t.Fatalf("join %d: got %d %+v", i, c, a)
		}
	}
	if c, a := code("192.0.2.1:2"); c != http.StatusTooManyRequests || a.Kind != "busy" || !strings.Contains(a.Hint, "again in 6 s") {
		t.Errorf("got %d %+v, want 429 busy", c, a)
	}
	if c, _ := code("192.0.2.2:1"); c == http.StatusTooManyRequests {
		t.Error("another address was refused, too")
	}
	g.clock.advance(7 * time.Second)
	if c, _ := code("192.0.2.1:1"); c == http.StatusTooManyRequests {
		t.Error("still refused after the wait")
	}
	busy := false
	for i := range 60 { // from ever new addresses
		c, _ := code(strings.Replace("198.51.100.N:1", "N", string(rune('0'+i/10))+string(rune('0'+i%10)), 1))
		busy = busy || c == http.StatusTooManyRequests
	}
	if !busy {
		t.Error("60 joins from many addresses were let through at once")
	}
}

func TestBrokenStateIsNotToldToStrangers(t *testing.T) {
	g := newGateway(t)
	tok := mustToken(t, g.Authority, "plant1")
	broken := filepath.Join(g.dir, "connectors", "aaaaaaaa.json")
	if err := os.WriteFile(broken, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	body := joinBody(t, tok, newCSR(t, newP256(t), "x"))
	w := post(g.Authority, "192.0.2.1:1", body)
	var got answer
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	incident := strings.TrimSuffix(strings.TrimPrefix(got.Hint, "look for incident "), " in the gateway's log")
	if w.Code != 500 || got.Kind != "internal" || strings.Contains(w.Body.String(), "connectors") || len(incident) != 8 {
		t.Errorf("got %d %+v, want an incident and nothing else", w.Code, got)
	}
	if s := g.logs.String(); !strings.Contains(s, incident) || !strings.Contains(s, "aaaaaaaa.json") {
		t.Errorf("got log %s, want incident %q and the file", s, incident)
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	if w := post(g.Authority, "192.0.2.1:1", body); w.Code != http.StatusOK {
		t.Errorf("after the repair: got %d %s", w.Code, w.Body)
	}
}

// Whatever is sent, the answer is JSON of a known kind, never our own fault, and
// the token stays good unless the answer is a certificate.
func FuzzJoinBody(f *testing.F) {
	dir := f.TempDir()
	clk := &clock{}
	a := openAuthority(f, dir, clk.now)
	tok, err := a.NewToken("plant1", []string{gatewayAddr}, 0)
	if err != nil {
		f.Fatal(err)
	}
	good := joinBody(f, tok, newCSR(f, newP256(f), "x"))
	for _, s := range []string{
		"", "{}", "[]", "null", good[:len(good)-9], good + "1", strings.Replace(good, tok.ID, "AAAAAAAAAAAAAAAA", 1),
		strings.Replace(good, tok.Secret.Reveal(), sampleToken().Secret.Reveal(), 1), `{"version":1,"csr":"MA=="}`,
		`{"version":1,"token":"` + tok.ID + `","secret":"` + tok.Secret.Reveal() + `","csr":"MIIA"}`,
	} {
		f.Add(s)
	}
	fresh := filepath.Join(dir, "tokens", tok.ID+".json")
	f.Fuzz(func(t *testing.T, body string) {
		clk.advance(time.Minute / 10)
		w := post(a, "192.0.2.1:1", body)
		var got answer
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("got %q: %v", w.Body, err)
		}
		if w.Code == http.StatusOK {
			return // only whoever knows the secret gets here
		}
		kind, known := fault.ParseKind(got.Kind)
		if !known || kind == fault.Internal || got.Text == "" {
			t.Errorf("got %d %+v, want a refusal of a known kind", w.Code, got)
		}
		if _, err := os.Stat(fresh); err != nil {
			t.Errorf("the token was used up by a refusal: %v", err)
		}
	})
}
