//go:build linux

package e2e_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"
)

// await asks until done says so, at most for patience.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not in %v", what, 2*patience)
		}
	}
}

func waitForFile(t *testing.T, path string) {
	t.Helper()
	await(t, path+" arrives", func() bool { _, err := os.Stat(path); return err == nil })
}

func waitGone(t *testing.T, path string) {
	t.Helper()
	await(t, path+" is gone", func() bool { _, err := os.Stat(path); return errors.Is(err, fs.ErrNotExist) })
}
