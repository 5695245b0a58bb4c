package enroll_test

import (
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel/enroll"
)

func TestRenewal(t *testing.T) {
	g := newGateway(t)
	dir := t.TempDir()
	c := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), dir)
	old := c.Identity()
	if got, want := c.RenewAt(), old.NotAfter.Add(-30*24*time.Hour); got.Sub(want).Abs() > time.Minute {
		t.Errorf("renew at %v, want %v: two thirds of 90 days", got, want)
	}
	cfg := c.ClientConfig(proto) // made before the renewal, used after it
	before, err := cfg.GetClientCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	g.clock.advance(10 * 24 * time.Hour)
	der, key, err := c.CSR()
	if err != nil {
		t.Fatal(err)
	}
	text, err := g.Renew(old, der)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Install(text, key); err != nil {
		t.Fatal(err)
	}
	id := c.Identity()
	if id.ID != old.ID || id.Location != old.Location || id.NotAfter.Sub(old.NotAfter) < 9*24*time.Hour {
		t.Errorf("got %+v after %+v, want the same connector for longer", id, old)
	}
	after, err := cfg.GetClientCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	if before.Leaf.Equal(after.Leaf) || key.PublicKey.Equal(before.Leaf.PublicKey) || !key.PublicKey.Equal(after.Leaf.PublicKey) {
		t.Error("the renewed certificate is not the one that is shown, or has the old key")
	}
	cfg.Time = g.clock.now
	if _, err := shake(t, g, cfg); err != nil {
		t.Errorf("with the new certificate: %v", err)
	}
	again, err := enroll.OpenCredentials(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Identity() != id {
		t.Errorf("on the disk is %+v, want %+v", again.Identity(), id)
	}
	list, err := g.Connectors()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || !list[0].NotAfter.Equal(id.NotAfter) || list[0].Renewed.Sub(list[0].Joined) < 9*24*time.Hour {
		t.Errorf("got %+v, want the renewal in it", list)
	}
}

func TestRenewalRefusals(t *testing.T) {
	g := newGateway(t)
	id := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir()).Identity()
	good := newCSR(t, newP256(t), "x")
	_, err := g.Renew(enroll.Identity{ID: id.ID, Location: "plant2", NotAfter: id.NotAfter}, good)
	if fault.KindOf(err) != fault.Denied {
		t.Errorf("another location: got %v, want Denied", err)
	}
	_, err = g.Renew(enroll.Identity{ID: "../../ca", Location: "plant1", NotAfter: id.NotAfter}, good)
	if fault.KindOf(err) != fault.Denied {
		t.Errorf("malformed id: got %v, want Denied", err)
	}
	if err := g.Revoke(id.ID); err != nil {
		t.Fatal(err)
	}
	_, err = g.Renew(id, good)
	wantFault(t, err, fault.Denied, "is revoked", "gateway token --location plant1")

	late := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir()).Identity()
	g.clock.advance(91 * 24 * time.Hour)
	_, err = g.Renew(late, good)
	wantFault(t, err, fault.Denied, "ended at", "gateway token --location plant1")
}

func TestRenewalTooOften(t *testing.T) {
	g := newGateway(t)
	id := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir()).Identity()
	der := newCSR(t, newP256(t), "x")
	for range 4 {
		if _, err := g.Renew(id, der); err != nil {
			t.Fatal(err)
		}
	}
	_, err := g.Renew(id, der)
	wantFault(t, err, fault.Busy, "renews too often", "ask again in 600 s")
	g.clock.advance(10 * time.Minute)
	if _, err := g.Renew(id, der); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

func TestCertificateRequestRefusals(t *testing.T) {
	g := newGateway(t)
	tok := mustToken(t, g.Authority, "plant1")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := newCSR(t, newP256(t), "x")
	tampered := append([]byte(nil), good...)
	tampered[len(tampered)-1] ^= 1
	for _, c := range []struct {
		name string
		der  []byte
		text string
	}{
		{"nothing", nil, "malformed"},
		{"junk", []byte("junk"), "malformed"},
		{"long", make([]byte, 5<<10), "5120 bytes, at most 4096"},
		{"trailing", append(append([]byte(nil), good...), 0), "malformed"},
		{"rsa", newCSR(t, rsaKey, "x"), "key of type RSA"},
		{"ed25519", newCSR(t, edKey, "x"), "key of type Ed25519"},
		{"p384", newCSR(t, newKey(t, elliptic.P384()), "x"), "key of type ECDSA"},
		{"signature", tampered, "not signed by its own key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := post(g.Authority, "192.0.2.1:1", joinBody(t, tok, c.der))
			if w.Code != 400 || !strings.Contains(w.Body.String(), `"kind":"invalid"`) {
				t.Errorf("got %d %s, want 400 invalid", w.Code, w.Body)
			}
		})
	}
	mustJoin(t, g, tok, t.TempDir()) // none of them used the token up
}

func TestInstallRefusals(t *testing.T) {
	g := newGateway(t)
	dir := t.TempDir()
	c := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), dir)
	other := mustJoin(t, g, mustToken(t, g.Authority, "plant2"), t.TempDir())
	stranger := newGateway(t)
	alien := mustJoin(t, stranger, mustToken(t, stranger.Authority, "plant1"), t.TempDir())
	file := filepath.Join(dir, "connector.json")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	der, key, err := c.CSR()
	if err != nil {
		t.Fatal(err)
	}
	renewed := func(a *enroll.Authority, id enroll.Identity) []byte {
		text, err := a.Renew(id, der)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, tc := range []struct {
		name string
		text []byte
		kind fault.Kind
		says string
	}{
		{"junk", []byte("junk"), fault.Invalid, "not one PEM block"},
		{"long", make([]byte, 9<<10), fault.Invalid, "at most 8192"},
		{"other-connector", renewed(g.Authority, other.Identity()), fault.Denied, "is for connector " + other.Identity().ID},
		{"other-authority", renewed(stranger.Authority, alien.Identity()), fault.Denied, "not from the authority"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := c.Install(tc.text, key)
			if fault.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %v with %q", err, tc.kind, tc.says)
			}
		})
	}
	if err := c.Install(renewed(g.Authority, c.Identity()), newP256(t)); fault.KindOf(err) != fault.Denied {
		t.Errorf("another key: got %v, want Denied", err)
	}
	if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
		t.Errorf("the credentials changed: %v", err)
	}
}

func TestInstallIgnoresAnOlderCertificate(t *testing.T) {
	g := newGateway(t)
	c := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir())
	der, key, err := c.CSR()
	if err != nil {
		t.Fatal(err)
	}
	id := c.Identity()
	older, err := g.Renew(id, der)
	if err != nil {
		t.Fatal(err)
	}
	g.clock.advance(time.Hour)
	newer, err := g.Renew(id, der)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{newer, older} {
		if err := c.Install(text, key); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := c.Identity().NotAfter, parsePEM(t, newer).NotAfter; !got.Equal(want) {
		t.Errorf("got a certificate until %v, want until %v", got, want)
	}
}

func TestRenewalAtAnotherGatewayOfTheSystem(t *testing.T) {
	g := newGateway(t)
	c := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir())
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "ca"), os.DirFS(filepath.Join(g.dir, "ca"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "ca", "ca.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	second := serveGateway(t, dir, g.net, "10.0.0.2:443", g.clock)
	if _, err := hello(t, g.net, c, "10.0.0.2:443"); err != nil {
		t.Fatal(err)
	}
	der, key, err := c.CSR()
	if err != nil {
		t.Fatal(err)
	}
	text, err := second.Renew(c.Identity(), der)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Install(text, key); err != nil {
		t.Fatal(err)
	}
	if err := second.Revoke(c.Identity().ID); err != nil {
		t.Errorf("revoke at the second gateway: %v", err)
	}
}
