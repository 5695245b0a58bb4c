package ftpserver_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/testkit"
)

// visit is one way in which a client comes to a site.
type visit struct {
	host, port string
	active     bool
	security   string // plain, explicit or implicit
	ca         string // PEM file
	home       string // the client's folder, with the file "up file.bin" in it
}

// url is the site's address with a scheme.
func (v visit) url(scheme string) string { return scheme + "://" + net.JoinHostPort(v.host, v.port) }

// otherClient is a program that people use.
type otherClient struct {
	program    string // the Debian package's, as testkit.Tool knows it
	securities string
	noIPv6     bool
	// noActiveTLS: curl up to 7.88 says PROT P and then sends an active upload in
	// the clear, which no site may take.
	noActiveTLS bool
	// story uploads "up file.bin" into the new folder in, renames it to "a b.bin",
	// lists in to the file listing, and downloads to the file down. It returns the
	// program's arguments and what it is told on standard input.
	story func(v visit) (args []string, stdin string)
	// then, if set, is a second run with another program of the same package.
	then []func(v visit) (program string, args []string, output string)
}

var otherClients = map[string]otherClient{
	"curl": {program: "curl", securities: "plain explicit implicit", noActiveTLS: true, story: func(v visit) ([]string, string) {
		return append(curlArgs(v), "--ftp-create-dirs", "-T", "up file.bin", v.url(curlScheme(v))+"/in/up", "-Q", "-RNFR up", "-Q", "-RNTO a b.bin"), ""
	}, then: []func(visit) (string, []string, string){
		func(v visit) (string, []string, string) {
			return "curl", append(curlArgs(v), v.url(curlScheme(v))+"/in/"), "listing"
		},
		func(v visit) (string, []string, string) {
			return "curl", append(curlArgs(v), v.url(curlScheme(v))+"/in/a%20b.bin"), "down"
		},
	}},
	"lftp": {program: "lftp", securities: "plain explicit implicit", story: func(v visit) ([]string, string) {
		scheme := map[string]string{"plain": "ftp", "explicit": "ftp", "implicit": "ftps"}[v.security]
		return []string{"--norc", "-c", fmt.Sprintf("set cmd:fail-exit yes; set net:max-retries 1; set net:timeout 20; set ftp:passive-mode %t; set ftp:ssl-allow %t; set ftp:ssl-force %t; set ftp:ssl-protect-data yes; set ssl:ca-file %s; open -u anna,secret %s; mkdir in; put 'up file.bin' -o in/up; mv in/up 'in/a b.bin'; ls in > listing; get 'in/a b.bin' -o down",
			!v.active, v.security != "plain", v.security != "plain", v.ca, v.url(scheme))}, ""
	}},
	"ncftp": {program: "ncftpput", securities: "plain", noIPv6: true, story: func(v visit) ([]string, string) {
		return append(ncftpArgs(v), "-m", "-X", "RNFR /in/up file.bin", "-X", "RNTO /in/a b.bin", v.host, "/in", "up file.bin"), ""
	}, then: []func(visit) (string, []string, string){
		func(v visit) (string, []string, string) {
			return "ncftpls", append(ncftpArgs(v), "-l", "ftp://"+v.host+"/in/"), "listing"
		},
		func(v visit) (string, []string, string) {
			return "ncftpget", append(ncftpArgs(v), "-c", v.host, "/in/a b.bin"), "down"
		},
	}},
	"tnftp":         {program: "tnftp", securities: "plain", story: bsdStory},
	"inetutils-ftp": {program: "inetutils-ftp", securities: "plain", story: bsdStory},
	"ftplib": {program: "python3", securities: "plain explicit implicit", story: func(v visit) ([]string, string) {
		return []string{"-c", ftplibStory, v.host, v.port, v.security, fmt.Sprint(!v.active), v.ca}, ""
	}},
}

func curlScheme(v visit) string {
	if v.security == "implicit" {
		return "ftps"
	}
	return "ftp"
}

func curlArgs(v visit) []string {
	args := []string{"-sS", "--globoff", "--fail", "--max-time", "60", "--user", "anna:secret", "--cacert", v.ca}
	if v.security == "explicit" {
		args = append(args, "--ssl-reqd")
	}
	if v.active {
		args = append(args, "--ftp-port", "-")
	}
	return args
}

func ncftpArgs(v visit) []string {
	mode := map[bool]string{false: "-F", true: "-E"}[v.active]
	return []string{"-u", "anna", "-p", "secret", "-P", v.port, "-r", "1", "-t", "30", mode}
}

// bsdStory is for the descendants of 4.2BSD's ftp.
func bsdStory(v visit) ([]string, string) {
	mode := map[bool]string{false: "-p", true: "-A"}[v.active]
	return []string{"-n", "-i", "-v", mode, v.host, v.port},
		"user anna secret\nbinary\nmkdir in\nput \"up file.bin\" in/up\nrename in/up \"in/a b.bin\"\nls in listing\nget \"in/a b.bin\" down\nquit\n"
}

const ftplibStory = `
import ftplib, ssl, sys
host, port, security, passive, ca = sys.argv[1:]
class Implicit(ftplib.FTP_TLS):
    wrapped = None
    @property
    def sock(self): return self.wrapped
    @sock.setter
    def sock(self, s):
        if s is not None and not isinstance(s, ssl.SSLSocket):
            s = self.context.wrap_socket(s, server_hostname=self.host)
        self.wrapped = s
if security == "plain":
    f = ftplib.FTP(timeout=30)
else:
    kind = ftplib.FTP_TLS if security == "explicit" else Implicit
    f = kind(context=ssl.create_default_context(cafile=ca), timeout=30)
f.connect(host, int(port))
f.login("anna", "secret")
if security != "plain":
    f.prot_p()
f.set_pasv(passive == "true")
assert f.mkd("in") == "/in"
f.storbinary("STOR in/up", open("up file.bin", "rb"))
f.rename("in/up", "in/a b.bin")
with open("listing", "w") as out:
    f.retrlines("LIST in", lambda line: out.write(line + "\n"))
assert [name for name, facts in f.mlsd("in")] == ["a b.bin"]
with open("down", "wb") as out:
    f.retrbinary("RETR in/a b.bin", out.write)
f.quit()
`

// with gives a site the certificate of certs.
func with(certs *testkit.Certs, policy ftpserver.TLS) func(*ftpserver.Server) {
	policy.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certs.Leaf, nil }
	return func(srv *ftpserver.Server) { srv.TLS = &policy }
}

// TestClients has the clients that people use run one story each: plain, explicit
// and implicit TLS, active and passive, IPv4 and IPv6.
func TestClients(t *testing.T) {
	content := make([]byte, 1<<20+1)
	rnd := rand.NewChaCha8([32]byte{7})
	_, _ = rnd.Read(content)
	for name, other := range otherClients {
		program, env := testkit.Tool(t, other.program)
		for _, security := range strings.Fields(other.securities) {
			for _, active := range []bool{false, true} {
				for _, host := range []string{"127.0.0.1", "::1"} {
					if other.noIPv6 && host == "::1" || other.noActiveTLS && active && security != "plain" {
						continue
					}
					t.Run(fmt.Sprintf("%s/%s/active-%t/%s", name, security, active, host), func(t *testing.T) {
						certs := testkit.NewCerts(t)
						s := newSiteAt(t, host, with(certs, ftpserver.TLS{Implicit: security == "implicit"}))
						v := visit{active: active, security: security, home: t.TempDir(), ca: certs.CAFile}
						v.host, v.port, _ = net.SplitHostPort(s.addr)
						s.receive(v, program, env, other, content)
					})
				}
			}
		}
	}
}

// receive runs a client's story and looks at what came of it.
func (s *site) receive(v visit, program string, env []string, other otherClient, content []byte) {
	t := s.t
	t.Helper()
	if err := os.WriteFile(filepath.Join(v.home, "up file.bin"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	args, stdin := other.story(v)
	said := v.run(t, env, program, args, stdin)
	for _, then := range other.then {
		name, args, output := then(v)
		program, env := testkit.Tool(t, name)
		out := v.run(t, env, program, args, "")
		if err := os.WriteFile(filepath.Join(v.home, output), []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.names("in"); got != "a b.bin" {
		t.Fatalf("the site holds %q, want one file; the client said %s", got, said)
	}
	if got := s.read("in/a b.bin"); got != string(content) {
		t.Errorf("uploaded: got %d bytes, want %d", len(got), len(content))
	}
	for file, want := range map[string]string{"down": string(content), "listing": "a b.bin"} {
		got, err := os.ReadFile(filepath.Join(v.home, file))
		if err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: got %d bytes, %v; the client said %s", file, len(got), err, said)
		}
	}
}

// run runs one program in the client's folder and returns its standard output.
func (v visit) run(t testing.TB, env []string, program string, args []string, stdin string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdin = v.home, strings.NewReader(stdin)
	cmd.Env = append(env, "HOME="+v.home, "LANG=C.UTF-8", "LFTP_HOME="+v.home, "TERM=dumb")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v: %s %s", program, args, err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// TestClientsResume has real clients come to a site that requires data
// connections to resume: how the page for administrators has it.
func TestClientsResume(t *testing.T) {
	for name, q := range map[string]struct {
		program string
		args    func(v visit) []string
		good    bool
	}{
		"curl": {"curl", func(v visit) []string { return append(curlArgs(v), v.url("ftp")+"/f") }, true},
		"curl-no-sessionid": {"curl", func(v visit) []string {
			return append(curlArgs(v), "--no-sessionid", v.url("ftp")+"/f")
		}, false},
		"lftp": {"lftp", func(v visit) []string {
			return []string{"--norc", "-c", fmt.Sprintf("set cmd:fail-exit yes; set net:max-retries 1; set net:timeout 20; set ftp:ssl-force yes; set ftp:ssl-protect-data yes; set ssl:ca-file %s; open -u anna,secret %s; cat f; cat f; cat f", v.ca, v.url("ftp"))}
		}, true},
		"ftplib":         {"python3", func(v visit) []string { return []string{"-c", ftplibResume, v.host, v.port, v.ca, "plain"} }, false},
		"ftplib-session": {"python3", func(v visit) []string { return []string{"-c", ftplibResume, v.host, v.port, v.ca, "session"} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			program, env := testkit.Tool(t, q.program)
			certs := testkit.NewCerts(t)
			s := newSiteAt(t, "127.0.0.1", with(certs, ftpserver.TLS{Resumption: ftpserver.ResumptionRequire}))
			s.write("f", "content")
			v := visit{security: "explicit", home: t.TempDir(), ca: certs.CAFile}
			v.host, v.port, _ = net.SplitHostPort(s.addr)
			cmd := exec.CommandContext(t.Context(), program, q.args(v)...)
			cmd.Dir, cmd.Env = v.home, append(env, "HOME="+v.home, "LFTP_HOME="+v.home)
			out, err := cmd.CombinedOutput()
			if good := err == nil && strings.Contains(string(out), "content"); good != q.good {
				t.Errorf("got %v, %s; want good %v", err, out, q.good)
			}
		})
	}
}

const ftplibResume = `
import ftplib, ssl, sys
host, port, ca, how = sys.argv[1:]
class Resuming(ftplib.FTP_TLS):
    def ntransfercmd(self, cmd, rest=None):
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        return self.context.wrap_socket(conn, server_hostname=self.host, session=self.sock.session), size
f = (Resuming if how == "session" else ftplib.FTP_TLS)(context=ssl.create_default_context(cafile=ca), timeout=30)
f.connect(host, int(port))
f.login("anna", "secret")
f.prot_p()
for i in range(3):
    f.retrbinary("RETR f", lambda b: print(b.decode()))
f.quit()
`
