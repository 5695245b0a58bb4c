//go:build unix

package ftpio_test

import (
	"os"
	"syscall"
	"testing"
)

// own gives a file to the owner of a folder.
func own(t *testing.T, folder, file string) {
	t.Helper()
	info, err := os.Stat(folder)
	if err != nil {
		t.Fatal(err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatalf("no owner of %s", folder)
	}
	if err := os.Chown(file, int(st.Uid), int(st.Gid)); err != nil {
		t.Fatal(err)
	}
}
