package testkit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// MakeFS builds files below root from one line each:
//
//	a/            a folder
//	a/f=content   a file; what follows the first = is its content
//	l => ../x     a symbolic link, its target taken as written
//
// Folders on the way are made. Names are separated by / on every system.
func MakeFS(t testing.TB, root string, lines []string) {
	t.Helper()
	for _, line := range lines {
		if err := makeOne(root, line); err != nil {
			t.Fatalf("make %q: %v", line, err)
		}
	}
}

func makeOne(root, line string) error {
	at := func(name string) string { return filepath.Join(root, filepath.FromSlash(name)) }
	if name, ok := strings.CutSuffix(line, "/"); ok && !strings.Contains(name, "=") {
		return os.MkdirAll(at(name), 0o755)
	}
	name, rest, isLink := strings.Cut(line, " => ")
	if !isLink {
		name, rest, _ = strings.Cut(line, "=")
	}
	if err := os.MkdirAll(filepath.Dir(at(name)), 0o755); err != nil {
		return err
	}
	if isLink {
		return os.Symlink(filepath.FromSlash(rest), at(name))
	}
	return os.WriteFile(at(name), []byte(rest), 0o644)
}
