package ftpclient

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"strings"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
)

// Trust says which certificates of servers are believed, and what is shown to
// servers that ask for one. The zero value believes in the system's authorities
// and shows nothing.
type Trust struct {
	// CA holds PEM certificates that the server's must come from, instead of the
	// system's authorities.
	CA string
	// Pin is the SHA-256 of the one certificate that is believed, whoever signed it
	// and whatever name and dates it has: 64 hexadecimal digits, with or without
	// colons, or "sha256:" before them.
	Pin string
	// Unverified believes any certificate: whoever sits between can read and change
	// everything.
	Unverified bool
	// Certificate and Key, PEM, are shown to servers that ask for a certificate.
	Certificate string
	Key         secret.Text
	// ServerName is the name that the certificate must have. Empty means the host
	// of the server's address.
	ServerName string
	// OldTLS takes TLS 1.0 and 1.1, too, and the cipher suites of their time, which
	// can be broken.
	OldTLS bool
}

// Config returns the configuration for [Config.TLS].
func (t Trust) Config() (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.OldTLS {
		conf.MinVersion = tls.VersionTLS10 // asked for in so many words
		for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			conf.CipherSuites = append(conf.CipherSuites, s.ID)
		}
	}
	if t.Certificate != "" || !t.Key.Empty() {
		pair, err := tls.X509KeyPair([]byte(t.Certificate), []byte(t.Key.Reveal()))
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "client certificate").
				WithHint("a certificate and its key, both PEM, the key not encrypted")
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	ways := 0
	if t.CA != "" {
		ways++
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM([]byte(t.CA)) {
			return nil, fault.New(fault.Invalid, "there is no PEM certificate among the authorities to trust")
		}
	}
	if t.Pin != "" {
		ways++
		pin, err := parsePin(t.Pin)
		if err != nil {
			return nil, err
		}
		conf.InsecureSkipVerify = true // VerifyConnection is stricter
		conf.VerifyConnection = func(s tls.ConnectionState) error { return checkPin(s, pin) }
	}
	if t.Unverified {
		ways++
		conf.InsecureSkipVerify = true // asked for in so many words
	}
	if ways > 1 {
		return nil, fault.New(fault.Invalid, "certificates are verified in one way").
			WithHint("give authorities, or a pin, or switch verification off")
	}
	return conf, nil
}

// parsePin reads a certificate's SHA-256.
func parsePin(s string) ([sha256.Size]byte, error) {
	digits := strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(strings.TrimSpace(s)), "sha256:"), ":", "")
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != sha256.Size {
		return [sha256.Size]byte{}, fault.New(fault.Invalid, "pin %.100q is no SHA-256 of a certificate", s).
			WithHint("64 hexadecimal digits, as from: openssl x509 -in server.crt -noout -fingerprint -sha256")
	}
	return [sha256.Size]byte(b), nil
}

// PinOf returns a certificate's pin as [Trust] takes it.
func PinOf(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// checkPin holds the server's certificate to the pin, also where a session was
// resumed.
func checkPin(s tls.ConnectionState, pin [sha256.Size]byte) error {
	if len(s.PeerCertificates) == 0 {
		return fault.New(fault.Denied, "the server showed no certificate")
	}
	if sha256.Sum256(s.PeerCertificates[0].Raw) != pin {
		return fault.New(fault.Denied, "the server's certificate is not the one that is pinned").
			WithHint("it has %s; if it was renewed, and you can be sure of that, pin the new one", PinOf(s.PeerCertificates[0]))
	}
	return nil
}
