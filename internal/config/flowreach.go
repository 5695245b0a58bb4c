package config

import (
	"encoding/hex"
	"strings"

	"sallyport.dev/internal/secret"
)

// reach checks how a flow speaks with its server: what goes with what.
func (c *checker) reach(at string, s FTPServer) {
	c.trust(at, s)
	if s.Mode == ModeActive && s.Location != "" {
		c.fault(at+".mode", "write mode: passive, which travels through the tunnel as it is",
			"a server at a location has no address of this machine's to connect to")
	}
	if c.doc.Written(at+".active") && s.Mode != ModeActive {
		c.fault(at+".active", "write mode: active, or remove it", "is for mode: active")
	}
	if c.doc.Written(at+".pasv_address") && s.Mode == ModeActive {
		c.fault(at+".pasv_address", "write mode: passive, or remove it", "is for passive mode")
	}
	if s.PasvAddress != PasvControlHost && s.PasvAddress != "" && s.Location != "" {
		c.fault(at+".pasv_address", "remove it: the connector finds the data port whatever address the server names", "is not for a server at a location")
	}
	if a := s.Active; a != nil && a.ExternalIP.IsValid() && (a.ExternalIP.IsUnspecified() || a.ExternalIP.IsMulticast()) {
		c.fault(at+".active.external_ip", "write the address that the server reaches this machine under", "%s is nobody's address", a.ExternalIP)
	}
	if strings.ContainsAny(s.VirtualHost, " \t\r\n") {
		c.fault(at+".virtual_host", "write a host name such as ftp.example.com", "%s is no host name", quote(s.VirtualHost))
	}
}

// trust checks which certificates are believed and shown.
func (c *checker) trust(at string, s FTPServer) {
	for _, k := range []struct {
		key     string
		written bool
	}{
		{"ca", !s.CA.IsZero()}, {"pin", s.Pin != ""}, {"unverified", s.Unverified},
		{"certificate", !s.Certificate.IsZero()}, {"key", !s.Key.IsZero()}, {"old_tls", s.OldTLS},
	} {
		if k.written && s.Security == SecurityNone {
			c.fault(at+"."+k.key, "write security: explicit, or remove it", "without TLS there is no certificate to check")
		}
	}
	switch {
	case s.Pin != "" && !s.CA.IsZero():
		c.fault(at+".pin", "write ca or pin", "one certificate is believed, or all of an authority")
	case s.Unverified && (s.Pin != "" || !s.CA.IsZero()):
		c.fault(at+".unverified", "remove it, or pin and ca", "what is not verified needs neither pin nor ca")
	case s.Unverified:
		c.warn(at+".unverified", "pin the server's certificate instead: pin: SHA-256", "whoever sits between can read and change everything, the password too")
	}
	digits := strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(s.Pin), "sha256:"), ":", "")
	if b, err := hex.DecodeString(digits); s.Pin != "" && (err != nil || len(b) != 32) {
		c.fault(at+".pin", "64 hexadecimal digits, as from: openssl x509 -in server.crt -noout -fingerprint -sha256",
			"%s is no SHA-256 of a certificate", quote(s.Pin))
	}
	for _, pair := range [][2]struct {
		key string
		ref secret.Ref
	}{{{"certificate", s.Certificate}, {"key", s.Key}}, {{"key", s.Key}, {"certificate", s.Certificate}}} {
		if !pair[0].ref.IsZero() && pair[1].ref.IsZero() {
			c.fault(at+"."+pair[1].key, "write file:PATH", "is missing: a certificate is shown with its key")
		}
	}
}
