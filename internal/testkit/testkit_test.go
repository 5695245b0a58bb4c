package testkit_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/testkit"
)

func TestServers(t *testing.T) {
	servers := []struct {
		name  string
		start func(testing.TB, testkit.ServerOptions) *testkit.FTPServer
	}{
		{"vsftpd", testkit.Vsftpd},
		{"proftpd", testkit.Proftpd},
		{"pureftpd", testkit.Pureftpd},
	}
	for _, s := range servers {
		for _, mode := range []string{"plain", "explicit"} {
			t.Run(s.name+"-"+mode, func(t *testing.T) {
				var opts testkit.ServerOptions
				if mode == "explicit" {
					opts.TLS = &testkit.ServerTLS{}
				}
				srv := s.start(t, opts)
				srv.Make(t, "hello.txt=hello from the server", "folder/")
				curl, env := testkit.Tool(t, "curl")
				args := []string{"-sS", "--max-time", "30", "-u", srv.User + ":" + srv.Password}
				if srv.Certs != nil {
					args = append(args, "--ssl-reqd", "--cacert", srv.Certs.CAFile)
				}
				up := filepath.Join(t.TempDir(), "up.txt")
				if err := os.WriteFile(up, []byte("hello from the client"), 0o600); err != nil {
					t.Fatal(err)
				}
				curlRun := func(more ...string) string {
					t.Helper()
					cmd := exec.Command(curl, append(args, more...)...)
					cmd.Env = env
					out, err := cmd.CombinedOutput()
					if err != nil {
						t.Fatalf("curl: %v: %s", err, out)
					}
					return string(out)
				}
				if got, want := curlRun("ftp://"+srv.Addr+"/hello.txt"), "hello from the server"; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				curlRun("-T", up, "ftp://"+srv.Addr+"/folder/up.txt")
				b, err := os.ReadFile(filepath.Join(srv.Home, "folder/up.txt"))
				if err != nil || string(b) != "hello from the client" {
					t.Errorf("uploaded %q, %v", b, err)
				}
			})
		}
	}
}

func TestPortsDoNotOverlap(t *testing.T) {
	a, b := testkit.Ports(t), testkit.Ports(t)
	if a.Min <= b.Max && b.Min <= a.Max {
		t.Errorf("ranges %v and %v overlap", a, b)
	}
	if p, q := testkit.FreePort(t), testkit.FreePort(t); p == q {
		t.Errorf("port %d handed out twice", p)
	}
}

// recorder is a testing.TB that keeps what a test would have been told.
type recorder struct {
	testing.TB
	skipped, failed string
	cleanups        []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Failed() bool     { return false }
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Skip(a ...any)    { r.skipped, _ = a[0].(string) }
func (r *recorder) Fatal(a ...any)   { r.failed, _ = a[0].(string) }
func (r *recorder) Errorf(format string, _ ...any) {
	r.failed = format
}

func TestNeed(t *testing.T) {
	for _, ci := range []string{"", "true"} {
		t.Setenv("CI", ci)
		r := &recorder{TB: t}
		testkit.Need(r, true, "anything", "")
		if r.skipped+r.failed != "" {
			t.Errorf("CI=%q: what is there was missed: %q", ci, r.skipped+r.failed)
		}
		testkit.Need(r, false, "a peer", "fetch it with x")
		said := r.skipped
		if ci == "true" {
			said = r.failed
		}
		if !strings.Contains(said, "a peer") || !strings.Contains(said, "fetch it with x") {
			t.Errorf("CI=%q: said %q (skipped) and %q (failed)", ci, r.skipped, r.failed)
		}
	}
}

func TestNoLeaks(t *testing.T) {
	t.Cleanup(testkit.SetLeakPatience(50 * time.Millisecond))
	r := &recorder{TB: t}
	testkit.NoLeaks(r)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { <-stop; close(stopped) }()
	for _, f := range r.cleanups {
		f()
	}
	if r.failed == "" {
		t.Error("a goroutine left behind was not noticed")
	}
	close(stop)
	<-stopped
	testkit.SetLeakPatience(10 * time.Second)
	r.failed = ""
	for _, f := range r.cleanups {
		f()
	}
	if r.failed != "" {
		t.Errorf("complained without a leak: %s", r.failed)
	}
}

func TestMakeFS(t *testing.T) {
	root := t.TempDir()
	testkit.MakeFS(t, root, []string{"a/", "b/c/f=x=y", "b/l => ../a"})
	if info, err := os.Stat(filepath.Join(root, "a")); err != nil || !info.IsDir() {
		t.Errorf("a: %v, %v", info, err)
	}
	if b, err := os.ReadFile(filepath.Join(root, "b/c/f")); err != nil || string(b) != "x=y" {
		t.Errorf("f: %q, %v", b, err)
	}
	if got, err := os.Readlink(filepath.Join(root, "b/l")); err != nil || filepath.ToSlash(got) != "../a" {
		t.Errorf("l: %q, %v", got, err)
	}
}

func TestCerts(t *testing.T) {
	c := testkit.NewCerts(t, "ftp.example.com", "10.0.0.5")
	if err := c.Leaf.Leaf.VerifyHostname("ftp.example.com"); err != nil {
		t.Error(err)
	}
	if err := c.Leaf.Leaf.CheckSignatureFrom(c.CA); err != nil {
		t.Error(err)
	}
}
