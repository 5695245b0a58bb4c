//go:build linux

package e2e_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/testkit"
)

// TestClientResumesOnSite moves 200 files over TLS between our client and our site,
// which refuses data connections that do not resume the session.
func TestClientResumesOnSite(t *testing.T) {
	for _, security := range []ftpclient.Security{ftpclient.Explicit, ftpclient.Implicit} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(security.String()+"-"+strings.ReplaceAll(tls.VersionName(version), " ", "-"), func(t *testing.T) {
				dir := t.TempDir()
				hash := strings.TrimSpace(mustRun(t, "", "s3cret\n", "account", "hash").stdout)
				doc := mustWrite(t, filepath.Join(dir, "sallyport.yaml"), fmt.Sprintf(`
state: %[1]s/state
accounts: [{name: erp, password: {hash: "%[2]s"}}]
sites:
  - name: s
    path: %[1]s
    listen: 127.0.0.1:0
    tls: {certificate: auto, control: require, data: require, resumption: require, implicit: %[3]v}
`, dir, hash, security == ftpclient.Implicit))
				addr := start(t, "", "run", "-c", doc).says(`listening on (\S+) \(site`)[1]
				conf, err := ftpclient.Trust{Unverified: true}.Config()
				if err != nil {
					t.Fatal(err)
				}
				conf.MinVersion, conf.MaxVersion = version, version
				full, resumed := 0, 0
				conf.VerifyConnection = func(s tls.ConnectionState) error {
					if s.DidResume {
						resumed++
					} else {
						full++
					}
					return nil
				}
				c, err := ftpclient.Dial(t.Context(), ftpclient.Config{Addr: addr, User: "erp", Password: secret.New("s3cret"), Security: security, TLS: conf})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close() //nolint:errcheck // the test is over
				for range 100 {
					u, err := c.Stor(t.Context(), "f", 0)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := io.WriteString(u, "content"); err != nil {
						t.Fatal(err)
					}
					if err := u.Commit(); err != nil {
						t.Fatal(err)
					}
					d, err := c.Retr(t.Context(), "f", 0)
					if err != nil {
						t.Fatal(err)
					}
					if b, err := io.ReadAll(d); err != nil || string(b) != "content" {
						t.Fatalf("got %q, %v", b, err)
					}
				}
				if full != 1 || resumed != 200 {
					t.Errorf("%d full handshakes and %d resumed ones, want 1 and 200", full, resumed)
				}
			})
		}
	}
}

// TestFlowReaches carries a file from a server of implicit TLS that is pinned to one
// that is spoken with in active mode.
func TestFlowReaches(t *testing.T) {
	source := testkit.Vsftpd(t, testkit.ServerOptions{TLS: &testkit.ServerTLS{Implicit: true}})
	sink := testkit.Proftpd(t, testkit.ServerOptions{})
	source.Make(t, "out/")
	mustWrite(t, filepath.Join(source.Home, "out", "a.xml"), "<a/>\n")
	source.Own(t)
	dir := t.TempDir()
	ports := testkit.Ports(t)
	doc := mustWrite(t, filepath.Join(dir, "sallyport.yaml"), fmt.Sprintf(`
state: %[1]s/state
journal: embedded
flows:
  - name: orders
    source:
      ftp: {address: "%[2]s", user: %[3]s, password: "file:%[1]s/pw", security: implicit, pin: "%[4]s", mode: pasv, keepalive: stat}
      directory: out
      every: 100ms
      ready: {when: always}
      after: delete
    sinks:
      - ftp: {address: "%[5]s", user: %[3]s, password: "file:%[1]s/pw", security: none, mode: active, active: {ports: %[6]d-%[7]d}}
`, dir, source.Addr, source.User, ftpclient.PinOf(source.Certs.Leaf.Leaf), sink.Addr, ports.Min, ports.Max))
	mustWrite(t, filepath.Join(dir, "pw"), source.Password)
	start(t, "", "run", "-c", doc)
	deadline := time.Now().Add(60 * time.Second)
	for {
		b, err := os.ReadFile(filepath.Join(sink.Home, "a.xml"))
		left, _ := os.ReadDir(filepath.Join(source.Home, "out"))
		if err == nil && string(b) == "<a/>\n" && len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %q, %v; %d files left in the source", b, err, len(left))
		}
		<-time.After(20 * time.Millisecond)
	}
}

// TestManyThroughTunnel asks for the next file while one is under way, through the
// tunnel: a connector that reads along opens one data port after another.
func TestManyThroughTunnel(t *testing.T) {
	srv := testkit.Vsftpd(t, testkit.VsftpdOptions{})
	var paths []string
	for i := range 100 {
		name := fmt.Sprintf("f%d", i)
		mustWrite(t, filepath.Join(srv.Home, name), strings.Repeat("x", i*100))
		paths = append(paths, name)
		if i%10 == 0 {
			paths = append(paths, "none")
		}
	}
	srv.Own(t)
	conn := cross(t, "ftp-erp:21="+srv.Addr+",protocol=ftp").client(t, "ftp-erp:21", srv)
	got, refused := 0, 0
	for d, err := range conn.RetrEach(t.Context(), slices.Values(paths)) {
		if err != nil && d.Path() == "none" {
			refused++
			continue
		}
		b, rerr := io.ReadAll(d)
		if err := errors.Join(err, rerr); err != nil || d.Path() != fmt.Sprintf("f%d", len(b)/100) {
			t.Fatalf("%s: %d bytes, %v", d.Path(), len(b), err)
		}
		got++
	}
	if got != 100 || refused != 10 || !conn.Usable() {
		t.Errorf("got %d files, %d refused", got, refused)
	}
}
