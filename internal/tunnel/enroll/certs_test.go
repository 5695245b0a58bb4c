package enroll_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/tunnel/enroll"
)

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newCSR(t testing.TB, key crypto.Signer, subject string) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: subject, OrganizationalUnit: []string{"plant9"}}, DNSNames: []string{"gateway.sallyport.internal"},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func selfSigned(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key := newKey(t, elliptic.P256())
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serverChain returns what the gateway shows to whoever connects.
func serverChain(t testing.TB, g *gateway) []*x509.Certificate {
	t.Helper()
	raw, err := g.net.Dial(t.Context(), "tcp", gatewayAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // looks, trusts nothing
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return conn.ConnectionState().PeerCertificates
}

func authorityOf(t testing.TB, g *gateway) []byte {
	t.Helper()
	chain := serverChain(t, g)
	return chain[len(chain)-1].Raw
}

func parsePEM(t testing.TB, text []byte) *x509.Certificate {
	t.Helper()
	b, _ := pem.Decode(text)
	if b == nil {
		t.Fatalf("got %q, want PEM", text)
	}
	cert, err := x509.ParseCertificate(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// post sends a join's body to the handler, without a network.
func post(a *enroll.Authority, peer, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/v1/join", strings.NewReader(body))
	r.RemoteAddr = peer
	w := httptest.NewRecorder()
	a.JoinHandler().ServeHTTP(w, r)
	return w
}

func joinBody(t testing.TB, tok enroll.Token, csr []byte) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"version": 1, "token": tok.ID, "secret": tok.Secret.Reveal(), "csr": csr})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// joinAtHandler joins without TLS, so that the two clocks need not agree.
func joinAtHandler(t testing.TB, a *enroll.Authority, tok enroll.Token) enroll.Identity {
	t.Helper()
	w := post(a, "192.0.2.1:1", joinBody(t, tok, newCSR(t, newKey(t, elliptic.P256()), "me")))
	if w.Code != http.StatusOK {
		t.Fatalf("got %d %s, want a certificate", w.Code, w.Body)
	}
	var got struct{ Certificate string }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	id, err := enroll.IdentityOf(parsePEM(t, []byte(got.Certificate)))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newP256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	return newKey(t, elliptic.P256())
}
