package enroll

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"sallyport.dev/internal/fault"
)

// Alerts by which one end tells the other why it refuses (RFC 8446, 6.2).
const (
	alertBadCertificate      tls.AlertError = 42
	alertExpiredCertificate  tls.AlertError = 45
	alertUnknownCA           tls.AlertError = 48
	alertProtocolVersion     tls.AlertError = 70
	alertCertificateRequired tls.AlertError = 116
	alertNoProtocol          tls.AlertError = 120
)

// remoteAlert returns the alert that the peer sent, if err is one.
func remoteAlert(err error) (tls.AlertError, bool) {
	op := (*net.OpError)(nil)
	if !errors.As(err, &op) || op.Op != "remote error" || op.Err == nil {
		return 0, false
	}
	// crypto/tls has a type of its own here, with the same words.
	for _, a := range []tls.AlertError{
		alertBadCertificate, alertExpiredCertificate, alertUnknownCA, alertProtocolVersion, alertCertificateRequired, alertNoProtocol,
	} {
		if op.Err.Error() == a.Error() {
			return a, true
		}
	}
	return 0, false
}

const rejoinHint = "ask the gateway's administrator for a token and join anew with `sallyport connector join`"

// Explain turns an error of a TLS connection made by [Credentials.ClientConfig]
// into one with a kind, a text and a hint. Under TLS 1.3 the gateway's refusal of
// a certificate often arrives with the first read, not with the handshake: pass
// that error here as well. A nil err stays nil; a [fault.Error] stays what it is.
func (c *Credentials) Explain(err error, gateway string) error {
	if err == nil {
		return nil
	}
	who := c.Identity()
	a, ok := remoteAlert(err)
	if !ok {
		return explainGateway(err, gateway, time.Now(), "the gateway that this connector joined")
	}
	switch a {
	case alertExpiredCertificate:
		return fault.Wrap(fault.Denied, err, "gateway %s says the certificate of connector %s is expired or not yet valid (it ends at %s, it is now %s here)",
			gateway, who.ID, instant(who.NotAfter), instant(time.Now())).
			WithHint("if the times look wrong, set the clocks of both machines right; else %s", rejoinHint)
	case alertUnknownCA:
		return fault.Wrap(fault.Unauthenticated, err, "gateway %s did not issue the certificate of connector %s", gateway, who.ID).
			WithHint("check the gateway's address and its state folder; else %s", rejoinHint)
	case alertBadCertificate:
		return fault.Wrap(fault.Denied, err, "gateway %s has revoked connector %s of location %s", gateway, who.ID, who.Location).
			WithHint("%s", rejoinHint)
	case alertCertificateRequired:
		return fault.Wrap(fault.Unauthenticated, err, "gateway %s wants a connector's certificate and got none", gateway).
			WithHint("%s", rejoinHint)
	default:
		return explainGateway(err, gateway, time.Now(), "")
	}
}

// explainGateway explains what the connecting end sees, before and after it has
// joined; wanted says in words which gateway it wants.
func explainGateway(err error, gateway string, now time.Time, wanted string) error {
	f := (*fault.Error)(nil)
	if errors.As(err, &f) {
		return err
	}
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
	)
	switch a, _ := remoteAlert(err); {
	case errors.As(err, &unknown):
		return errForeignGateway(err, gateway, wanted)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return explainTime(err, gateway, invalid.Cert, now)
	case errors.As(err, &host), errors.As(err, &invalid):
		return fault.Wrap(fault.Unauthenticated, err, "certificate of %s is not a gateway's", gateway).
			WithHint("check that the address is the gateway's own port, with no proxy that ends TLS before it")
	case errors.As(err, &record):
		return fault.Wrap(fault.Unsupported, err, "what answers at %s does not speak TLS", gateway).
			WithHint("check the address and port; gateway.public in the gateway's document is what tokens carry")
	case a == alertNoProtocol, a == alertProtocolVersion:
		return fault.Wrap(fault.Unsupported, err, "what answers at %s is no gateway of this version", gateway).
			WithHint("check the address, and that no proxy ends TLS before the gateway; use the same version of sallyport at both ends")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), fault.KindOf(err) == fault.Unreachable:
		return fault.Wrap(fault.Unreachable, err, "%s closed the connection in the middle of the TLS handshake", gateway).
			WithHint("a firewall may cut it, or the gateway has too many handshakes pending: see the gateway's log")
	default:
		return fault.As(err, "secure connection to %s", gateway)
	}
}

func errForeignGateway(err error, gateway, wanted string) error {
	return fault.Wrap(fault.Unauthenticated, err, "certificate of %s is not from %s", gateway, wanted).
		WithHint("the address leads to another gateway, or a firewall on the way inspects TLS: " +
			"check the address, or exempt it from inspection")
}

// explainTime tells a clock that is wrong from a certificate that is. A gateway
// renews its own certificate long before its end, so one that looks expired is
// a clock's fault as a rule, too.
func explainTime(err error, gateway string, cert *x509.Certificate, now time.Time) error {
	if now.Before(cert.NotBefore) {
		return fault.Wrap(fault.Unauthenticated, err, "certificate of %s is not valid before %s, and it is %s here",
			gateway, instant(cert.NotBefore), instant(now)).
			WithHint("this machine's clock is probably behind: set it right, or have it set by NTP")
	}
	return fault.Wrap(fault.Unauthenticated, err, "certificate of %s was valid until %s, and it is %s here",
		gateway, instant(cert.NotAfter), instant(now)).
		WithHint("this machine's clock is probably ahead, or the gateway's is behind: set them right, or have them set by NTP")
}

// Explain turns an error of a TLS connection accepted with
// [Authority.ServerConfig] into one with a kind, a text and a hint. A nil err
// stays nil; a [fault.Error], such as that of a revoked connector, stays what it is.
func (a *Authority) Explain(err error, peer string) error {
	f := (*fault.Error)(nil)
	if err == nil || errors.As(err, &f) {
		return err
	}
	var (
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
	)
	_, alerted := remoteAlert(err)
	switch {
	case errors.As(err, &unknown):
		return fault.Wrap(fault.Unauthenticated, err, "certificate of %s is not from this gateway", peer).
			WithHint("that connector joined another gateway: join it here, with a token of this one")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return a.explainExpired(err, peer, invalid.Cert)
	case errors.As(err, &invalid):
		return fault.Wrap(fault.Denied, err, "certificate of %s is not a connector's", peer).
			WithHint("a connector gets its certificate by `sallyport connector join`")
	case strings.Contains(err.Error(), "client didn't provide a certificate"): // crypto/tls has no type for it
		return fault.Wrap(fault.Unauthenticated, err, "%s showed no certificate", peer).
			WithHint("a connector gets its certificate by `sallyport connector join`")
	case alerted:
		return fault.Wrap(fault.Unauthenticated, err, "%s does not accept this gateway's certificate", peer).
			WithHint("that connector joined another gateway, or its clock is wrong: see its own log")
	case errors.As(err, &record):
		return fault.Wrap(fault.Invalid, err, "%s does not speak TLS", peer).
			WithHint("only connectors belong on this port; programs go to the SOCKS5 port")
	default:
		return fault.As(err, "TLS handshake with %s", peer)
	}
}

func (a *Authority) explainExpired(err error, peer string, cert *x509.Certificate) error {
	who, ierr := IdentityOf(cert)
	if ierr != nil {
		return ierr
	}
	if now := a.now(); now.Before(cert.NotBefore) {
		return fault.Wrap(fault.Denied, err, "certificate of connector %s of location %s (%s) is not valid before %s, and it is %s here",
			who.ID, who.Location, peer, instant(cert.NotBefore), instant(now)).
			WithHint("this machine's clock is probably behind: set it right, or have it set by NTP")
	}
	return fault.Wrap(fault.Denied, err, "certificate of connector %s of location %s (%s) ended at %s",
		who.ID, who.Location, peer, instant(cert.NotAfter)).WithHint("%s", newTokenHint(who.Location))
}
