//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sallyport.dev/internal/testkit"
)

// enterprise is the network of the rig: a plant, a cloud and a firewall between
// them in network namespaces.
type enterprise struct {
	t      *testing.T
	rig    string
	prefix string
}

// newEnterprise sets the network up, optionally with a link of that round-trip time.
func newEnterprise(t *testing.T) *enterprise {
	t.Helper()
	testkit.NeedRoot(t)
	for _, tool := range []string{"ip", "nft"} {
		_, err := exec.LookPath(tool)
		testkit.Need(t, err == nil, tool, "apt-get install iproute2 nftables")
	}
	e := &enterprise{t: t, rig: filepath.Join(testkit.Shared(t), "rigs", "enterprise-net.sh"), prefix: fmt.Sprintf("s%d", os.Getpid()%1_000_000)}
	t.Cleanup(func() { e.do("down") })
	e.do("up")
	// The rig gives IPv4 addresses alone. Without this the kernels of the hosts say
	// things of their own about IPv6 (neighbour discovery, multicast), which the
	// firewall counts as well.
	for _, host := range []string{"cloud", "fw", "plant", "ftp"} {
		e.do("exec", host, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
	}
	return e
}

func (e *enterprise) do(args ...string) string {
	e.t.Helper()
	cmd := exec.Command(e.rig, args...)
	cmd.Env = append(os.Environ(), "ENTERPRISE_PREFIX="+e.prefix)
	out, err := cmd.CombinedOutput()
	if err != nil {
		e.t.Fatalf("%s %s: %v\n%s", e.rig, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (e *enterprise) ns(name string) string { return e.prefix + "-" + name }

// counters returns the new connections that the firewall has let through and the
// packets that it has dropped.
func (e *enterprise) counters() (accepted, dropped int) {
	e.t.Helper()
	out := e.do("counters")
	for name, into := range map[string]*int{"accepted": &accepted, "dropped": &dropped} {
		m := regexp.MustCompile(name + ` (\d+)`).FindStringSubmatch(out)
		if m == nil {
			e.t.Fatalf("no %s counter in %q", name, out)
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			e.t.Fatal(err)
		}
		*into = n
	}
	return accepted, dropped
}

// TestFirewall: gateway and flows in the cloud, connector in the plant, vsftpd on
// its own host; files travel both ways with nothing open but plant → cloud:443,
// and nothing else is tried.
func TestFirewall(t *testing.T) {
	e := newEnterprise(t)
	srv := testkit.Vsftpd(t, testkit.VsftpdOptions{Host: "10.99.2.3", Port: 21, Netns: e.ns("ftp")})
	srv.Make(t, "out/", "out/order-1.xml=<order>1</order>", "out/order-2.xml=<order>2</order>", "out/half.tmp=not yet", "in/")
	cloud, plant := t.TempDir(), t.TempDir()
	incoming, outbox := filepath.Join(cloud, "orders"), filepath.Join(cloud, "outbox")
	for _, d := range []string{incoming, outbox} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(outbox, "Rechnung 7 – ü.pdf"), body("invoice", 300_000))
	doc := mustWrite(t, filepath.Join(cloud, "sallyport.yaml"), fmt.Sprintf(`
state: %[1]s/state
gateway:
  listen: 10.99.1.2:443
  public: 10.99.1.2:443
flows:
  - name: orders
    source:
      ftp: {address: "ftp-erp:21", location: plant1, user: %[2]s, security: none, password: "file:%[1]s/password"}
      directory: out
      match: "*.xml"
      every: 1s
      ready: {when: always}
      after: delete
    sinks:
      - local: {path: %[3]s, existing: fail}
  - name: invoices
    source:
      local: {path: %[4]s}
      every: 1s
      ready: {when: always}
      after: delete
    sinks:
      - ftp: {address: "ftp-erp:21", location: plant1, user: %[2]s, security: none, password: "file:%[1]s/password", directory: in}
`, cloud, srv.User, incoming, outbox))
	mustWrite(t, filepath.Join(cloud, "password"), srv.Password)

	_, before := e.counters()
	run := start(t, e.ns("cloud"), "run", "-c", doc)
	run.says(`listening on 10\.99\.1\.2:443`)
	token := mustRun(t, e.ns("cloud"), "", "gateway", "token", "--location", "plant1", "--state", filepath.Join(cloud, "state")).stdout
	mustRun(t, e.ns("plant"), token, "connector", "join", "-", "--state", plant)
	start(t, e.ns("plant"), "connector", "run", "--state", plant, "--expose", "ftp-erp:21=10.99.2.3:21,protocol=ftp").says(`connected to`)

	for _, f := range []struct{ path, want string }{
		{filepath.Join(incoming, "order-1.xml"), sum(t, strings.NewReader("<order>1</order>"))},
		{filepath.Join(incoming, "order-2.xml"), sum(t, strings.NewReader("<order>2</order>"))},
		{filepath.Join(srv.Home, "in", "Rechnung 7 – ü.pdf"), sum(t, body("invoice", 300_000))},
	} {
		waitForFile(t, f.path)
		if got := sumFile(t, f.path); got != f.want {
			t.Errorf("%s: got %s, want %s", f.path, got, f.want)
		}
	}
	waitGone(t, filepath.Join(srv.Home, "out", "order-1.xml"))
	waitGone(t, filepath.Join(outbox, "Rechnung 7 – ü.pdf"))
	if _, err := os.Stat(filepath.Join(srv.Home, "out", "half.tmp")); err != nil {
		t.Errorf("a file that does not match was touched: %v", err)
	}
	accepted, dropped := e.counters()
	dropped -= before
	t.Logf("firewall: %d connections plant → cloud:443, %d packets of anything else", accepted, dropped)
	if accepted == 0 || dropped != 0 {
		t.Errorf("firewall counted %d accepted and %d dropped; want some and none", accepted, dropped)
	}
}
