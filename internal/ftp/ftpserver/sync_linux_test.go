package ftpserver_test

import (
	"regexp"
	"strings"
	"testing"
)

// syncEnv makes serveFolder sync what it publishes.
const syncEnv = "SALLYPORT_TEST_SYNC"

// syncCalls are the system's calls that count: those to flush and to rename, and
// the reply that ends a transfer.
var syncCalls = regexp.MustCompile(`(?m)^\d+ +(?:(fsync|fdatasync|renameat)2?\(|write\(\d+, "(226) )`)

// TestSyncedBefore226 looks at the system's calls: where the policy asks for it,
// the upload is flushed, then renamed, then its folder is flushed, and only then
// is 226 sent; where it does not, nothing is flushed.
func TestSyncedBefore226(t *testing.T) {
	for policy, want := range map[string]string{"1": "fsync renameat fsync 226", "": "renameat 226"} {
		t.Setenv(syncEnv, policy)
		trace := traced(t, "fsync,fdatasync,renameat,renameat2,write", func(s *site) {
			c := s.login()
			c.put("STOR f", "content")
			c.want("QUIT", 221)
		})
		var calls []string
		for _, m := range syncCalls.FindAllStringSubmatch(trace, -1) {
			calls = append(calls, m[1]+m[2])
		}
		if got := strings.Join(calls, " "); got != want {
			t.Errorf("sync %q: got %s, want %s; in %s", policy, got, want, trace)
		}
	}
}
