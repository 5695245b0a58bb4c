//go:build linux

package e2e_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/testkit"
)

// sessionPatience bounds the life of a server's session after a cut: five seconds
// of farewell, and what the server takes to find its control connection dead.
const sessionPatience = 60 * time.Second

// cutServer is a server whose transfers are cut.
type cutServer struct {
	name    string
	srv     *testkit.FTPServer
	log     string // where it writes of transfers
	verdict func(line string) (upload, whole, ok bool)

	logsFailures bool // it writes of transfers that were cut
	dropsParts   bool // it leaves nothing of an upload that was cut

	idle int   // processes of it without a session
	read int64 // bytes of the log that have been judged
}

func (s *cutServer) host() string    { return "ftp-" + s.name }
func (s *cutServer) virtual() string { return s.host() + ":21" }

// cutServerNames are the servers in the order of the table.
var cutServerNames = []string{"vsftpd", "proftpd", "proftpd-hidden", "pure-ftpd"}

// big is the file that all downloads are of: sparse, and larger than all buffers
// on the way together.
const (
	big     = "big"
	bigSize = 256 << 20
)

func newCutServers(t *testing.T, opts testkit.ServerOptions) []*cutServer {
	t.Helper()
	dir := t.TempDir()
	with := func(extra map[string]string) testkit.ServerOptions {
		o := opts
		o.Extra = maps.Clone(extra)
		return o
	}
	at := func(name string) string { return filepath.Join(dir, name+".log") }
	servers := []*cutServer{{
		name: "vsftpd", verdict: vsftpdVerdict, logsFailures: true, dropsParts: true,
		srv: testkit.Vsftpd(t, with(map[string]string{"delete_failed_uploads": "YES"})),
	}, {
		name: "proftpd", log: at("proftpd"), verdict: xferlogVerdict, logsFailures: true,
		srv: testkit.Proftpd(t, with(map[string]string{"TransferLog": at("proftpd")})),
	}, {
		name: "proftpd-hidden", log: at("hidden"), verdict: xferlogVerdict, logsFailures: true, dropsParts: true,
		srv: testkit.Proftpd(t, with(map[string]string{"TransferLog": at("hidden"), "HiddenStores": "on"})),
	}, {
		name: "pure-ftpd", log: at("pureftpd"), verdict: clfVerdict,
		srv: testkit.Pureftpd(t, with(map[string]string{"-O": "clf:" + at("pureftpd")})),
	}}
	for _, s := range servers {
		if s.log == "" {
			s.log = s.srv.LogFile
		}
		f, err := os.Create(filepath.Join(s.srv.Home, big))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(bigSize); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		s.srv.Own(t)
		s.idle = len(descendants(t, s.srv.PID))
	}
	return servers
}

// vsftpdVerdict reads vsftpd's own log: `... [user] FAIL UPLOAD: Client "127.0.0.1", "/name", ...`.
func vsftpdVerdict(line string) (upload, whole, ok bool) {
	for _, v := range []struct {
		word          string
		upload, whole bool
	}{{"OK UPLOAD", true, true}, {"FAIL UPLOAD", true, false}, {"OK DOWNLOAD", false, true}, {"FAIL DOWNLOAD", false, false}} {
		if strings.Contains(line, " "+v.word+": ") {
			return v.upload, v.whole, true
		}
	}
	return false, false, false
}

// xferlogVerdict reads xferlog(5): the direction (i, o) is seven fields from the
// end, the completion status (c, i) is the last.
func xferlogVerdict(line string) (upload, whole, ok bool) {
	f := strings.Fields(line)
	if len(f) < 18 {
		return false, false, false
	}
	return f[len(f)-7] == "i", f[len(f)-1] == "c", true
}

// clfVerdict reads Pure-FTPd's transfer log in the form of a web server's: `"PUT
// /name" 200 size`. It writes of whole transfers alone.
func clfVerdict(line string) (upload, whole, ok bool) {
	upload = strings.Contains(line, `"PUT `)
	return upload, strings.Contains(line, `" 200 `), upload || strings.Contains(line, `"GET `)
}

// judge counts the verdicts that the log has got since it was last called.
func (s *cutServer) judge(t *testing.T) (up, down cutCounts) {
	t.Helper()
	text, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	fresh := text[s.read:]
	s.read = int64(len(text))
	for line := range strings.Lines(string(fresh)) {
		upload, whole, ok := s.verdict(line)
		if !ok {
			continue
		}
		c := &down
		if upload {
			c = &up
		}
		if whole {
			c.ok++
		} else {
			c.fail++
		}
	}
	return up, down
}

// stores waits until the server has written some of an upload, under its own name or
// ProFTPD's hidden one.
func (s *cutServer) stores(name string, patience time.Duration) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); netx.Pause(context.Background(), time.Millisecond) {
		for _, n := range []string{name, ".in." + name + "."} {
			if info, err := os.Stat(filepath.Join(s.srv.Home, n)); err == nil && info.Size() > 0 {
				return true
			}
		}
	}
	return false
}

// sweep counts what is left of uploads, and takes it away.
func (s *cutServer) sweep(t *testing.T, names map[string]bool) (c cutCounts) {
	t.Helper()
	entries, err := os.ReadDir(s.srv.Home)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == big {
			continue
		}
		if names[e.Name()] {
			c.named++
		} else {
			c.hidden++
		}
		if err := os.Remove(filepath.Join(s.srv.Home, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// awaitNoSession waits until the server has ended all its sessions, and so has
// decided about every transfer.
func (s *cutServer) awaitNoSession(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(sessionPatience)
	for {
		left := descendants(t, s.srv.PID)
		if len(left) <= s.idle {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s still has processes %v after %v; without a session it has %d", s.name, left, sessionPatience, s.idle)
		}
		netx.Pause(t.Context(), 10*time.Millisecond)
	}
}

// descendants returns the children of pid, theirs, and so on.
func descendants(t *testing.T, pid int) (all []int) {
	t.Helper()
	children := make(map[int][]int)
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		// pid (name) state ppid ..., and the name may hold anything
		rest := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(rest) < 2 || rest[0] == "Z" {
			continue
		}
		parent, perr := strconv.Atoi(rest[1])
		child, cerr := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if perr != nil || cerr != nil {
			t.Fatalf("%s: %q", path, b)
		}
		children[parent] = append(children[parent], child)
	}
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		all = append(all, children[queue[0]]...)
		queue = append(queue, children[queue[0]]...)
	}
	return all
}
