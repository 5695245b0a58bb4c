package testkit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certs is a certificate authority and one server certificate of it, in memory
// and as PEM files.
type Certs struct {
	CA   *x509.Certificate
	Pool *x509.CertPool  // CA alone
	Leaf tls.Certificate // for the hosts asked for; chain without the CA

	CAFile   string // the CA's certificate
	CertFile string // the leaf's certificate
	KeyFile  string // the leaf's key, PKCS #8
	PEMFile  string // the leaf's key and certificate together

	caKey *ecdsa.PrivateKey
	dir   string
}

// NewCerts makes an authority and a certificate for hosts, which are names or IP
// addresses; none means localhost, 127.0.0.1 and ::1. All are valid for a day.
func NewCerts(t testing.TB, hosts ...string) *Certs {
	t.Helper()
	c := &Certs{Pool: x509.NewCertPool(), dir: t.TempDir()}
	c.caKey = newKey(t)
	template := &x509.Certificate{
		SerialNumber:          serial(t),
		Subject:               pkix.Name{CommonName: "sallyport test authority"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &c.caKey.PublicKey, c.caKey)
	if err != nil {
		t.Fatalf("make test authority: %v", err)
	}
	if c.CA, err = x509.ParseCertificate(der); err != nil {
		t.Fatalf("parse test authority: %v", err)
	}
	c.Pool.AddCert(c.CA)
	c.CAFile = c.write(t, "ca.crt", &pem.Block{Type: "CERTIFICATE", Bytes: der})
	c.Leaf, c.CertFile, c.KeyFile, c.PEMFile = c.issue(t, "leaf", hosts)
	return c
}

// Issue makes another certificate of the same authority, for servers and clients.
func (c *Certs) Issue(t testing.TB, hosts ...string) tls.Certificate {
	t.Helper()
	leaf, _, _, _ := c.issue(t, "leaf-"+serial(t).Text(36), hosts)
	return leaf
}

func (c *Certs) issue(t testing.TB, name string, hosts []string) (leaf tls.Certificate, cert, key, both string) {
	t.Helper()
	if len(hosts) == 0 {
		hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
	k := newKey(t)
	template := &x509.Certificate{
		SerialNumber: serial(t),
		Subject:      pkix.Name{CommonName: hosts[0]},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.CA, &k.PublicKey, c.caKey)
	if err != nil {
		t.Fatalf("make test certificate for %q: %v", hosts, err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("parse test certificate for %q: %v", hosts, err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatalf("marshal test key: %v", err)
	}
	certBlock := &pem.Block{Type: "CERTIFICATE", Bytes: der}
	keyBlock := &pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}
	cert = c.write(t, name+".crt", certBlock)
	key = c.write(t, name+".key", keyBlock)
	both = c.write(t, name+".pem", keyBlock, certBlock)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k, Leaf: parsed}, cert, key, both
}

func (c *Certs) write(t testing.TB, name string, blocks ...*pem.Block) string {
	t.Helper()
	var b []byte
	for _, block := range blocks {
		b = append(b, pem.EncodeToMemory(block)...)
	}
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatalf("write test certificate: %v", err)
	}
	return path
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("make test key: %v", err)
	}
	return k
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatalf("make serial number: %v", err)
	}
	return n
}
