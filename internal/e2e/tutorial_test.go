//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"sallyport.dev/internal/testkit"
)

// block is one fenced block of commands in a page. Its info string says how it is
// meant: "sh" runs to its end, "sh fails" must exit non-zero, "sh terminal=NAME
// ready=WORD" keeps running and says WORD once it does.
type block struct {
	info, text string
}

var fence = regexp.MustCompile("(?ms)^```(sh[^\n]*)\n(.*?)^```$")

func blocks(t *testing.T, page string) []block {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		all = append(all, block{m[1], m[2]})
	}
	return all
}

// TestTutorial types what docs/tutorial/first-transfer.md says, on free ports.
func TestTutorial(t *testing.T) {
	page := filepath.Join(testkit.ModuleRoot(t), "docs", "tutorial", "first-transfer.md")
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(testkit.Binary(t), filepath.Join(bin, "sallyport")); err != nil {
		t.Fatal(err)
	}
	// The program is built; everything else is as printed, but for the ports.
	places := strings.NewReplacer(
		"make build\n", "", `export PATH="$PWD/bin:$PATH"`+"\n", "", "/tmp/first", dir,
		"127.0.0.1:2121", fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(t)),
		"127.0.0.1:8443", fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(t)),
		"127.0.0.1:1080", fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(t)),
	)
	all := blocks(t, page)
	if len(all) < 9 {
		t.Fatalf("only %d blocks of commands in %s", len(all), page)
	}
	var said strings.Builder
	for _, b := range all {
		script := "cd " + dir + "; export PATH=" + bin + ":$PATH; set -eu -o pipefail\n" + places.Replace(b.text)
		if name, ready, ok := terminal(b.info); ok {
			p := startScript(t, name, "cd "+dir+"; export PATH="+bin+":$PATH; exec "+places.Replace(b.text))
			p.says(ready)
			continue
		}
		r := command(t, "", "", "bash", "-c", script)
		if failed := r.code != 0; failed != strings.Contains(b.info, "fails") {
			t.Fatalf("exit %d of\n%s\n%s%s", r.code, b.text, r.stdout, r.stderr)
		}
		said.WriteString(r.stdout + r.stderr)
	}
	for _, want := range []string{"order 1001", "invoice 7", "is whole", "ftp-erp:2121", "hint: "} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("nothing said %q:\n%s", want, said.String())
		}
	}
}

// terminal reads the info string of a block that keeps running.
func terminal(info string) (name, ready string, ok bool) {
	for _, f := range strings.Fields(info) {
		if v, is := strings.CutPrefix(f, "terminal="); is {
			name = v
		}
		if v, is := strings.CutPrefix(f, "ready="); is {
			ready = v
		}
	}
	return name, ready, name != "" && ready != ""
}

// startScript starts a script that keeps running, and ends it with the test.
func startScript(t *testing.T, name, script string) *program {
	t.Helper()
	return startCommand(t, name, exec.Command("bash", "-c", script), syscall.SIGTERM)
}
