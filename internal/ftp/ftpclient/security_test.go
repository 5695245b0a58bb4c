package ftpclient_test

import (
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
)

func TestNoCloseNotify(t *testing.T) {
	a := &ftptest.Awkward{TLS: tlsPlease, Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{NoCloseNotify: true}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		dialIn(t, cfg, func(c *ftpclient.Conn) {
			got, err := read(t.Context(), c, "f", 0)
			if got != "content" || !errors.Is(err, io.ErrUnexpectedEOF) || fault.KindOf(err) != fault.Unreachable {
				t.Errorf("got %q, %v (%v)", got, err, fault.KindOf(err))
			}
			if !c.Usable() {
				t.Error("the connection was in step and is not usable")
			}
		})
	})
}

// TestBytesBehindAuth has somebody on the way add a reply to the 234: with it, so
// that it is there when TLS should start, and just behind it, in its way.
func TestBytesBehindAuth(t *testing.T) {
	for name, answer := range map[string]string{
		"with":   "234 go\r\n230 come in, no password needed\r\n",
		"behind": "234 go on\r\n230 fine!\r\n", // cut in two halves
	} {
		t.Run(name, func(t *testing.T) {
			a := &ftptest.Awkward{TLS: tlsPlease, Quirks: ftptest.Quirks{Answers: map[string]string{"AUTH": answer}}}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				_, err := ftpclient.Dial(t.Context(), cfg)
				if err == nil {
					t.Error("logged in")
				}
				if name == "with" && fault.KindOf(err) != fault.Denied {
					t.Errorf("got %v (%v), want it refused", err, fault.KindOf(err))
				}
				for _, verb := range a.Commands() {
					if verb == "USER" || verb == "PASS" {
						t.Errorf("%s was sent", verb)
					}
				}
			})
		})
	}
}

func TestRefusedLogins(t *testing.T) {
	for name, row := range map[string]struct {
		verb, answer string
		secured      bool
		kind         fault.Kind
		hint         string
	}{
		"password":  {"PASS", "530 wrong\r\n", false, fault.Unauthenticated, "password"},
		"needs-tls": {"USER", "530 Non-anonymous sessions must use encryption.\r\n", false, fault.Denied, "explicit"},
		"no-auth":   {"AUTH", "502 no\r\n", true, fault.Unsupported, "switch TLS on"},
		"too-many":  {"GREETING", "421 too many connections\r\n{hang up}", false, fault.Busy, ""},
		"account":   {"PASS", "332 account?\r\n", false, fault.Unauthenticated, "account"},
		"no-prot":   {"PROT", "534 no\r\n", true, fault.Denied, ""},
		"not-ftp":   {"GREETING", "SSH-2.0-OpenSSH_9.2p1\r\n", false, fault.Invalid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{row.verb: row.answer}}}
			if row.secured {
				a.TLS = tlsPlease
			}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				_, err := ftpclient.Dial(t.Context(), cfg)
				if fault.KindOf(err) != row.kind || !strings.Contains(fault.HintOf(err), row.hint) {
					t.Errorf("got %v (%v, hint %q)", err, fault.KindOf(err), fault.HintOf(err))
				}
				if err != nil && strings.Contains(err.Error(), "geheim") {
					t.Errorf("the password is in %q", err)
				}
			})
		})
	}
}

// TestUntrusted holds that a certificate of an unknown authority ends the login
// before user and password.
func TestUntrusted(t *testing.T) {
	a := &ftptest.Awkward{TLS: tlsPlease}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		for name, conf := range map[string]*tls.Config{
			"authority": {Time: certTime, MinVersion: tls.VersionTLS12, RootCAs: nil},
			"name":      {Time: certTime, MinVersion: tls.VersionTLS12, RootCAs: cfg.TLS.RootCAs, ServerName: "other.example.com"},
		} {
			cfg.TLS = conf
			_, err := ftpclient.Dial(t.Context(), cfg)
			if fault.KindOf(err) != fault.Denied || fault.HintOf(err) == "" {
				t.Errorf("%s: got %v (%v)", name, err, fault.KindOf(err))
			}
		}
		for _, verb := range a.Commands() {
			if verb == "USER" {
				t.Error("USER was sent")
			}
		}
	})
}
