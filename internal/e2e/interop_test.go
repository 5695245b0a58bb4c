//go:build linux

package e2e_test

import (
	"crypto/tls"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/testkit"
)

var interopFull = flag.Bool("e2e.interop", false, "TestInterop moves 300 small files in each cell, and TestInteropGibibyte a gibibyte with each server")

// interopServer is a server of the matrix, in the ways of TLS that it knows.
type interopServer struct {
	name     string
	implicit bool
	trims    bool // it drops spaces at the end of a command, and so of a name
	start    func(*testing.T, *testkit.ServerTLS) *testkit.FTPServer
}

var interopServers = []interopServer{
	{"vsftpd", true, false, debian(testkit.Vsftpd)},
	{"proftpd", true, false, debian(testkit.Proftpd)},
	{"pureftpd", false, true, debian(testkit.Pureftpd)},
	{"pyftpdlib", false, false, debian(testkit.Pyftpdlib)},
	{"site", true, false, interopSite},
}

func debian(start func(testing.TB, testkit.ServerOptions) *testkit.FTPServer) func(*testing.T, *testkit.ServerTLS) *testkit.FTPServer {
	return func(t *testing.T, tls *testkit.ServerTLS) *testkit.FTPServer {
		return start(t, testkit.ServerOptions{TLS: tls})
	}
}

// interopSite starts our own server, as a program.
func interopSite(t *testing.T, want *testkit.ServerTLS) *testkit.FTPServer {
	t.Helper()
	srv := &testkit.FTPServer{User: "erp", Password: "s3cret"}
	if want == nil {
		srv.Addr, srv.Home = site(t)
		return srv
	}
	srv.Certs = testkit.NewCerts(t)
	srv.Home = t.TempDir()
	pw := mustWrite(t, filepath.Join(t.TempDir(), "pw"), srv.Password+"\n")
	args := []string{"site", "serve", "--listen", "127.0.0.1:0", srv.Home, "--user", srv.User, "--password-file", pw, "--tls", srv.Certs.CertFile + "," + srv.Certs.KeyFile}
	if want.Implicit {
		args = append(args, "--implicit")
	}
	srv.Addr = start(t, "", args...).listens()
	return srv
}

// interopCell is one server in one way of TLS, spoken with in one mode.
type interopCell struct {
	srv *testkit.FTPServer
	cfg ftpclient.Config
}

func (s *interopServer) cell(t *testing.T, security ftpclient.Security) *interopCell {
	t.Helper()
	var want *testkit.ServerTLS
	if security != ftpclient.Plain {
		want = &testkit.ServerTLS{Implicit: security == ftpclient.Implicit}
	}
	c := &interopCell{srv: s.start(t, want)}
	c.cfg = ftpclient.Config{Addr: c.srv.Addr, User: c.srv.User, Password: secret.New(c.srv.Password), Security: security}
	if want != nil {
		c.cfg.TLS = &tls.Config{RootCAs: c.srv.Certs.Pool, MinVersion: tls.VersionTLS12}
	}
	return c
}

var interopModes = map[string]ftpclient.Mode{
	"epsv": ftpclient.PassiveMode, "pasv": ftpclient.PasvMode, "active": ftpclient.ActiveMode,
}

// TestInterop is the matrix: every server, in every way of TLS and every mode that
// there is, and all that a client does with a server. With -e2e.interop more files.
func TestInterop(t *testing.T) {
	for _, s := range interopServers {
		for _, security := range []ftpclient.Security{ftpclient.Plain, ftpclient.Explicit, ftpclient.Implicit} {
			if security == ftpclient.Implicit && !s.implicit {
				continue
			}
			t.Run(s.name+"-"+security.String(), func(t *testing.T) {
				c := s.cell(t, security)
				for name, mode := range interopModes {
					t.Run(name, func(t *testing.T) {
						cfg := c.cfg
						cfg.Mode = mode
						conn, err := ftpclient.Dial(t.Context(), cfg)
						if err != nil {
							t.Fatal(err)
						}
						interopStory(&story{t, c.srv, conn, name, s.trims})
						if err := conn.Quit(t.Context()); err != nil {
							t.Error(err)
						}
					})
				}
			})
		}
	}
}

// TestInteropGibibyte moves a gibibyte each way with each server.
func TestInteropGibibyte(t *testing.T) {
	if !*interopFull {
		t.Skip("make interop runs it")
	}
	const size = 1 << 30
	want := sum(t, body("gibibyte", size))
	for _, s := range interopServers {
		t.Run(s.name, func(t *testing.T) {
			c := s.cell(t, ftpclient.Plain)
			conn, err := ftpclient.Dial(t.Context(), c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			u, err := conn.Stor(t.Context(), "gibibyte", 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := u.ReadFrom(body("gibibyte", size)); err != nil {
				t.Fatal(err)
			}
			if err := u.Commit(); err != nil {
				t.Fatal(err)
			}
			if got := sumFile(t, filepath.Join(c.srv.Home, "gibibyte")); got != want {
				t.Errorf("stored %s, want %s", got, want)
			}
			if n, err := conn.Size(t.Context(), "gibibyte"); err != nil || n != size {
				t.Errorf("size %d, %v", n, err)
			}
			d, err := conn.Retr(t.Context(), "gibibyte", 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := sum(t, d); got != want {
				t.Errorf("read %s, want %s", got, want)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			if err := conn.Quit(t.Context()); err != nil {
				t.Error(err)
			}
			if err := os.Remove(filepath.Join(c.srv.Home, "gibibyte")); err != nil { // before the next one's
				t.Error(err)
			}
		})
	}
}

// smallFiles is how many small files a cell moves.
func smallFiles() int {
	if *interopFull {
		return 300
	}
	return 10
}

func smallName(i int) string { return fmt.Sprintf("small-%03d.xml", i) }
