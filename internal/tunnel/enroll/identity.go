package enroll

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"slices"
	"time"

	"sallyport.dev/internal/fault"
)

// What certificates say of their holder, and how long they live.
const (
	connectorOrg = "Sallyport connector"
	gatewayOrg   = "Sallyport gateway"
	authorityOrg = "Sallyport gateway authority"

	// serverName is what every gateway certificate is made out to. It is no
	// DNS name: the pinned authority, not an address, tells who a gateway is.
	serverName = "gateway.sallyport.internal"

	authorityLife = 10 * 365 * 24 * time.Hour
	connectorLife = 90 * 24 * time.Hour
	serverLife    = 30 * 24 * time.Hour
	// backdate is how far a peer's clock may be behind.
	backdate = 24 * time.Hour
)

const (
	maxCSR  = 4 << 10 // bytes of DER
	maxCert = 8 << 10 // bytes of PEM
)

// Identity is who a connector is, by its certificate.
type Identity struct {
	ID       string    // 8 characters, for ever; renewal keeps it
	Location string    // what the connector is reached under
	NotAfter time.Time // when this certificate ends
}

// IdentityOf reads what the authority wrote into a connector's certificate. It
// verifies no signature: the handshake of [Authority.ServerConfig] has. An error
// (Denied) means that this is no connector's certificate.
func IdentityOf(cert *x509.Certificate) (Identity, error) {
	s := cert.Subject
	if len(s.Organization) != 1 || s.Organization[0] != connectorOrg || len(s.OrganizationalUnit) != 1 ||
		CheckLocation(s.OrganizationalUnit[0]) != nil || !validID(s.CommonName, connectorRaw) ||
		!slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return Identity{}, fault.New(fault.Denied, "certificate for %.80q is not a connector's", s.String()).
			WithHint("a connector gets its certificate by `sallyport connector join`")
	}
	return Identity{ID: s.CommonName, Location: s.OrganizationalUnit[0], NotAfter: cert.NotAfter}, nil
}

func connectorSubject(id, location string) pkix.Name {
	return pkix.Name{Organization: []string{connectorOrg}, OrganizationalUnit: []string{location}, CommonName: id}
}

// parseCSR checks a certificate request (RFC 2986) and returns its public key,
// the only thing in it that counts.
func parseCSR(der []byte) (*ecdsa.PublicKey, error) {
	if len(der) > maxCSR {
		return nil, fault.New(fault.Invalid, "certificate request has %d bytes, at most %d are taken", len(der), maxCSR)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "certificate request is malformed")
	}
	key, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fault.New(fault.Invalid, "certificate request has a key of type %s", csr.PublicKeyAlgorithm).
			WithHint("connectors have ECDSA keys on the curve P-256")
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "certificate request is not signed by its own key")
	}
	return key, nil
}

// parseCert reads exactly one PEM certificate.
func parseCert(text []byte) (*x509.Certificate, error) {
	if len(text) > maxCert {
		return nil, fault.New(fault.Invalid, "certificate has %d bytes, at most %d are taken", len(text), maxCert)
	}
	b, rest := pem.Decode(text)
	if b == nil || b.Type != "CERTIFICATE" || len(rest) > 0 {
		return nil, fault.New(fault.Invalid, "certificate is not one PEM block")
	}
	cert, err := x509.ParseCertificate(b.Bytes)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "certificate is malformed")
	}
	return cert, nil
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// parseKey reads one PEM key and returns what follows it. Its errors say nothing
// of the text.
func parseKey(text []byte) (*ecdsa.PrivateKey, []byte, error) {
	b, rest := pem.Decode(text)
	if b == nil || b.Type != "PRIVATE KEY" {
		return nil, nil, fault.New(fault.Invalid, "no private key in PEM")
	}
	k, err := x509.ParsePKCS8PrivateKey(b.Bytes)
	if err != nil {
		return nil, nil, fault.New(fault.Invalid, "private key is malformed")
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, nil, fault.New(fault.Invalid, "private key is not ECDSA on P-256")
	}
	return key, rest, nil
}
