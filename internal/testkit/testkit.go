// Package testkit is what this project's tests share: certificates, trees of
// files, golden files, leak checks, and real FTP servers to speak with.
//
// [Need] is the one rule about what a machine may lack: a test that wants a peer,
// root or the folder ../shared is skipped in plain words where it is missing, and
// fails where CI=true. [Vsftpd], [Proftpd] and [Pureftpd] start Debian's servers
// from packages unpacked into .peers/ (scripts/peers.sh fetches them when they are
// not there), each an [FTPServer] that ends with its test.
//
// It is imported by tests alone and knows no package of the program.
package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Need goes on when have is true. Otherwise what is missing ("root", "vsftpd"): the
// test fails where CI=true and is skipped elsewhere, both with how to get it.
func Need(t testing.TB, have bool, what, how string) {
	t.Helper()
	if have {
		return
	}
	text := fmt.Sprintf("this test needs %s, which is not here; %s", what, how)
	if os.Getenv("CI") == "true" {
		t.Fatal(text)
	}
	t.Skip(text)
}

// NeedRoot is [Need] for the privileges of root.
func NeedRoot(t testing.TB) {
	t.Helper()
	Need(t, os.Geteuid() == 0, "root", "run the tests as root, for example `sudo -E make test`")
}

// ModuleRoot returns the folder that holds go.mod.
func ModuleRoot(t testing.TB) string {
	t.Helper()
	dir, err := moduleRoot()
	if err != nil {
		t.Fatalf("find the module's folder: %v", err)
	}
	return dir
}

var moduleRoot = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(b), "module sallyport.dev\n") {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("no go.mod of sallyport.dev above the test's folder")
		}
		dir = up
	}
})

// Shared returns the folder ../shared beside the module, which holds the rigs.
func Shared(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(filepath.Dir(ModuleRoot(t)), "shared")
	info, err := os.Stat(dir)
	Need(t, err == nil && info.IsDir(), "the folder ../shared", "put it beside the checkout")
	return dir
}
