//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"sallyport.dev/internal/testkit"
)

// refused fails the test unless r exited with code and said every one of words,
// a hint among them.
func refused(t *testing.T, r result, code int, words ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit %d, want %d", r.code, code)
	}
	said := r.stdout + r.stderr
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("it does not say %q:\n%s", w, said)
		}
	}
}

func TestMalformedDocument(t *testing.T) {
	doc := mustWrite(t, filepath.Join(t.TempDir(), "sallyport.yaml"), `state: ./state
gatway:
  listen: :8443
sites:
  - name: a
    path: ""
    listn: 127.0.0.1:0
    passive: {ports: 6000-5000}
accounts:
  - {name: erp, password: hunter2}
`)
	r := run(t, "", "", "config", "check", "-c", doc)
	refused(t, r, 1, doc+":2:1: ", `gateway`, doc+":7:5: ", "listen", doc+":8:22: ", "5000-6000", doc+":10:27: ", "env:")
	if n := strings.Count(r.stdout, doc+":"); n < 5 {
		t.Errorf("%d faults told, want all five at once:\n%s", n, r.stdout)
	}
	if strings.Contains(r.stdout+r.stderr, "hunter2") {
		t.Error("the password in the document was repeated")
	}
	refused(t, run(t, "", "", "run", "-c", doc), 1, doc+":2:1: ", "sallyport: error: ")
}

func TestDocumentAsksForMoreThanIsServed(t *testing.T) {
	dir := t.TempDir()
	doc := mustWrite(t, filepath.Join(dir, "sallyport.yaml"), fmt.Sprintf(`
state: %[1]s/state
accounts: [{name: erp, password: "file:%[1]s/pw"}]
sites:
  - name: files
    path: %[1]s
    listen: 127.0.0.1:0
journal: {urls: ["nats://n1:4222"]}
`, dir))
	refused(t, run(t, "", "", "run", "-c", doc), 1, "journal.urls", "not served", "hint: ")
	refused(t, run(t, "", "", "config", "check", "-c", doc), 0, "warning: ", "journal.urls")
}

func TestTokens(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "cloud")
	g := start(t, "", "gateway", "run", "--listen", "127.0.0.1:0", "--socks", "", "--state", state)
	addr := g.listens()
	token := func(state string) string {
		t.Helper()
		return mustRun(t, "", "", "gateway", "token", "--location", "plant1", "--address", addr, "--state", state).stdout
	}
	join := func(token, name string) result {
		t.Helper()
		return run(t, "", token, "connector", "join", "-", "--state", filepath.Join(dir, name))
	}
	first := token(state)
	if first != strings.TrimSpace(first)+"\n" || strings.Contains(strings.TrimSpace(first), "\n") {
		t.Errorf("the token does not stand alone on standard output: %d lines", strings.Count(first, "\n"))
	}
	if r := join(first, "one"); r.code != 0 {
		t.Fatalf("join: %s", r.stderr)
	}
	refused(t, join(first, "two"), 1, "sallyport: error: ", "used", "hint: ", "gateway token")
	refused(t, join(token(state), "three"), 1, "plant1", "hint: ", "revoke")
	refused(t, join(token(filepath.Join(dir, "elsewhere")), "four"), 4, "hint: ")
	refused(t, join(first[:40], "five"), 1, "hint: ", "gateway token")
	refused(t, join("", "six"), 1, "hint: ")
}

// TestWrongCertificate: another gateway at the address, and a revoked connector.
func TestWrongCertificate(t *testing.T) {
	dir := t.TempDir()
	gatewayAt := func(listen, state string) (*program, string) {
		p := start(t, "", "gateway", "run", "--listen", listen, "--socks", "", "--state", filepath.Join(dir, state))
		return p, p.listens()
	}
	real, addr := gatewayAt("127.0.0.1:0", "real")
	token := mustRun(t, "", "", "gateway", "token", "--location", "plant1", "--address", addr, "--state", filepath.Join(dir, "real")).stdout
	plant := filepath.Join(dir, "plant")
	mustRun(t, "", token, "connector", "join", "-", "--state", plant)
	real.stop(syscall.SIGTERM)

	other, _ := gatewayAt(addr, "other")
	refused(t, run(t, "", "", "connector", "run", "--state", plant, "--expose", "a:1=127.0.0.1:1"), 4, addr, "hint: ")
	other.stop(syscall.SIGTERM)

	gatewayAt(addr, "real")
	connector := start(t, "", "connector", "run", "--state", plant, "--expose", "a:1=127.0.0.1:1")
	connector.says("connected to")
	list := mustRun(t, "", "", "gateway", "connectors", "--state", filepath.Join(dir, "real")).stdout
	m := regexp.MustCompile(`(?m)^(\S+)\s+plant1\s+connected`).FindStringSubmatch(list)
	if m == nil {
		t.Fatalf("no connected connector in:\n%s", list)
	}
	mustRun(t, "", "", "gateway", "connectors", "revoke", m[1], "--state", filepath.Join(dir, "real"))
	connector.says("revoked")
	connector.stop(syscall.SIGTERM)
	refused(t, run(t, "", "", "connector", "run", "--state", plant, "--expose", "a:1=127.0.0.1:1"), 1, "revoked", "hint: ", "connector join")
}

func TestOneProcessPerStateFolder(t *testing.T) {
	state := t.TempDir()
	start(t, "", "gateway", "run", "--listen", "127.0.0.1:0", "--socks", "", "--state", state).listens()
	refused(t, run(t, "", "", "gateway", "run", "--listen", "127.0.0.1:0", "--socks", "", "--state", state), 1, "in use by another process", "hint: ", "--state")
}

// TestCheck: the same way, whole and broken at each place a person breaks it.
func TestCheck(t *testing.T) {
	addr, root := site(t)
	mustWrite(t, filepath.Join(root, "a"), "x")
	c := cross(t, "ftp-erp:21="+addr+",protocol=ftp", "dead:21=127.0.0.1:9,protocol=ftp")
	pw := mustWrite(t, filepath.Join(t.TempDir(), "pw"), "s3cret")
	wrong := mustWrite(t, filepath.Join(t.TempDir(), "pw"), "guess")
	through := []string{"--location", "plant1", "--state", c.state, "--password-file", pw}
	for _, tt := range []struct {
		name  string
		args  []string
		code  int
		words []string
	}{
		{"direct", []string{"ftp://erp@" + addr + "/", "--password-file", pw}, 0, []string{"ok", "connect to " + addr, "log in", "data connection", "list", "1 entry", "is whole"}},
		{"location", append([]string{"ftp://erp@ftp-erp/"}, through...), 0, []string{"ok", `location "plant1"`, "data connection to ftp-erp:", "1 entry", "is whole"}},
		{"proxy", []string{"ftp://erp@ftp-erp/", "--proxy", "socks5://" + c.socks, "--password-file", pw}, 0, []string{"proxy " + c.socks, "is whole"}},
		{"wrong_password", []string{"ftp://erp@" + addr + "/", "--password-file", wrong}, 4, []string{"FAIL", "log in", "530", "hint: ", "password"}},
		{"nobody_listens", []string{"ftp://erp@127.0.0.1:9/", "--password-file", pw}, 1, []string{"FAIL", "connect to 127.0.0.1:9", "hint: ", "nothing listens"}},
		{"missing_folder", []string{"ftp://erp@" + addr + "/nowhere", "--password-file", pw}, 1, []string{"FAIL", "list nowhere", "550"}},
		{"unmapped", append([]string{"ftp://erp@ftp-erb/"}, through...), 1, []string{"FAIL", "ftp-erb:21", "ftp-erp:21", "hint: "}},
		{"unmapped_by_proxy", []string{"ftp://erp@ftp-erb/", "--proxy", "socks5://" + c.socks, "--password-file", pw}, 1, []string{"FAIL", "ftp-erb:21", "hint: "}},
		{"server_down", append([]string{"ftp://erp@dead/"}, through...), 1, []string{"FAIL", "dead:21", "hint: "}},
		{"unknown_location", []string{"ftp://erp@ftp-erp/", "--location", "plant2", "--state", c.state, "--password-file", pw}, 1, []string{"FAIL", "plant2", "hint: "}},
		{"no_gateway", []string{"ftp://erp@ftp-erp/", "--location", "plant1", "--state", t.TempDir(), "--password-file", pw}, 1, []string{"FAIL", "hint: ", "--state"}},
		{"no_tls", []string{"ftpes://erp@" + addr + "/", "--password-file", pw}, 1, []string{"FAIL", "start TLS"}},
		{"bad_url", []string{"http://x/"}, 2, []string{"hint: ", "ftp://"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refused(t, run(t, "", "", append([]string{"check"}, tt.args...)...), tt.code, tt.words...)
		})
	}
}

// TestSOCKSCodes: what a program at the proxy is told, by number.
func TestSOCKSCodes(t *testing.T) {
	curl, env := testkit.Tool(t, "curl")
	ask := func(socks, url string) result {
		return command(t, "", "", "env", append(append([]string{}, env...), curl, "-sS", "--proxy", "socks5h://"+socks, url)...)
	}
	alone := start(t, "", "gateway", "run", "--listen", "127.0.0.1:0", "--socks", "127.0.0.1:0", "--state", t.TempDir())
	refused(t, ask(alone.says(`listening on (\S+) \(socks5\)`)[1], "ftp://ftp-erp/"), 97, "(3)")
	c := cross(t, "dead:21=127.0.0.1:9,protocol=ftp")
	refused(t, ask(c.socks, "ftp://ftp-erp/"), 97, "(2)")
	refused(t, ask(c.socks, "ftp://dead/"), 97, "(4)")
	c.gateway.says(`no mapping covers \\"ftp-erp:21\\".*"hint":`)
}

// TestFullDiskAtTheSink: nothing half under the final name, the source keeps the
// file, the log says what is the matter, and once there is room the file arrives.
func TestFullDiskAtTheSink(t *testing.T) {
	testkit.Need(t, runtime.GOOS == "linux", "Linux", "run this test on Linux")
	testkit.NeedRoot(t)
	dir := t.TempDir()
	source, sink := filepath.Join(dir, "source"), filepath.Join(dir, "sink")
	for _, d := range []string{source, sink} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	mountSmall(t, sink)
	filler := filepath.Join(sink, "filler")
	writeFile(t, filler, body("filler", 900<<10))
	writeFile(t, filepath.Join(source, "big"), body("big", 600<<10))
	doc := mustWrite(t, filepath.Join(dir, "sallyport.yaml"), fmt.Sprintf(`
state: %[1]s/state
flows:
  - name: copy
    source:
      local: {path: %[2]s}
      every: 200ms
      ready: {when: always}
      after: delete
    sinks:
      - local: {path: %[3]s}
    retry: {attempts: 100, first: 200ms, max: 200ms}
`, dir, source, sink))
	p := start(t, "", "run", "-c", doc)
	p.says(`no space left on device`)
	p.says(`"hint":"[^"]+"`)
	if _, err := os.Stat(filepath.Join(source, "big")); err != nil {
		t.Errorf("the source lost the file: %v", err)
	}
	if _, err := os.Stat(filepath.Join(sink, "big")); err == nil {
		t.Error("there is a file under the final name on the full disk")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	waitForFile(t, filepath.Join(sink, "big"))
	if got, want := sumFile(t, filepath.Join(sink, "big")), sum(t, body("big", 600<<10)); got != want {
		t.Errorf("arrived as %s, want %s", got, want)
	}
	waitGone(t, filepath.Join(source, "big"))
}
