//go:build linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/secret"
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
	var got []string
	await(t, fmt.Sprintf("%d lines with %q in %s", n, sub, file), func() bool {
		b, err := os.ReadFile(file)
		got = nil
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, sub) {
				got = append(got, strings.TrimSuffix(line, "\n"))
			}
		}
		return err == nil && len(got) == n
	})
	return got
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

// TestDisconnect lists a session in the middle of an upload, ends it from the
// command line, and finds that the client sees a cut and that no file appears.
func TestDisconnect(t *testing.T) {
	_, addr, root, dir := operated(t, "    log: {file: $DIR/log, events: [commands, transfers, infrastructure]}\n")
	c, err := ftpclient.Dial(t.Context(), ftpclient.Config{Addr: addr, User: "erp", Password: secret.New("s3cret")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	up, err := c.Stor(t.Context(), "/f", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "state")
	var all []struct {
		ID                          uint64
		Site, User, Client, Command string
		Path                        string
		Since                       time.Time
		CommandSince                time.Time `json:"command_since"`
		Previous                    string    `json:"previous_command"`
	}
	out := mustRun(t, "", "", "site", "sessions", "--json", "--state", state).stdout
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	s := all[0]
	if s.Site != "s" || s.User != "erp" || s.Path != "/f" || !strings.HasPrefix(s.Command, "STOR ") || s.Previous == "" || s.CommandSince.IsZero() {
		t.Errorf("got %s", out)
	}
	mustRun(t, "", "", "site", "disconnect", fmt.Sprint(s.ID), "--state", state)
	if err := up.Commit(); err == nil {
		t.Error("the upload was ended by a disconnect: got no error")
	}
	row := strings.Fields(rows(t, filepath.Join(dir, "log"), " STOR ", 1)[0])
	if row[8] != "426" || row[3] != "erp" || row[12] != "/f" {
		t.Errorf("logged: %q", row)
	}
	rows(t, filepath.Join(dir, "log"), " DataChannelOpened ", 1)
	if b, err := os.ReadFile(filepath.Join(dir, "log")); err != nil || strings.Contains(string(b), "s3cret") {
		t.Errorf("the password is in the log, or %v", err)
	}
	if got, err := os.ReadDir(root); err != nil || len(got) != 0 {
		t.Errorf("left in the folder: %v, %v", got, err)
	}
}
