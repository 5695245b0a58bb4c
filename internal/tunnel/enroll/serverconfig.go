package enroll

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"
	"time"

	"sallyport.dev/internal/fault"
)

// ServerConfig returns the TLS side of the gateway's port: TLS 1.3, a server
// certificate of the authority, renewed by itself. What the client offers by
// ALPN (RFC 7301) decides what it has to show:
//
//   - one of protos: a connector's certificate, valid, not expired, not revoked,
//     checked at every handshake; there is no resumption.
//   - [JoinProtocol] or nothing: no certificate is asked for, and only
//     [Authority.JoinHandler] may answer.
//
// So a connection whose negotiated protocol is in protos has an [Identity].
// Words for handshake errors come from [Authority.Explain].
func (a *Authority) ServerConfig(protos []string) *tls.Config {
	base := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Time:                   a.now,
		SessionTicketsDisabled: true,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.serverCertificate() },
	}
	joining := base.Clone()
	joining.NextProtos = []string{JoinProtocol}
	tunnel := base.Clone()
	tunnel.NextProtos = slices.Clone(protos)
	tunnel.ClientAuth = tls.RequireAndVerifyClientCert
	tunnel.ClientCAs = a.ca.pool
	tunnel.VerifyConnection = a.verifyConnector

	base.NextProtos = append(slices.Clone(protos), JoinProtocol)
	base.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.ContainsFunc(h.SupportedProtos, func(p string) bool { return slices.Contains(protos, p) }) {
			return tunnel, nil
		}
		return joining, nil
	}
	return base
}

func (a *Authority) verifyConnector(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return fault.New(fault.Unauthenticated, "no certificate was shown")
	}
	id, err := IdentityOf(cs.PeerCertificates[0])
	if err != nil {
		return err
	}
	return a.Check(id)
}

// serverCertificate returns the gateway's own certificate, a new one when half
// of its life is over.
func (a *Authority) serverCertificate() (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if a.server != nil && !now.Before(a.made) && now.Before(a.made.Add(a.server.Leaf.NotAfter.Sub(a.made)/2)) {
		return a.server, nil
	}
	s, err := a.newServerCertificate(now)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "make the gateway's certificate")
	}
	a.server, a.made = s, now
	return s, nil
}

func (a *Authority) newServerCertificate(now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := a.ca.sign(&key.PublicKey, pkix.Name{Organization: []string{gatewayOrg}, CommonName: serverName},
		x509.ExtKeyUsageServerAuth, []string{serverName}, now, serverLife)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	// The authority goes along: a connector that joins knows only its pin.
	return &tls.Certificate{Certificate: [][]byte{der, a.ca.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}
