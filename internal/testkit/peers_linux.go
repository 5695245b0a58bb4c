package testkit

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// fetchPatience bounds the download of the peers' packages.
const fetchPatience = 5 * time.Minute

// peers returns the folder that the peers' packages are unpacked in, and fetches
// them once per process if need be.
func peers(t testing.TB) string {
	t.Helper()
	dir, err := fetchPeers()
	Need(t, err == nil, fmt.Sprintf("Debian's FTP servers and clients (%v)", err), "scripts/peers.sh fetches them")
	return dir
}

var fetchPeers = sync.OnceValues(func() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), fetchPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "sh", filepath.Join(root, "scripts", "peers.sh")).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("scripts/peers.sh: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return filepath.Join(root, ".peers", "root"), nil
})

// peerEnv is the environment of an unpacked program: ours and where the libraries
// unpacked with it are.
func peerEnv(dir string) []string {
	arch := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[runtime.GOARCH]
	libs := filepath.Join(dir, "usr/lib", arch) + ":" + filepath.Join(dir, "lib", arch)
	return append(os.Environ(), "LD_LIBRARY_PATH="+libs)
}

// Tool returns the path of a client program ("curl", "lftp") and the environment to
// run it with: the system's own where there is one, else the unpacked one.
func Tool(t testing.TB, name string) (path string, env []string) {
	t.Helper()
	if p, err := exec.LookPath(name); err == nil {
		return p, os.Environ()
	}
	dir := peers(t)
	p := filepath.Join(dir, "usr/bin", name)
	_, err := os.Stat(p)
	Need(t, err == nil, name, "install it")
	return p, peerEnv(dir)
}
