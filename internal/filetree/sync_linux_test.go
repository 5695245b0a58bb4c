package filetree_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sallyport.dev/internal/filetree"
	"sallyport.dev/internal/testkit"
)

// syncEnv names the folder that the test program uploads into, when it is started
// for [TestSyncPolicy], and whether it syncs.
const syncEnv = "SALLYPORT_TEST_SYNC"

func TestMain(m *testing.M) {
	if policy, dir, ok := strings.Cut(os.Getenv(syncEnv), " "); ok {
		if err := uploadBothWays(dir, policy == "always"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// uploadBothWays makes a file and adds to it, and says so after each.
func uploadBothWays(dir string, sync bool) error {
	tr, err := filetree.Open(dir)
	if err != nil {
		return err
	}
	defer tr.Close() //nolint:errcheck // the process ends
	tr.Sync = sync
	for _, start := range []func() (filetree.Upload, error){
		func() (filetree.Upload, error) { return tr.Create("/in/f") },
		func() (filetree.Upload, error) { return tr.Resume("/in/f", -1) },
	} {
		u, err := start()
		if err != nil {
			return err
		}
		if _, err := u.File().WriteString("x"); err != nil {
			return err
		}
		if err := u.Commit(); err != nil {
			return err
		}
		fmt.Println("said")
	}
	return nil
}

var synced = regexp.MustCompile(`(?m)(fsync|fdatasync|rename\w*|write)\((.*)\) += \d+`)

// TestSyncPolicy looks at the system calls of an upload. With Sync the file is
// flushed before it has its name, and the folder before anybody is told; what is
// added to a file is flushed before anybody is told. Without it nothing is flushed.
func TestSyncPolicy(t *testing.T) {
	strace, _ := testkit.Tool(t, "strace")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for policy, want := range map[string]string{
		"always": "sync part, rename, sync folder, said, sync file, said",
		"never":  "rename, said, said",
	} {
		t.Run(policy, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "in"), 0o755); err != nil {
				t.Fatal(err)
			}
			trace := filepath.Join(t.TempDir(), "trace")
			cmd := exec.CommandContext(t.Context(), strace, "-f", "-y", "-o", trace,
				"-e", "trace=fsync,fdatasync,rename,renameat,renameat2,write", self)
			cmd.Env = append(os.Environ(), syncEnv+"="+policy+" "+dir)
			out, err := cmd.CombinedOutput()
			if strings.Contains(string(out), "ptrace") {
				testkit.Need(t, false, "the right to trace a process", "strace says: "+string(out))
			}
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			text, err := os.ReadFile(trace)
			if err != nil {
				t.Fatal(err)
			}
			var did []string
			for _, m := range synced.FindAllStringSubmatch(string(text), -1) {
				switch call, args := m[1], m[2]; {
				case strings.HasPrefix(call, "rename"):
					did = append(did, "rename")
				case call == "write" && strings.Contains(args, `"said\n"`):
					did = append(did, "said")
				case call == "write":
				case strings.Contains(args, ".part>"):
					did = append(did, "sync part")
				case strings.HasSuffix(args, "/in>"):
					did = append(did, "sync folder")
				case strings.HasSuffix(args, "/in/f>"):
					did = append(did, "sync file")
				default:
					did = append(did, call+" "+args)
				}
			}
			if got := strings.Join(did, ", "); got != want {
				t.Errorf("got %s; want %s", got, want)
			}
		})
	}
}
