//go:build linux

package e2e_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"sallyport.dev/internal/testkit"
)

// TestSOCKSAccounts: a proxy with accounts lets in whom the document allows, and
// nobody else; the password's hash comes from the command line.
func TestSOCKSAccounts(t *testing.T) {
	curl, env := testkit.Tool(t, "curl")
	addr, root := site(t)
	mustWrite(t, filepath.Join(root, "hello"), "hello\n")
	dir := t.TempDir()
	hash := strings.TrimSpace(mustRun(t, "", "cpi-secret\n", "account", "hash").stdout)
	doc := mustWrite(t, filepath.Join(dir, "sallyport.yaml"), fmt.Sprintf(`
state: %[1]s/cloud
accounts:
  - {name: svc-cpi, password: {hash: "%[2]s"}, groups: [interfaces]}
  - {name: svc-other, password: "file:%[1]s/other"}
gateway:
  listen: 127.0.0.1:0
  socks: {listen: "127.0.0.1:0", allow: ["@interfaces"]}
`, dir, hash))
	mustWrite(t, filepath.Join(dir, "other"), "other-secret")
	p := start(t, "", "run", "-c", doc)
	gateway, socks := p.says(`listening on (\S+) \(gateway\)`)[1], p.says(`listening on (\S+) \(socks5\)`)[1]
	token := mustRun(t, "", "", "gateway", "token", "--location", "plant1", "--address", gateway, "--state", filepath.Join(dir, "cloud")).stdout
	tokenFile := mustWrite(t, filepath.Join(dir, "token"), token)
	// The connector joins by itself, from its own document.
	plant := mustWrite(t, filepath.Join(dir, "plant.yaml"), fmt.Sprintf(`
state: %[1]s/plant
connector:
  gateways: ["%[2]s"]
  location: plant1
  token: "file:%[3]s"
  mappings:
    - {virtual: "ftp-erp:21", internal: "%[4]s", protocol: ftp}
`, dir, gateway, tokenFile, addr))
	start(t, "", "run", "-c", plant).says(`connected to`)
	fetch := func(user string) result {
		args := []string{curl, "-sS", "--proxy", "socks5h://" + socks, "-u", "erp:s3cret", "ftp://ftp-erp/hello"}
		if user != "" {
			args = append(args, "--proxy-user", user)
		}
		return command(t, "", "", "env", append(append([]string{}, env...), args...)...)
	}
	if r := fetch("svc-cpi:cpi-secret"); r.code != 0 || r.stdout != "hello\n" {
		t.Errorf("exit %d, got %q\n%s", r.code, r.stdout, r.stderr)
	}
	for _, user := range []string{"", "svc-cpi:wrong", "svc-other:other-secret", "nobody:cpi-secret"} {
		if r := fetch(user); r.code != 97 {
			t.Errorf("user %q: exit %d, want 97 (refused by the proxy)\n%s%s", user, r.code, r.stdout, r.stderr)
		}
	}
	p.says(`svc-other\\" may not use this proxy`)
	if text := p.out.String(); strings.Contains(text, "cpi-secret") || strings.Contains(text, "other-secret") || strings.Contains(text, "s3cret") {
		t.Error("a password is in the log")
	}
}
