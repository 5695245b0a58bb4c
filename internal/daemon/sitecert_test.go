package daemon

import (
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/config"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/testkit"
)

// fileSite is a site with the certificate in two files.
func fileSite(t *testing.T, cert, key string) config.Site {
	t.Helper()
	site := config.Site{Name: "files", Path: t.TempDir(), TLS: &config.SiteTLS{}}
	for ref, file := range map[*secret.Ref]string{&site.TLS.Certificate.Ref: cert, &site.TLS.Key: key} {
		r, err := secret.ParseRef("file:" + file)
		if err != nil {
			t.Fatal(err)
		}
		*ref = r
	}
	return site
}

func shownBy(t *testing.T, c *siteCert) string {
	t.Helper()
	cert, err := c.get(nil)
	if err != nil {
		t.Fatal(err)
	}
	return cert.Leaf.Subject.CommonName
}

// TestCertificateRenewed: files that change are shown soon; broken ones never.
func TestCertificateRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := testkit.NewCerts(t, "one.example"), testkit.NewCerts(t, "two.example")
		dir := t.TempDir()
		cert, key := filepath.Join(dir, "crt"), filepath.Join(dir, "key")
		put := func(from, to string) {
			t.Helper()
			b, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(to, b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		put(one.CertFile, cert)
		put(one.KeyFile, key)
		w := &world{cfg: &config.Config{}, log: slog.New(slog.DiscardHandler)}
		c, err := newSiteCert(w, fileSite(t, cert, key))
		if err != nil {
			t.Fatal(err)
		}
		if got := shownBy(t, c); got != "one.example" {
			t.Errorf("first: got %q", got)
		}
		put(two.CertFile, cert) // the key is still the other's
		<-time.After(2 * certLook)
		if got := shownBy(t, c); got != "one.example" {
			t.Errorf("half renewed: got %q", got)
		}
		put(two.KeyFile, key)
		if got := shownBy(t, c); got != "one.example" {
			t.Errorf("looked again at once: got %q", got)
		}
		<-time.After(2 * certLook)
		if got := shownBy(t, c); got != "two.example" {
			t.Errorf("renewed: got %q", got)
		}
		if err := os.Remove(cert); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * certLook)
		if got := shownBy(t, c); got != "two.example" {
			t.Errorf("gone: got %q", got)
		}
		if _, err := newSiteCert(w, fileSite(t, cert, key)); err == nil || !strings.Contains(err.Error(), `"files"`) {
			t.Errorf("a site without its certificate: got %v, want an error that names the site", err)
		}
	})
}

// TestCertificateMade: one that the site makes is kept, and made anew in time.
func TestCertificateMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := config.Site{Name: "files", Listen: config.Address{Host: "ftp.example.com", Port: 21}, TLS: &config.SiteTLS{Certificate: config.Certificate{Auto: true}}}
		w := &world{cfg: &config.Config{State: t.TempDir()}, log: slog.New(slog.DiscardHandler)}
		made := func() *x509.Certificate {
			t.Helper()
			c, err := newSiteCert(w, site)
			if err != nil {
				t.Fatal(err)
			}
			shown, err := c.get(nil)
			if err != nil {
				t.Fatal(err)
			}
			return shown.Leaf
		}
		first := made()
		for _, name := range []string{"ftp.example.com", "localhost", "127.0.0.1", "::1"} {
			if err := first.VerifyHostname(name); err != nil {
				t.Error(err)
			}
		}
		if !made().Equal(first) {
			t.Error("a second start made another certificate")
		}
		info, err := os.Stat(filepath.Join(w.cfg.State, "sites", "files.pem"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the file with the key: %v, %v, want 0600", info, err)
		}
		<-time.After(certLife - certRenew + time.Minute)
		if again := made(); again.Equal(first) || time.Until(again.NotAfter) < certLife-time.Hour {
			t.Error("near its end: want a new certificate")
		}
		w.opts.Stateless = true
		if again := made(); again.Equal(first) {
			t.Error("without a state folder: want a certificate of its own")
		}
	})
}

// TestCertificateNamesUser lets a certificate log in nobody but whom it names.
func TestCertificateNamesUser(t *testing.T) {
	certs := testkit.NewCerts(t)
	anna := certs.Issue(t, "anna").Leaf
	match := &config.SiteTLS{Clients: &config.SiteClients{MatchUser: true}}
	for _, q := range []struct {
		t    *config.SiteTLS
		user string
		cert *x509.Certificate
		good bool
	}{
		{match, "anna", anna, true}, {match, "otto", anna, false}, {match, "Anna", anna, false}, {match, "otto", nil, true},
		{&config.SiteTLS{Clients: &config.SiteClients{}}, "otto", anna, true}, {&config.SiteTLS{}, "otto", anna, true}, {nil, "otto", nil, true},
	} {
		if err := certificateNames(q.t, ftpserver.Login{User: q.user, Certificate: q.cert}); (err == nil) != q.good {
			t.Errorf("%s with a certificate of anna %v: got %v, want good %v", q.user, q.cert != nil, err, q.good)
		}
	}
}

// TestSitePolicies: every word of the document has its meaning in the server.
func TestSitePolicies(t *testing.T) {
	w := &world{cfg: &config.Config{State: t.TempDir()}, log: slog.New(slog.DiscardHandler), opts: Options{Stateless: true}}
	got, err := siteTLS(w, config.Site{Name: "s", TLS: &config.SiteTLS{
		Certificate: config.Certificate{Auto: true}, Control: config.ControlCredentials, Data: config.DataRefuse, Resumption: config.ResumptionRequire,
		Implicit: true, Truncated: config.TruncatedAccept,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Control != ftpserver.ControlCredentials || got.Data != ftpserver.DataRefuse || got.Resumption != ftpserver.ResumptionRequire || !got.Implicit || !got.AcceptTruncated {
		t.Errorf("got %+v", got)
	}
	for _, p := range config.ControlPolicy("").Choices() {
		if _, ok := controlPolicies[config.ControlPolicy(p)]; !ok {
			t.Errorf("control: %s has no meaning", p)
		}
	}
	for _, p := range config.DataPolicy("").Choices() {
		if _, ok := dataPolicies[config.DataPolicy(p)]; !ok {
			t.Errorf("data: %s has no meaning", p)
		}
	}
	for _, p := range config.Resumption("").Choices() {
		if _, ok := resumptions[config.Resumption(p)]; !ok {
			t.Errorf("resumption: %s has no meaning", p)
		}
	}
	if got, err := siteTLS(w, config.Site{Name: "s"}); got != nil || err != nil {
		t.Errorf("without tls: got %v, %v", got, err)
	}
}
