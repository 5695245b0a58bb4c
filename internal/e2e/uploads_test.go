//go:build linux

package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport.dev/internal/testkit"
)

// document runs a document of one site called s, whose other keys are rest.
func document(t *testing.T, root, accounts, rest string) *program {
	t.Helper()
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "pw"), "s3cret")
	doc := mustWrite(t, filepath.Join(dir, "sallyport.yaml"), fmt.Sprintf(`
state: %[1]s/state
accounts:
  - {name: erp, password: "file:%[1]s/pw"}
%[2]ssites:
  - name: s
    path: %[3]s
    listen: 127.0.0.1:0
%[4]s`, dir, accounts, root, rest))
	return start(t, "", "run", "-c", doc)
}

// halfUpload begins to upload content as name and returns when it is in a part in
// root, and how to cut it: by a reset, as a lost network would.
func halfUpload(t *testing.T, addr, root, name string, content []byte) (cut func()) {
	t.Helper()
	c, err := textproto.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	say := func(line string, code int) string {
		t.Helper()
		if line != "" {
			if err := c.PrintfLine("%s", line); err != nil {
				t.Fatal(err)
			}
		}
		_, text, err := c.ReadResponse(code)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return text
	}
	say("", 220)
	say("USER erp", 331)
	say("PASS s3cret", 230)
	say("TYPE I", 200)
	port := regexp.MustCompile(`\|(\d+)\|`).FindStringSubmatch(say("EPSV", 229))
	host, _, _ := net.SplitHostPort(addr)
	data, err := net.Dial("tcp", net.JoinHostPort(host, port[1]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = data.Close() })
	say("STOR "+name, 150)
	if _, err := data.Write(content); err != nil {
		t.Fatal(err)
	}
	await(t, "the part", func() bool {
		p := partsIn(t, root)
		if len(p) != 1 {
			return false
		}
		b, err := os.ReadFile(p[0])
		return err == nil && bytes.Equal(b, content)
	})
	return func() {
		tcp, _ := data.(*net.TCPConn)
		if err := tcp.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		_ = data.Close()
		if code, text, err := c.ReadResponse(0); err != nil || code < 400 {
			t.Errorf("a cut upload: got %d %s, %v, want a refusal", code, text, err)
		}
	}
}

// partsIn lists the hidden parts in root.
func partsIn(t *testing.T, root string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(root, ".sallyport-*.part"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestResumeKeptPart: with parts: keep, curl and lftp go on where an upload was cut.
func TestResumeKeptPart(t *testing.T) {
	curl, env := testkit.Tool(t, "curl")
	lftp, lftpEnv := testkit.Tool(t, "lftp")
	root, dir := t.TempDir(), t.TempDir()
	addr := document(t, root, "", "    uploads: {parts: keep, mode: 0640}\n").listens()
	content, err := io.ReadAll(body("resumed", 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	local := filepath.Join(dir, "file")
	writeFile(t, local, bytes.NewReader(content))
	for name, resume := range map[string]func(name string){
		"by-curl": func(name string) {
			mustTool(t, env, curl, "-sS", "-C", "-", "-T", local, "ftp://erp:s3cret@"+addr+"/"+name)
		},
		"by-lftp": func(name string) {
			mustTool(t, lftpEnv, lftp, "--norc", "-c", fmt.Sprintf("set net:max-retries 1; set cmd:fail-exit yes; open -u erp,s3cret ftp://%s; put -c %s -o %s", addr, local, name))
		},
	} {
		t.Run(name, func(t *testing.T) {
			half := content[:len(content)/2]
			halfUpload(t, addr, root, name, half)()
			file := filepath.Join(root, name)
			if b, err := os.ReadFile(file); err != nil || !bytes.Equal(b, half) {
				t.Fatalf("got %d bytes, %v, want the %d that came", len(b), err, len(half))
			}
			resume(name)
			if b, err := os.ReadFile(file); err != nil || !bytes.Equal(b, content) {
				t.Errorf("resumed: got %d bytes, %v, want %d that are the same", len(b), err, len(content))
			}
			if info, err := os.Stat(file); err != nil || info.Mode() != 0o640 {
				t.Errorf("got %v, %v, want mode 0640", info.Mode(), err)
			}
		})
	}
}

// TestCrashLeavesPart kills a site in an upload. Its part is hidden, survives a
// start while it is young, and goes with one when it is a day old.
func TestCrashLeavesPart(t *testing.T) {
	curl, env := testkit.Tool(t, "curl")
	root := t.TempDir()
	p := document(t, root, "", "    uploads: {parts: delete}\n")
	halfUpload(t, p.listens(), root, "f", bytes.Repeat([]byte("half"), 1<<17))
	p.stop(syscall.SIGKILL)
	left := partsIn(t, root)
	if len(left) != 1 {
		t.Fatalf("after the crash: got %q, want one part", left)
	}
	p = document(t, root, "", "    uploads: {parts: delete}\n")
	if got := mustTool(t, env, curl, "-sS", "ftp://erp:s3cret@"+p.listens()+"/"); got != "" {
		t.Errorf("the listing shows %q", got)
	}
	// A sweep that has run says nothing of what it left; the next start's says what it took.
	p.stop(syscall.SIGTERM)
	if got := partsIn(t, root); len(got) != 1 {
		t.Errorf("young: got %q, want it kept", got)
	}
	old := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(left[0], old, old); err != nil {
		t.Fatal(err)
	}
	document(t, root, "", "    uploads: {parts: delete}\n").says("removed stale parts of uploads")
	if got := partsIn(t, root); len(got) != 0 {
		t.Errorf("stale: got %q, want it gone", got)
	}
}

// TestHashesOfOthers logs in by what openssl makes, and keeps others out.
func TestHashesOfOthers(t *testing.T) {
	curl, env := testkit.Tool(t, "curl")
	r := command(t, "", "pässword\n", "openssl", "passwd", "-6", "-stdin")
	testkit.Need(t, r.code == 0, "openssl passwd -6", "it says: "+r.stderr)
	root := t.TempDir()
	mustWrite(t, filepath.Join(root, "f"), "content")
	accounts := fmt.Sprintf("  - {name: crypt, password: {hash: %q}}\n  - {name: blow, password: {hash: %q}}\n",
		strings.TrimSpace(r.stdout), "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW") // "U*U", of crypt_blowfish
	addr := document(t, root, accounts, "    listing: {style: dos}\n").listens()
	for user, good := range map[string]bool{"crypt:pässword": true, "crypt:password": false, "blow:U*U": true, "blow:U*U*": false, "none:U*U": false} {
		args := append(append([]string{}, env...), curl, "-sS", "-g", "-u", user, "ftp://"+addr+"/f")
		if r := command(t, "", "", "env", args...); (r.code == 0 && r.stdout == "content") != good {
			t.Errorf("%s: exit %d, %q, %s; want good %t", user, r.code, r.stdout, r.stderr, good)
		}
	}
}

// TestDropBox: a partner's curl and lftp put files where they may read nothing, and
// replace nothing there.
func TestDropBox(t *testing.T) {
	curl, env := testkit.Tool(t, "curl")
	lftp, lftpEnv := testkit.Tool(t, "lftp")
	root, dir := t.TempDir(), t.TempDir()
	for _, folder := range []string{"in", "out"} {
		if err := os.Mkdir(filepath.Join(root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mustWrite(t, filepath.Join(root, "in", "theirs"), "of another partner")
	mustWrite(t, filepath.Join(root, "out", "order"), "order")
	mustWrite(t, filepath.Join(root, "own"), "nobody's business")
	addr := document(t, root, "", `    uploads: {existing: fail, rename_over: fail}
    authorization:
      - {allow: [erp], path: /in, permissions: [write]}
      - {allow: [erp], path: /out, permissions: [read]}
`).listens()
	base := "ftp://erp:s3cret@" + addr
	local := mustWrite(t, filepath.Join(dir, "mine"), "mine")
	mustTool(t, env, curl, "-sS", "-T", local, base+"/in/by-curl")
	mustTool(t, lftpEnv, lftp, "--norc", "-c", fmt.Sprintf("set net:max-retries 1; set cmd:fail-exit yes; open -u erp,s3cret ftp://%s; cd in; put %s -o by-lftp", addr, local))
	if got := mustTool(t, env, curl, "-sS", base+"/out/order"); got != "order" {
		t.Errorf("what may be read: got %q", got)
	}
	if got := mustTool(t, env, curl, "-sS", "-l", base+"/"); got != "in\nout\n" && got != "out\nin\n" && got != "in\r\nout\r\n" && got != "out\r\nin\r\n" {
		t.Errorf("the top: got %q, want in and out", got)
	}
	for _, args := range [][]string{
		{base + "/in/theirs"}, {base + "/in/by-curl"}, {base + "/own"}, {"-T", local, base + "/out/order"}, {"-T", local, base + "/new"},
		{"-T", local, base + "/in/theirs"}, {"-T", local, "-a", base + "/in/theirs"}, {"-Q", "RNFR in/theirs", "-Q", "RNTO out/theirs", base + "/out/order"},
		{"-Q", "RNFR in/by-curl", "-Q", "RNTO in/theirs", base + "/out/order"}, {"-Q", "RNFR in", "-Q", "RNTO out/in", base + "/out/order"},
	} {
		r := command(t, "", "", "env", append(append(append([]string{}, env...), curl, "-sS"), args...)...)
		if r.code == 0 {
			t.Errorf("%q: let through, %q", args, r.stdout)
		}
	}
	if got := mustTool(t, env, curl, "-sS", "-l", base+"/in/"); got != "" {
		t.Errorf("the drop box shows %q", got)
	}
	for name, want := range map[string]string{
		"in/theirs": "of another partner", "in/by-curl": "mine", "in/by-lftp": "mine", "out/order": "order", "own": "nobody's business",
	} {
		if b, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(b) != want {
			t.Errorf("%s: got %q, %v, want %q", name, b, err, want)
		}
	}
}
