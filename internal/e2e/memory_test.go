//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sallyport.dev/internal/testkit"
)

// TestMemoryOfAFourGibibyteFile: vsftpd → connector → gateway → flow → folder, in
// constant memory.
func TestMemoryOfAFourGibibyteFile(t *testing.T) {
	testkit.NeedRoot(t)
	const size = 4 << 30
	const limit = 100 << 20
	srv := testkit.Vsftpd(t, testkit.VsftpdOptions{})
	srv.Make(t, "out/")
	big := filepath.Join(srv.Home, "out", "big.bin")
	sparse(t, big, size)
	srv.Own(t)
	dir := t.TempDir()
	sink := filepath.Join(dir, "sink")
	if err := os.Mkdir(sink, 0o700); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, filepath.Join(dir, "password"), srv.Password)
	doc := mustWrite(t, filepath.Join(dir, "sallyport.yaml"), fmt.Sprintf(`
state: %[1]s/state
gateway: {listen: "127.0.0.1:0"}
flows:
  - name: big
    source:
      ftp: {address: "ftp-erp:21", location: plant1, user: %[2]s, security: none, password: "file:%[1]s/password"}
      directory: out
      every: 1s
      ready: {when: always}
      after: delete
    sinks:
      - local: {path: %[3]s, existing: fail}
`, dir, srv.User, sink))
	cloud := start(t, "", "run", "-c", doc)
	addr := cloud.says(`listening on (\S+) \(gateway\)`)[1]
	token := mustRun(t, "", "", "gateway", "token", "--location", "plant1", "--address", addr, "--state", filepath.Join(dir, "state")).stdout
	plant := filepath.Join(dir, "plant")
	mustRun(t, "", token, "connector", "join", "-", "--state", plant)
	began := time.Now()
	connector := start(t, "", "connector", "run", "--state", plant, "--expose", "ftp-erp:21="+srv.Addr+",protocol=ftp")
	final := filepath.Join(sink, "big.bin")
	waitForFile(t, final)
	took := time.Since(began)
	waitGone(t, big)
	fi, err := os.Stat(final)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Size() != size {
		t.Errorf("arrived with %d bytes, want %d", fi.Size(), int64(size))
	}
	for _, p := range []struct {
		name string
		rss  int64
	}{{"gateway and flow", cloud.peakRSS()}, {"connector", connector.peakRSS()}} {
		t.Logf("%s: peak RSS %.1f MiB for %d MiB in %v", p.name, float64(p.rss)/(1<<20), size>>20, took.Round(time.Second))
		if p.rss > limit {
			t.Errorf("%s: peak RSS %d, want at most %d", p.name, p.rss, limit)
		}
	}
}

// sparse makes a file of size bytes that has data at its begin, its end and in
// the middle, and holes between.
func sparse(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{0, size / 2, size - 7} {
		if _, err := f.WriteAt([]byte("written"), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
