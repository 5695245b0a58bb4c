package enroll

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"io/fs"
	"math/big"
	"time"

	"sallyport.dev/internal/fault"
)

const (
	caFolder = "ca"
	caFile   = "ca.pem"
)

// ca is a gateway system's certificate authority: one key that signs
// everything directly.
type ca struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

// pinOf is what tokens carry of an authority.
func pinOf(cert *x509.Certificate) [32]byte { return sha256.Sum256(cert.RawSubjectPublicKeyInfo) }

// openCA reads the folder's authority, or makes it on first use. Two processes
// that both find none end with the same one.
func openCA(f *folder, now time.Time) (*ca, error) {
	const name = caFolder + "/" + caFile
	b, err := f.readKey(name)
	if errors.Is(err, fs.ErrNotExist) {
		if b, err = newCA(now); err != nil {
			return nil, fault.Wrap(fault.Internal, err, "make certificate authority")
		}
		if _, err = f.publish(caFolder, caFile, b); err != nil {
			return nil, fault.As(err, "write certificate authority to %q", f.path(name))
		}
		b, err = f.readKey(name) // possibly another process's
	}
	if err != nil {
		return nil, fault.As(err, "read certificate authority")
	}
	c, err := parseCA(b)
	if err != nil {
		return nil, fault.As(err, "read certificate authority in %q", f.path(name)).
			WithHint("restore the file from a copy of the state folder; without it every connector has to join anew")
	}
	if now.After(c.cert.NotAfter) {
		return nil, fault.New(fault.Denied, "certificate authority in %q ended on %s", f.path(name), day(c.cert.NotAfter)).
			WithHint("check this machine's clock; if it is right, start with a new state folder and let every connector join anew")
	}
	return c, nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// instant spells a time for people who compare it with a clock on a wall.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func newCA(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	pin := sha256.Sum256(spki)
	t := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{Organization: []string{authorityOrg}, CommonName: hex.EncodeToString(pin[:8])},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	b, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return append(b, encodeCert(der)...), nil
}

func parseCA(b []byte) (*ca, error) {
	key, rest, err := parseKey(b)
	if err != nil {
		return nil, err
	}
	cert, err := parseCert(bytes.TrimSpace(rest))
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) || !cert.IsCA {
		return nil, fault.New(fault.Invalid, "key and certificate do not belong together")
	}
	c := &ca{key: key, cert: cert, pool: x509.NewCertPool()}
	c.pool.AddCert(cert)
	return c, nil
}

// newSerial returns 120 random bits, never zero (RFC 5280, 4.1.2.2).
func newSerial() *big.Int {
	var b [16]byte
	rand.Read(b[1:]) // never returns an error
	b[0] = 1
	return new(big.Int).SetBytes(b[:])
}

// sign issues a certificate for key. It ends with the authority at the latest.
func (c *ca) sign(key *ecdsa.PublicKey, subject pkix.Name, use x509.ExtKeyUsage, names []string, now time.Time, life time.Duration) ([]byte, error) {
	t := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               subject,
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(life),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{use},
		DNSNames:              names,
		BasicConstraintsValid: true,
	}
	if t.NotAfter.After(c.cert.NotAfter) {
		t.NotAfter = c.cert.NotAfter
	}
	if t.NotBefore.Before(c.cert.NotBefore) {
		t.NotBefore = c.cert.NotBefore
	}
	return x509.CreateCertificate(rand.Reader, t, c.cert, key, c.key)
}
