//go:build linux

package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDemoOnce: all samples both ways, byte for byte, within 20 s of the start.
func TestDemoOnce(t *testing.T) {
	began := time.Now()
	r := mustRun(t, "", "", "demo", "--once")
	took := time.Since(began)
	t.Logf("sallyport demo --once took %v", took.Round(10*time.Millisecond))
	if took > 20*time.Second {
		t.Errorf("it took %v, want at most 20s", took)
	}
	if n := strings.Count(r.stdout, "whole, after"); n < 8 || strings.Contains(r.stdout, "missing") {
		t.Errorf("%d whole samples in:\n%s", n, r.stdout)
	}
}

// TestDemoStays: what it says to try works, and it ends when asked to.
func TestDemoStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	p := start(t, "", "demo", "--dir", dir)
	said := p.says(`(?s)SOCKS5 proxy\s+(\S+).*Ctrl-C ends it`)
	mustWrite(t, filepath.Join(dir, "cloud", "outbox", "hello.txt"), "hello\n")
	p.says(`arrived: .*hello\.txt`)
	if b, err := os.ReadFile(filepath.Join(dir, "plant", "in", "hello.txt")); err != nil || string(b) != "hello\n" {
		t.Errorf("got %q, %v", b, err)
	}
	r := mustRun(t, "", "", "check", "ftp://demo@ftp-erp/", "--location", "plant1", "--state", filepath.Join(dir, "state", "cloud"), "--password-file", filepath.Join(dir, "password"))
	if !strings.Contains(r.stdout, "is whole") {
		t.Error(r.stdout)
	}
	r = mustRun(t, "", "", "check", "ftp://demo@ftp-erp/", "--proxy", "socks5://"+said[1], "--password-file", filepath.Join(dir, "password"))
	if !strings.Contains(r.stdout, "is whole") {
		t.Error(r.stdout)
	}
	list := mustRun(t, "", "", "gateway", "connectors", "--state", filepath.Join(dir, "state", "cloud")).stdout
	if !regexp.MustCompile(`plant1\s+connected.*ftp-erp:21`).MatchString(list) {
		t.Errorf("gateway connectors said:\n%s", list)
	}
	refused(t, run(t, "", "", "demo", "--once", "--dir", dir), 1, "in use by another process", "hint: ")
	p.stop(syscall.SIGINT)
	if p.err != nil {
		t.Errorf("the demo ended with %v on an interrupt", p.err)
	}
	// The same folder again, and a folder that is not a demo's.
	mustRun(t, "", "", "demo", "--once", "--dir", dir)
	other := t.TempDir()
	mustWrite(t, filepath.Join(other, "mine"), "x")
	refused(t, run(t, "", "", "demo", "--once", "--dir", other), 1, "other things", "hint: ", "--dir")
}
