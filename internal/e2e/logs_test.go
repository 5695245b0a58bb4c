//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/testkit"
)

// operated runs a document of one site, named s, with lines of its own behind it.
func operated(t *testing.T, lines string) (p *program, addr, root, dir string) {
	t.Helper()
	dir, root = t.TempDir(), t.TempDir()
	mustWrite(t, filepath.Join(dir, "pw"), "s3cret")
	doc := mustWrite(t, filepath.Join(dir, "sallyport.yaml"), fmt.Sprintf(`
state: %[1]s/state
accounts: [{name: erp, password: "file:%[1]s/pw"}]
sites:
  - name: s
    path: %[2]s
    listen: 127.0.0.1:0
`, dir, root)+strings.ReplaceAll(lines, "$DIR", dir))
	p = start(t, "", "run", "-c", doc)
	return p, p.listens(), root, dir
}

// rows waits for a file to have n lines that have sub in them, and returns them.
func rows(t *testing.T, file, sub string, n int) []string {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		b, err := os.ReadFile(file)
		var got []string
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, sub) {
				got = append(got, strings.TrimSuffix(line, "\n"))
			}
		}
		if len(got) == n {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: got %d lines with %q, want %d; error %v; it has\n%s", file, len(got), sub, n, err, b)
		}
		time.Sleep(10 * time.Millisecond) // polling a file that others write
	}
}

// TestXferlogLikeVsftpd makes the same upload and the same download at vsftpd and
// at our site, and compares their xferlogs field by field.
func TestXferlogLikeVsftpd(t *testing.T) {
	testkit.NeedRoot(t)
	curl, env := testkit.Tool(t, "curl")
	log := mustWrite(t, filepath.Join(t.TempDir(), "xferlog"), "")
	theirs := testkit.Vsftpd(t, testkit.VsftpdOptions{Extra: map[string]string{"xferlog_std_format": "YES", "xferlog_file": log}})
	_, addr, _, dir := operated(t, "    log: {file: $DIR/xferlog, format: xferlog}\n")
	file := mustWrite(t, filepath.Join(dir, "up"), "twelve bytes")
	fields := func(user, password, addr, written string) [][]string {
		at := "ftp://" + user + ":" + password + "@" + addr + "/a%20name.txt"
		mustTool(t, env, curl, "-sS", "-T", file, at)
		mustTool(t, env, curl, "-sS", "-o", "/dev/null", at)
		var all [][]string
		for _, row := range rows(t, written, " ftp ", 2) {
			all = append(all, strings.Split(row, " "))
		}
		return all
	}
	want := fields(theirs.User, theirs.Password, theirs.Addr, log)
	got := fields("erp", "s3cret", addr, filepath.Join(dir, "xferlog"))
	for i := range want {
		for who, fs := range map[string][]string{"vsftpd": want[i], "we": got[i]} {
			if len(fs) < 14 {
				t.Fatalf("%s wrote %q", who, fs)
			}
			stamp := strings.Join(fs[:len(fs)-13], " ")
			if _, err := time.Parse(time.ANSIC, stamp); err != nil {
				t.Errorf("%s wrote the time %q: %v", who, stamp, err)
			}
		}
		w, g := strings.Join(want[i][len(want[i])-13:], " "), strings.Join(got[i][len(got[i])-13:], " ")
		w = strings.Replace(w, " "+theirs.User+" ", " erp ", 1)
		if w != g {
			t.Errorf("row %d: vsftpd wrote\n%q, we\n%q", i, w, g)
		}
	}
}
