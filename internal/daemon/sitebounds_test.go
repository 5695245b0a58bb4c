package daemon

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sallyport.dev/internal/config"
	"sallyport.dev/internal/ftp/ftpserver"
)

// TestBound hands on everything that a document bounds, and the defaults where there
// was no document.
func TestBound(t *testing.T) {
	doc, err := config.Parse("x", []byte(`
sites:
  - name: softwares
    path: /s
    anonymous: true
    passive: {ports: 5000-5010}
    active: {source_port: 20, mode: off}
    limits: {sessions: 7, per_address: 6, per_user: 5, passwords: 4}
    timeouts: {login: 11s, idle: 12s, stall: 13s, connect: 10s}
    messages: {banner: [a, b], greeting: c, exit: d, full: e, folder_file: .f}
    attempts: {mode: log, failures: 9, within: 21s, block: 22s, longest: 23s, trusted: [10.0.0.0/8]}
`))
	if err != nil {
		t.Fatal(err)
	}
	var got ftpserver.Settings
	(&site{cfg: doc.Sites[0]}).bound(&got)
	want := ftpserver.Settings{
		Passive:  ftpserver.Passive{Low: 5000, High: 5010},
		Active:   ftpserver.Active{Off: true, SourcePort: 20},
		Limits:   ftpserver.Limits{Sessions: 7, SessionsPerPeer: 6, SessionsPerUser: 5, LoginAttempts: 4},
		Timeouts: ftpserver.Timeouts{Login: 11 * time.Second, Idle: 12 * time.Second, Stall: 13 * time.Second, Connect: 10 * time.Second},
		Messages: ftpserver.Messages{
			Banner: []string{"a", "b"}, Greeting: []string{"c"}, Exit: []string{"d"}, Full: []string{"e"},
			SiteName: "softwares", FolderFile: ".f",
		},
		Attempts: ftpserver.Attempts{
			Failures: 9, Within: 21 * time.Second, Block: 22 * time.Second, Longest: 23 * time.Second,
			Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, LogOnly: true,
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	got = ftpserver.Settings{}
	(&site{}).bound(&got)
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	if a := got.Attempts; a.Failures != 4 || a.Within != 30*time.Second || a.LogOnly || !slices.Equal(a.Trusted, loopback) {
		t.Errorf("without a document: got %+v, want 4 in 30 s, loopback trusted", a)
	}
	off := &site{cfg: config.Site{Attempts: config.Attempts{Mode: config.AttemptsOff}}}
	if off.bound(&got); got.Attempts.Failures != 0 {
		t.Errorf("off: got %+v", got.Attempts)
	}
}
