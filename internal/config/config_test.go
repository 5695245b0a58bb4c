package config_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sallyport.dev/internal/config"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/testkit"
)

const example = "testdata/example.yaml"

func mustRead(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func mustParse(t testing.TB, text string) *config.Document {
	t.Helper()
	doc, err := config.Parse("sallyport.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// values compares configs by what is in them; references and addresses have
// unexported fields.
var values = cmp.Options{
	cmp.Comparer(func(a, b secret.Ref) bool { return a == b }),
	cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}),
	cmpopts.EquateEmpty(),
}

// The example is the design's, byte for byte.
func TestExampleIsTheDesigns(t *testing.T) {
	design := mustRead(t, filepath.Join(testkit.Shared(t), "design.md"))
	_, after, ok := strings.Cut(design, "```yaml\n")
	if !ok {
		t.Fatal("the design has no example")
	}
	want, _, _ := strings.Cut(after, "```\n")
	if diff := cmp.Diff(want, mustRead(t, example)); diff != "" {
		t.Errorf("%s differs from the design (-design +example):\n%s", example, diff)
	}
}

func TestExample(t *testing.T) {
	doc, err := config.Load(example)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range doc.Warnings {
		t.Errorf("got a warning: %s", w)
	}
	site := doc.Sites[0]
	if got := site.Listen.String(); got != "0.0.0.0:21" {
		t.Errorf("got listen %s", got)
	}
	if got := site.Passive.Ports; got != (config.PortRange{Low: 5000, High: 5010}) || got.Size() != 11 {
		t.Errorf("got passive ports %s", got)
	}
	if site.TLS.Control != config.ControlRequire || site.TLS.Resumption != config.ResumptionWarn {
		t.Errorf("got tls %+v", site.TLS)
	}
	flow := doc.Flows[0]
	if f := flow.Source.FTP; f.Address.Host != "ftp-erp" || f.Password.String() != "env:ERP_PASSWORD" || f.Security != config.SecurityNone {
		t.Errorf("got source %+v", f)
	}
	if flow.Source.Every != 30*time.Second || flow.Source.After.Action != config.AfterMove {
		t.Errorf("got source %+v", flow.Source)
	}
	if flow.Concurrency == 0 || flow.Retry.Attempts == 0 || flow.Sinks[0].Local.Name != "${file.name}" {
		t.Errorf("got no defaults: %+v", flow)
	}
}

// What is shown is a document that says the same, whatever was left out of the
// first.
func TestShownAndEffectiveSayTheSame(t *testing.T) {
	hash := "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQxMjM0NTY3OA$vLHPCRLQ5uLm+Gdx3BJdk7VVvmGwW9j2H3DkKHmRa4E"
	for name, text := range map[string]string{
		"example": mustRead(t, example),
		"least":   "gateway: {}\n",
		"cluster": "journal: {urls: ['tls://n1:4222'], replicas: 3}\nsites: [{name: a, path: ./a, anonymous: true, tls: {certificate: auto}}]\n",
		"floor":   "journal: {min_free: 512}\nsites: [{name: a, path: ./a, anonymous: true, tls: {certificate: auto}}]\n",
		"uploads": "sites: [{name: a, path: ./a, anonymous: true, uploads: {parts: keep, rename_over: fail, mode: 0640, directory_mode: '750', owner: ftp, group: '1000'}, listing: {style: dos, hidden: hide}}]\n",
		"bounds": `
sites:
  - name: a
    path: ./a
    anonymous: true
    tls: {certificate: auto}
    bindings: [{listen: ":21", host: a.example.com}, {listen: "[::1]:990", implicit: true}]
    passive: {ports: 5000-5010, external_ip: [{clients: [10.0.0.0/8, "2001:db8::/32"], address: own}, {address: ftp.example.com}], resolve_every: 90s}
    active: {source_port: 20, mode: off}
    limits: {sessions: 7, per_address: 6, per_user: 5, passwords: 4}
    timeouts: {login: 11s, idle: 12s, stall: 13s, connect: 10s}
    messages: {banner: [a, " b"], greeting: "yes", folder_file: .f}
    attempts: {mode: off, trusted: [192.0.2.1]}
  - {name: b, path: ./b, anonymous: true, passive: {external_ip: 203.0.113.7}}
  - {name: c, path: ./c, anonymous: true, listen: ":2122", passive: {external_ip: own}}
`,
		"flow": `
flows:
  - name: f
    source: {local: {path: ./in}, match: "\"q\" [a-c]*", after: delete, every: 1h, ready: {when: always}}
    sinks: [{ftp: {address: "[::1]:21", user: u, password: "file:./p w", directory: "yes", existing: replace}}]
    retry: {first: 90s}
`,
	} {
		t.Run(name, func(t *testing.T) {
			doc := mustParse(t, text)
			for what, show := range map[string]func() []byte{"shown": doc.Shown, "effective": doc.Effective} {
				out := show()
				if strings.Contains(string(out), hash) {
					t.Errorf("%s: a hash is shown whole", what)
				}
				again := mustParse(t, strings.ReplaceAll(string(out), "$argon2id$v=19$m=65536,t=3,p=4$[redacted]", hash))
				if diff := cmp.Diff(doc.Config, again.Config, values); diff != "" {
					t.Errorf("%s says something else (-document +shown):\n%s\n%s", what, diff, out)
				}
			}
		})
	}
}

func TestEffectiveGolden(t *testing.T) {
	out := mustParse(t, mustRead(t, example)).Effective()
	testkit.Golden(t, "testdata/effective.golden", out)
}

func TestJSON(t *testing.T) {
	out := mustParse(t, mustRead(t, example)).JSON()
	var v struct {
		Flows []struct{ Source struct{ Every, Match string } }
	}
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if got := v.Flows[0].Source; got.Every != "30s" || got.Match != "*.xml" {
		t.Errorf("got %+v", got)
	}
}

func TestUnserved(t *testing.T) {
	doc := mustParse(t, strings.ReplaceAll(mustRead(t, example), "existing: fail", "existing: append"))
	got := func(path string) string {
		var keys []string
		for _, f := range doc.Unserved(path) {
			keys = append(keys, fmt.Sprintf("%d:%d %s", f.Line, f.Column, f.Path))
			if f.Hint == "" {
				t.Errorf("%s has no hint", f)
			}
		}
		return strings.Join(keys, "\n")
	}
	flows := "36:47 flows.orders.sinks[0].local.existing"
	for path, want := range map[string]string{"": flows, "flows": flows, "flows[0]": flows, "flows[1]": "", "flow": "", "gateway": "", "connector": "", "sites": "", "sites[0]": ""} {
		if g := got(path); g != want {
			t.Errorf("Unserved(%q): got\n%s\nwant\n%s", path, g, want)
		}
	}
}

// Every row of the table is about a key that documents have, or it would let
// something through in silence.
func TestUnservedRows(t *testing.T) {
	doc := mustParse(t, `
journal: {urls: ["nats://n"]}
accounts: [{name: a, password: env:A}]
sites:
  - {name: s, path: /s, tls: {certificate: auto}, active: {source_port: 20}, authorization: [{deny: [a], path: /x, permissions: [read]}]}
gateway: {}
connector:
  gateways: ["g:1"]
  location: l
  mappings:
    - {virtual: "a:990", internal: "b:990", protocol: ftps, ftps: terminate, active: on}
    - {virtual: "b:21", internal: "b:21", protocol: ftp, ftps: same-host, active: off}
flows:
  - name: f
    source: {ftp: {address: "x:21"}}
    sinks:
      - ftp: {address: "y:21", existing: append}
      - local: {path: /z, existing: append}
`)
	rows := map[string]bool{}
	for _, f := range doc.Unserved("") {
		rows[f.String()] = true
	}
	if got, want := len(rows), config.UnservedRows+1; got != want { // ftps: both words
		t.Errorf("got %d of %d: %v", got, want, rows)
	}
}

func TestPos(t *testing.T) {
	doc := mustParse(t, mustRead(t, example))
	for path, want := range map[string]config.Pos{
		"state":                        {Line: 1, Column: 8},
		"sites[0].passive.ports":       {Line: 11, Column: 22},
		"sites[0].banner":              {Line: 7, Column: 5},
		"flows[0].source.ready.age":    {Line: 33, Column: 14},
		"connector.mappings[1].ftps":   {Line: 25, Column: 7},
		"accounts[0].password.hash":    {Line: 4, Column: 38},
		"nothing[3].of.the.kind":       {Line: 1, Column: 1},
		"sites[0].authorization[1].no": {Line: 15, Column: 9},
	} {
		if got := doc.Pos(path); got != want {
			t.Errorf("%s: got %d:%d, want %d:%d", path, got.Line, got.Column, want.Line, want.Column)
		}
	}
	f := doc.Fault("flows[0].source.ftp.address", "look there", "no answer")
	if got, want := f.String(), "sallyport.yaml:29:22: flows.orders.source.ftp.address: no answer (look there)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLoadRefuses(t *testing.T) {
	if _, err := config.Load(filepath.Join(t.TempDir(), "none.yaml")); err == nil || !strings.Contains(err.Error(), "read the document") {
		t.Errorf("got %v for a missing document", err)
	}
	big := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(big, []byte("# "+strings.Repeat("x", config.MaxSize)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(big); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v for a document that is too long", err)
	}
}

// A check opens nothing: the example's files and variables are not there.
func TestCheckOpensNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	mustParse(t, `
accounts: [{name: a, password: env:SALLYPORT_NO_SUCH_VARIABLE}]
sites: [{name: s, path: /no/such/folder, tls: {certificate: file:/no/such/file, key: file:/no/such/key}}]
`)
}

// TestHomes refuses homes that cannot be.
func TestHomes(t *testing.T) {
	for homes, want := range map[string]string{
		`{folder: "/users/${user}"}`:                "",
		`{folder: "/users/${name}"}`:                "has a hole that is not known here",
		`{folder: "users/${user}"}`:                 "is no virtual folder",
		`{folder: "/"}`:                             "the site's top is the folder of all",
		`{folder: "/u/${user}", anonymous: public}`: "is no virtual folder",
		`{folder: "/${user}/../x"}`:                 "is no virtual folder",
	} {
		_, err := config.Parse("f", []byte("accounts: [{name: a, password: env:A}]\nsites: [{name: s, path: /s, homes: "+homes+"}]\n"))
		if got := fmt.Sprint(err); want == "" && err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: got %v, want %q", homes, err, want)
		}
	}
	for name, account := range map[string]string{"slash": "a/b", "up": "..", "windows": `a\b`, "dot": "a."} {
		_, err := config.Parse("f", []byte("accounts: [{name: '"+account+"', password: env:A}]\nsites: [{name: s, path: /s, homes: {folder: '/u/${user}'}}]\n"))
		if err == nil || !strings.Contains(err.Error(), "can name none") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	_, err := config.Parse("f", []byte("sites: [{name: s, path: /s, anonymous: true, homes: {folder: '/u/${user}'}}]\n"))
	if err == nil || !strings.Contains(err.Error(), "the anonymous may log in and have no folder") {
		t.Errorf("anonymous: got %v", err)
	}
}
