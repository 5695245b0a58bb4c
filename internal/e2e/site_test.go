//go:build linux

package e2e_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport.dev/internal/testkit"
)

// site starts our own FTP server over a new folder.
func site(t *testing.T, args ...string) (addr, root string) {
	t.Helper()
	root = t.TempDir()
	pw := mustWrite(t, filepath.Join(t.TempDir(), "pw"), "s3cret\n")
	// Flags may follow arguments and stand before them.
	p := start(t, "", append([]string{"site", "serve", "--listen", "127.0.0.1:0", root, "--user", "erp", "--password-file", pw}, args...)...)
	return p.listens(), root
}

// smallSamples leaves out the gibibyte.
func smallSamples() []sample { return samples[:len(samples)-1] }

// TestCurlOnSite: every mode that curl has, on real input.
func TestCurlOnSite(t *testing.T) {
	curl, env := testkit.Tool(t, "curl")
	addr, root := site(t)
	dir := t.TempDir()
	for _, mode := range [][]string{{}, {"--disable-epsv"}, {"--ftp-port", "127.0.0.1"}, {"--ftp-port", "127.0.0.1", "--disable-eprt"}} {
		t.Run("epsv"+strings.Join(mode, "_"), func(t *testing.T) {
			list := smallSamples()
			if len(mode) == 0 {
				list = samples
			}
			for _, s := range list {
				local := filepath.Join(dir, "up")
				writeFile(t, local, body(s.name, s.size))
				target := "ftp://erp:s3cret@" + addr + "/new%20folder/" + url.PathEscape(s.name)
				common := append([]string{"-sS", "--ftp-create-dirs"}, mode...)
				mustTool(t, env, curl, append(common, "-T", local, target)...)
				want := sum(t, body(s.name, s.size))
				if got := sumFile(t, filepath.Join(root, "new folder", s.name)); got != want {
					t.Errorf("%q: site has %s, want %s", s.name, got, want)
				}
				down := filepath.Join(dir, "down")
				writeFile(t, down, strings.NewReader(""))
				mustTool(t, env, curl, append(common, "-o", down, target)...)
				if got := sumFile(t, down); got != want {
					t.Errorf("%q: downloaded %s, want %s", s.name, got, want)
				}
			}
			got := mustTool(t, env, curl, append([]string{"-sS", "--list-only"}, append(mode, "ftp://erp:s3cret@"+addr+"/new%20folder/")...)...)
			for _, s := range list {
				if !strings.Contains(got, s.name+"\r\n") && !strings.Contains(got, s.name+"\n") {
					t.Errorf("%q is not in the listing %q", s.name, got)
				}
			}
		})
	}
}

// TestLftpOnSite: a mirror there and back.
func TestLftpOnSite(t *testing.T) {
	lftp, env := testkit.Tool(t, "lftp")
	addr, root := site(t)
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree", "sub dir")
	if err := os.MkdirAll(tree, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, s := range smallSamples() {
		writeFile(t, filepath.Join(tree, s.name), body(s.name, s.size))
	}
	script := fmt.Sprintf(`set net:max-retries 1; set cmd:fail-exit yes; open -u erp,s3cret ftp://%[1]s; mirror -R %[2]s/tree up; mirror up %[2]s/back; mv up moved; rm "moved/sub dir/empty"; cls -1 "moved/sub dir"`, addr, dir)
	out := mustTool(t, env, lftp, "--norc", "-c", script)
	for _, s := range smallSamples() {
		want := sum(t, body(s.name, s.size))
		if got := sumFile(t, filepath.Join(dir, "back", "sub dir", s.name)); got != want {
			t.Errorf("%q: came back as %s, want %s", s.name, got, want)
		}
		_, err := os.Stat(filepath.Join(root, "moved", "sub dir", s.name))
		if gone := err != nil; gone != (s.name == "empty") {
			t.Errorf("%q after the move: %v", s.name, err)
		}
		if s.name != "empty" && !strings.Contains(out, s.name) {
			t.Errorf("%q is not in lftp's listing:\n%s", s.name, out)
		}
	}
}

// TestSiteRefusals: a wrong password, a write to a read-only site, a path outside.
func TestSiteRefusals(t *testing.T) {
	curl, env := testkit.Tool(t, "curl")
	addr, root := site(t, "--read-only")
	mustWrite(t, filepath.Join(root, "f"), "x")
	for _, tt := range []struct {
		name string
		args []string
		code int
	}{
		{"wrong_password", []string{"ftp://erp:wrong@" + addr + "/f"}, 67},
		{"read_only", []string{"-T", filepath.Join(root, "f"), "ftp://erp:s3cret@" + addr + "/g"}, 25},
		{"outside", []string{"--path-as-is", "ftp://erp:s3cret@" + addr + "/../../../../etc/passwd"}, 9},
		{"missing", []string{"ftp://erp:s3cret@" + addr + "/nothing"}, 78},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := command(t, "", "", "env", append(append(append([]string{}, env...), curl, "-sS"), tt.args...)...)
			if r.code != tt.code {
				t.Errorf("curl exit %d (%s), want %d", r.code, r.stderr, tt.code)
			}
		})
	}
}

// TestTLSOnSite: curl by explicit and implicit TLS, and not without it.
func TestTLSOnSite(t *testing.T) {
	curl, env := testkit.Tool(t, "curl")
	certs := testkit.NewCerts(t)
	for name, q := range map[string]struct {
		args    []string
		scheme  string
		options []string
	}{
		"explicit": {[]string{"--tls", certs.CertFile + "," + certs.KeyFile}, "ftp", []string{"--ssl-reqd"}},
		"implicit": {[]string{"--tls", certs.CertFile + "," + certs.KeyFile, "--implicit"}, "ftps", nil},
	} {
		t.Run(name, func(t *testing.T) {
			addr, root := site(t, q.args...)
			file := mustWrite(t, filepath.Join(t.TempDir(), "up"), "whole")
			target := q.scheme + "://erp:s3cret@" + addr + "/in/a.txt"
			common := append([]string{"-sS", "--max-time", "30", "--ftp-create-dirs", "--cacert", certs.CAFile}, q.options...)
			mustTool(t, env, curl, append(common, "-T", file, target)...)
			if b, err := os.ReadFile(filepath.Join(root, "in", "a.txt")); err != nil || string(b) != "whole" {
				t.Errorf("uploaded: got %q, %v", b, err)
			}
			if got := mustTool(t, env, curl, append(common, target)...); got != "whole" {
				t.Errorf("downloaded: got %q", got)
			}
			plain := command(t, "", "", curl, "-sS", "--max-time", "5", "ftp://erp:s3cret@"+addr+"/in/a.txt")
			if plain.code == 0 {
				t.Errorf("without TLS: got %q, want a refusal", plain.stdout)
			}
		})
	}
}
