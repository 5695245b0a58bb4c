package daemon

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sallyport.dev/internal/config"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/secret"
)

const (
	// certLook is how often a certificate's files are looked at, at most.
	certLook = 5 * time.Second
	// certLife and certRenew bound the life of a certificate that a site makes.
	certLife  = 2 * 365 * 24 * time.Hour
	certRenew = 30 * 24 * time.Hour
)

// siteCert is the certificate of a site. Its files are read again when it is
// asked for, so that a renewed one is shown without a restart; while they are
// broken the last good one is.
type siteCert struct {
	read func() (cert, key []byte, err error)
	log  *slog.Logger

	// Of whoever looks, one at a time:
	text   []byte // of the certificate that is shown, and its key
	failed string // what was logged last

	mu      sync.Mutex // guards the following
	looking bool
	looked  time.Time
	shown   *tls.Certificate
}

// newSiteCert finds the certificate of a site and fails if there is none yet.
func newSiteCert(w *world, cfg config.Site) (*siteCert, error) {
	c := &siteCert{log: w.log.With("site", cfg.Name)}
	switch t := cfg.TLS; {
	case !t.Certificate.Auto:
		c.read = func() (cert, key []byte, err error) { return resolvePair(t.Certificate.Ref, t.Key) }
	case w.opts.Stateless:
		made := &madeCert{site: cfg}
		c.read = made.inMemory
	default:
		made := &madeCert{site: cfg, file: filepath.Join(w.cfg.State, "sites", cfg.Name+".pem")}
		c.read = made.inFile
	}
	if err := c.load(); err != nil {
		return nil, fault.As(err, "the certificate of site %q", cfg.Name)
	}
	sum := sha256.Sum256(c.shown.Certificate[0])
	c.looked = time.Now()
	c.log.Info("certificate", "auto", cfg.TLS.Certificate.Auto, "sha256", hex.EncodeToString(sum[:]), "until", c.shown.Leaf.NotAfter)
	return c, nil
}

func resolvePair(cert, key secret.Ref) (c, k []byte, err error) {
	ct, err := cert.Resolve()
	if err != nil {
		return nil, nil, err
	}
	kt, err := key.Resolve()
	return []byte(ct.Reveal()), []byte(kt.Reveal()), err
}

// get is what TLS asks for every handshake.
func (c *siteCert) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	look := !c.looking && time.Since(c.looked) >= certLook
	if look {
		c.looking = true
	}
	c.mu.Unlock()
	if look {
		err := c.load()
		switch {
		case err == nil:
			c.failed = ""
		case err.Error() != c.failed:
			c.failed = err.Error()
			c.log.Warn("certificate cannot be read anew, the last one is shown", "err", err)
		}
		c.mu.Lock()
		c.looking, c.looked = false, time.Now()
		c.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown, nil
}

// load reads the certificate and shows it if it is another than before. One
// goroutine at a time calls it.
func (c *siteCert) load() error {
	cert, key, err := c.read()
	if err != nil {
		return err
	}
	text := append(append(cert, 0), key...)
	if bytes.Equal(text, c.text) {
		return nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "reading certificate and key").
			WithHint("they are PEM; the key belongs to the first certificate of the chain")
	}
	if c.text != nil {
		c.log.Info("certificate was renewed", "until", pair.Leaf.NotAfter)
	}
	c.text = text
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown = &pair
	return nil
}

// madeCert is a certificate that a site makes itself, signed by nobody else.
type madeCert struct {
	site config.Site
	file string // empty: it is kept in memory
	kept []byte
}

func (m *madeCert) inMemory() (cert, key []byte, err error) {
	if !fresh(m.kept) {
		if m.kept, err = m.make(); err != nil {
			return nil, nil, err
		}
	}
	return bytes.Clone(m.kept), m.kept, nil
}

func (m *madeCert) inFile() (cert, key []byte, err error) {
	m.kept, err = os.ReadFile(m.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	if fresh(m.kept) {
		return bytes.Clone(m.kept), m.kept, nil
	}
	if m.kept, err = m.make(); err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(filepath.Dir(m.file), 0o700); err != nil {
		return nil, nil, err
	}
	part := m.file + ".new"
	if err := os.WriteFile(part, m.kept, 0o600); err != nil {
		return nil, nil, err
	}
	return bytes.Clone(m.kept), m.kept, os.Rename(part, m.file)
}

// fresh reports whether text has a certificate that is good for a while.
func fresh(text []byte) bool {
	block, _ := pem.Decode(text)
	if block == nil {
		return false
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	return err == nil && time.Until(cert.NotAfter) > certRenew
}

// make returns a new certificate and its key as PEM. It names the addresses and
// names by which the site can be known from here.
func (m *madeCert) make() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: m.site.Name},
		NotBefore:    time.Now().Add(-time.Hour), // clocks differ
		NotAfter:     time.Now().Add(certLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if name, err := os.Hostname(); err == nil {
		template.DNSNames = append(template.DNSNames, name)
	}
	names, addrs := reachedAs(m.site)
	template.DNSNames, template.IPAddresses = append(template.DNSNames, names...), append(template.IPAddresses, addrs...)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...), nil
}

// The document's words for policies, in the server's.
var (
	controlPolicies = map[config.ControlPolicy]ftpserver.ControlPolicy{
		config.ControlRequire: ftpserver.ControlRequire, config.ControlCredentials: ftpserver.ControlCredentials, config.ControlAllow: ftpserver.ControlAllow,
	}
	dataPolicies = map[config.DataPolicy]ftpserver.DataPolicy{
		config.DataRequire: ftpserver.DataRequire, config.DataAllow: ftpserver.DataAllow, config.DataRefuse: ftpserver.DataRefuse,
	}
	resumptions = map[config.Resumption]ftpserver.Resumption{
		config.ResumptionRequire: ftpserver.ResumptionRequire, config.ResumptionWarn: ftpserver.ResumptionWarn, config.ResumptionOff: ftpserver.ResumptionOff,
	}
)

// siteTLS is how the site of cfg speaks TLS, nil if it does not.
func siteTLS(w *world, cfg config.Site) (*ftpserver.TLS, error) {
	t := cfg.TLS
	if t == nil {
		return nil, nil
	}
	cert, err := newSiteCert(w, cfg)
	if err != nil {
		return nil, err
	}
	s := &ftpserver.TLS{
		Certificate: cert.get,
		Control:     controlPolicies[t.Control], Data: dataPolicies[t.Data], Resumption: resumptions[t.Resumption],
		Implicit: t.Implicit, AcceptTruncated: t.Truncated == config.TruncatedAccept,
	}
	if t.Clients != nil {
		text, err := t.Clients.CA.Resolve()
		if err != nil {
			return nil, fault.As(err, "read the authorities of the clients of site %q", cfg.Name)
		}
		s.ClientCAs, s.ClientRequired = x509.NewCertPool(), t.Clients.Required
		if !s.ClientCAs.AppendCertsFromPEM([]byte(text.Reveal())) {
			return nil, fault.Wrap(fault.Invalid, errNoCertificates, "read ca %s of site %q", t.Clients.CA, cfg.Name)
		}
	}
	return s, nil
}

// certificateNames says whether the certificate of a login, if it has one, may
// log its user in.
func certificateNames(t *config.SiteTLS, l ftpserver.Login) error {
	if t == nil || t.Clients == nil || !t.Clients.MatchUser || l.Certificate == nil || l.Certificate.Subject.CommonName == l.User {
		return nil
	}
	return fault.New(fault.Unauthenticated, "user %q came with the certificate of %q", l.User, l.Certificate.Subject.CommonName)
}
