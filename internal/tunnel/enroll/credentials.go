package enroll

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
)

const credentialsFile = "connector.json"

// Credentials are a connector's side: who it is and whom it trusts, for one
// gateway system. [Join] makes them, [OpenCredentials] reads them again. Their
// methods may be called from many goroutines.
type Credentials struct {
	state    *folder
	ca       *x509.Certificate
	pool     *x509.CertPool
	gateways []string

	mu   sync.Mutex // guards the following
	cert *tls.Certificate
	who  Identity
}

// credentialsForm is the file: one, so that key and certificate change together.
type credentialsForm struct {
	Version     int      `json:"version"`
	Gateways    []string `json:"gateways"`    // host:port, as the token had them
	Authority   string   `json:"authority"`   // PEM
	Certificate string   `json:"certificate"` // PEM
	Key         string   `json:"key"`         // PEM, PKCS #8
}

// OpenCredentials reads the credentials in dir. Where nothing has joined yet the
// error is NotFound. Close them after use.
func OpenCredentials(dir string) (*Credentials, error) {
	f, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	c, err := readCredentials(f)
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return c, nil
}

func readCredentials(f *folder) (*Credentials, error) {
	b, err := f.readKey(credentialsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap(fault.NotFound, err, "no connector has joined with the state folder %q", f.dir).
			WithHint("get a token with `sallyport gateway token` at the gateway, then run `sallyport connector join TOKEN --state %s`", f.dir)
	}
	if err != nil {
		return nil, fault.As(err, "read connector's credentials")
	}
	c, err := parseCredentials(f, b)
	if err != nil {
		return nil, fault.As(err, "read connector's credentials in %q", f.path(credentialsFile)).
			WithHint("restore the file, or remove it and join anew")
	}
	return c, nil
}

func parseCredentials(f *folder, b []byte) (*Credentials, error) {
	var form credentialsForm
	if decodeStrict(b, &form) != nil || form.Version != 1 {
		return nil, fault.New(fault.Invalid, "file is not a connector's credentials, version 1")
	}
	key, rest, err := parseKey([]byte(form.Key))
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fault.New(fault.Invalid, "something follows the private key")
	}
	authority, err := parseCert([]byte(form.Authority))
	if err != nil {
		return nil, err
	}
	for _, g := range form.Gateways {
		if err := checkGateway(g); err != nil {
			return nil, err
		}
	}
	c := newCredentials(f, authority, form.Gateways)
	cert, who, err := c.verify([]byte(form.Certificate), key)
	if err != nil {
		return nil, err
	}
	c.cert, c.who = cert, who
	return c, nil
}

func newCredentials(f *folder, authority *x509.Certificate, gateways []string) *Credentials {
	c := &Credentials{state: f, ca: authority, pool: x509.NewCertPool(), gateways: slices.Clone(gateways)}
	c.pool.AddCert(authority)
	return c
}

// Close lets go of the state folder. TLS configurations made before stay good;
// [Credentials.Install] fails from then on.
func (c *Credentials) Close() error { return c.state.close() }

// Gateways returns the addresses that came with the token.
func (c *Credentials) Gateways() []string { return slices.Clone(c.gateways) }

// Pin returns the pin of the one authority that is trusted.
func (c *Credentials) Pin() [32]byte { return pinOf(c.ca) }

// Identity returns who the connector is, by its newest certificate.
func (c *Credentials) Identity() Identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.who
}

// RenewAt returns when to renew: after two thirds of the certificate's life. It
// may be past already.
func (c *Credentials) RenewAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	start := c.cert.Leaf.NotBefore.Add(backdate)
	return start.Add(c.cert.Leaf.NotAfter.Sub(start) * 2 / 3)
}

// ClientConfig returns the TLS side of a connection to a gateway: TLS 1.3, the
// one authority, the protocol by ALPN, and whatever certificate is newest when
// the handshake happens. Words for its errors come from [Credentials.Explain].
func (c *Credentials) ClientConfig(proto string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    c.pool,
		ServerName: serverName,
		NextProtos: []string{proto},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.cert, nil
		},
		VerifyConnection: func(cs tls.ConnectionState) error {
			if cs.NegotiatedProtocol != proto {
				return fault.New(fault.Unsupported, "gateway does not speak %s", proto).
					WithHint("use the same version of sallyport at gateway and connector")
			}
			return nil
		},
	}
}

// CSR makes a new key and a certificate request for it (RFC 2986, DER), to be
// sent to [Authority.Renew] over a session. Nothing changes until
// [Credentials.Install] gets the key back with the answer.
func (c *Credentials) CSR() (der []byte, key *ecdsa.PrivateKey, err error) { return newCSR() }

func newCSR() ([]byte, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fault.Wrap(fault.Internal, err, "make a key")
	}
	der, err := csrFor(key)
	return der, key, err
}

func csrFor(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "make a certificate request")
	}
	return der, nil
}

// Install takes a renewed certificate into use: it is checked, written, and
// shown in every handshake from then on. A certificate for another key,
// connector, location or authority is refused (Denied) and nothing changes.
// One that ends earlier than the present one is ignored: two gateways may have
// renewed at the same time.
func (c *Credentials) Install(certPEM []byte, key *ecdsa.PrivateKey) error {
	cert, who, err := c.verify(certPEM, key)
	if err != nil {
		return fault.As(err, "install renewed certificate")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if who.ID != c.who.ID || who.Location != c.who.Location {
		return fault.New(fault.Denied, "renewed certificate is for connector %s of location %s, not for %s of %s",
			who.ID, who.Location, c.who.ID, c.who.Location)
	}
	if who.NotAfter.Before(c.who.NotAfter) {
		return nil
	}
	if err := c.writeLocked(certPEM, key); err != nil {
		return err
	}
	c.cert, c.who = cert, who
	return nil
}

// verify checks a certificate against the authority and the key. When it is
// valid is the gateway's question, not asked here: this clock may be wrong, and
// an expired connector still has to say who it is.
func (c *Credentials) verify(certPEM []byte, key *ecdsa.PrivateKey) (*tls.Certificate, Identity, error) {
	cert, err := parseCert(certPEM)
	if err != nil {
		return nil, Identity{}, err
	}
	_, err = cert.Verify(x509.VerifyOptions{
		Roots: c.pool, CurrentTime: cert.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, Identity{}, fault.Wrap(fault.Denied, err, "certificate is not from the authority it should be from")
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, Identity{}, fault.New(fault.Denied, "certificate is for another key")
	}
	who, err := IdentityOf(cert)
	if err != nil {
		return nil, Identity{}, err
	}
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, who, nil
}

// writeLocked brings the credentials to the disk.
func (c *Credentials) writeLocked(certPEM []byte, key *ecdsa.PrivateKey) error {
	keyPEM, err := encodeKey(key)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "write connector's key")
	}
	err = c.state.writeJSON(credentialsFile, credentialsForm{
		Version: 1, Gateways: c.gateways, Authority: string(encodeCert(c.ca.Raw)), Certificate: string(certPEM), Key: string(keyPEM),
	})
	if err != nil {
		return fault.As(err, "write connector's credentials to %q", c.state.path(credentialsFile))
	}
	return nil
}
