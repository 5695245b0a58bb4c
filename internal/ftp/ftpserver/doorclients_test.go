package ftpserver_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"os/exec"
	"strings"
	"testing"

	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/testkit"
)

// realStreet is sites a, b and c, with certificates of one authority, behind an
// explicit and an implicit door of real sockets.
func realStreet(t *testing.T) (explicit, implicit, ca string, sites map[string]*site) {
	t.Helper()
	certs := testkit.NewCerts(t, "a.example.com")
	leaves := map[string]tls.Certificate{"a": certs.Leaf, "b": certs.Issue(t, "b.example.com"), "c": certs.Issue(t, "c.example.com")}
	sites = map[string]*site{}
	for name, leaf := range leaves {
		s := newSite(t, nil, func(srv *ftpserver.Server) {
			named(name, 0)(srv)
			srv.Passive = ftpserver.Passive{}
			srv.TLS = &ftpserver.TLS{
				Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &leaf, nil },
				Resumption:  ftpserver.ResumptionRequire,
			}
		})
		s.write("f", "of "+name)
		sites[name] = s
	}
	hosts := map[string]*site{"b.example.com": sites["b"], "c.example.com": sites["c"]}
	explicit = opened(t, netx.System{}, &ftpserver.Door{}, sites["a"], hosts)
	implicit = opened(t, netx.System{}, &ftpserver.Door{Implicit: true}, sites["a"], hosts)
	return explicit, implicit, certs.CAFile, sites
}

// TestDoorCurl has curl choose a site by the name that it begins TLS with, and by the
// user's name.
func TestDoorCurl(t *testing.T) {
	curl, env := testkit.Tool(t, "curl")
	explicit, implicit, ca, _ := realStreet(t)
	run := func(want string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), curl, append([]string{"-sS", "--fail", "--max-time", "60", "--cacert", ca}, args...)...)
		var stderr bytes.Buffer
		cmd.Env, cmd.Stderr = env, &stderr
		if out, err := cmd.Output(); err != nil || string(out) != want {
			t.Errorf("curl %s: got %q, %v, want %q: %s", strings.Join(args, " "), out, err, want, stderr.String())
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		host := name + ".example.com"
		for _, at := range []struct{ scheme, addr string }{{"ftp", explicit}, {"ftps", implicit}} {
			_, port, err := net.SplitHostPort(at.addr)
			if err != nil {
				t.Fatal(err)
			}
			// curl resumes under TLS 1.3 alone, and by default
			run("of "+name, "--ssl-reqd", "--tlsv1.3", "--resolve", host+":"+port+":127.0.0.1", "--user", name+":secret", at.scheme+"://"+host+":"+port+"/f")
		}
	}
	run("of c", "--user", "c.example.com|c:secret", "ftp://"+explicit+"/f")
	run("of a", "--user", "a:secret", "ftp://"+explicit+"/f")
}

// TestDoorLftp has lftp do the same.
func TestDoorLftp(t *testing.T) {
	lftp, env := testkit.Tool(t, "lftp")
	explicit, implicit, ca, _ := realStreet(t)
	home := t.TempDir()
	for _, q := range []struct{ settings, user, url, want string }{
		{"set ftp:ssl-allow no", "c.example.com|c", "ftp://" + explicit, "of c"},
		{"set ftp:ssl-force yes;set ssl:check-hostname no", "b.example.com|b", "ftp://" + explicit, "of b"},
		{"set ssl:check-hostname no", "c.example.com|c", "ftps://" + implicit, "of c"},
		{"set ftp:ssl-force yes;set ssl:check-hostname no", "a", "ftp://" + explicit, "of a"},
	} {
		cmd := exec.CommandContext(t.Context(), lftp, "--norc", "-c",
			"set cmd:fail-exit yes;set net:max-retries 1;set net:timeout 20;set ftp:ssl-protect-data yes;set ssl:ca-file "+ca+";"+q.settings+";open -u '"+q.user+"',secret "+q.url+";cat f")
		cmd.Env = append(env, "HOME="+home, "LFTP_HOME="+home)
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != q.want {
			t.Errorf("lftp as %s: got %q, %v, want %q", q.user, out, err, q.want)
		}
	}
}
