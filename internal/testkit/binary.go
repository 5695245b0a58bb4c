package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Binary returns the path of the program, built from this checkout without -race:
// for figures of memory, speed and size, and for tests that need it in a process or
// network namespace of its own. It is the program as it is shipped, or with build
// tags. Each is built once per test process.
func Binary(t testing.TB, tags ...string) string {
	t.Helper()
	key := strings.Join(tags, ",")
	build, _ := binaries.LoadOrStore(key, sync.OnceValues(func() (string, error) { return binary(key) }))
	path, err := build.(func() (string, error))()
	if err != nil {
		t.Fatalf("build the program: %v", err)
	}
	return path
}

// binaries has a function for each list of tags that builds with it.
var binaries sync.Map

func binary(tags string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, ".peers", "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(tmp) }() // what is left of it is ignored by git
	name := "sallyport"
	if tags != "" {
		name += "-" + strings.ReplaceAll(tags, ",", "-")
	}
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	cmd := exec.Command("go", "build", "-tags", tags, "-o", filepath.Join(tmp, name), "./cmd/sallyport")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	// Renamed into place: other test processes may run the older one just now.
	path := filepath.Join(dir, name)
	return path, os.Rename(filepath.Join(tmp, name), path)
}
