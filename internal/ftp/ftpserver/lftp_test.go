package ftpserver_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport.dev/internal/testkit"
)

// TestLftp has lftp mirror a tree up and down, with the settings it comes with.
func TestLftp(t *testing.T) {
	lftp, env := testkit.Tool(t, "lftp")
	testkit.NoLeaks(t)
	for mode, settings := range map[string]string{"passive": "", "active": "set ftp:passive-mode no;"} {
		t.Run(mode, func(t *testing.T) {
			s := newSite(t, nil, nil)
			home := t.TempDir() // lftp reads and writes its settings there
			local := filepath.Join(home, "local")
			tree := []string{"a.txt=a", "empty=", "sub/deep/ü x.txt=deep", "sub/-dash=d", "big=" + strings.Repeat("0123456789", 300_000)}
			testkit.MakeFS(t, local, tree)
			run := func(commands string) string {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), lftp, "--norc", "-c",
					"set cmd:fail-exit yes; set net:max-retries 1; set net:timeout 20;"+settings+"open -u anna,secret ftp://"+s.addr+";"+commands)
				cmd.Env = append(env, "HOME="+home, "LANG=C.UTF-8", "LFTP_HOME="+home)
				cmd.Dir = home
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("lftp %q: %v: %s", commands, err, out)
				}
				return string(out)
			}
			run("mirror -R local up; mirror up down; mv up/a.txt up/b.txt; mkdir d; rmdir d; rm up/empty")
			for _, line := range tree {
				name, want, _ := strings.Cut(line, "=")
				for _, at := range []string{filepath.Join(s.dir, "up"), filepath.Join(home, "down")} {
					switch {
					case at == filepath.Join(s.dir, "up") && name == "empty":
						continue
					case at == filepath.Join(s.dir, "up") && name == "a.txt":
						name = "b.txt"
					case name == "b.txt":
						name = "a.txt"
					}
					b, err := os.ReadFile(filepath.Join(at, name))
					if err != nil || string(b) != want {
						t.Errorf("%s in %s: got %d bytes, %v, want %d", name, at, len(b), err, len(want))
					}
				}
			}
			before, err := os.Stat(filepath.Join(local, "big"))
			if err != nil {
				t.Fatal(err)
			}
			after, err := os.Stat(filepath.Join(s.dir, "up", "big"))
			if err != nil {
				t.Fatal(err)
			}
			if d := before.ModTime().Sub(after.ModTime()); d < 0 || d.Seconds() >= 1 {
				t.Errorf("mirrored time: got %s, want %s to the second", after.ModTime(), before.ModTime())
			}
			if out := run("cls -1 up"); !strings.Contains(out, "big\n") {
				t.Errorf("cls: got %q", out)
			}
			if out := run("ls up"); !strings.Contains(out, " big\n") {
				t.Errorf("ls: got %q", out)
			}
			run("put -c local/big -o up/big; get -c up/big -o big2; pget -n 4 up/big -o big3")
			for _, name := range []string{"big2", "big3"} {
				if b, err := os.ReadFile(filepath.Join(home, name)); err != nil || len(b) != 3_000_000 {
					t.Errorf("%s: got %d bytes, %v", name, len(b), err)
				}
			}
		})
	}
}
