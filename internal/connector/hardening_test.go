package connector

import (
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/tunnel/frame"
)

// TestOneTargetOnePinhole: a server that frees a data port may announce it to the
// next session. The older announcement, of whatever principal, must not lead there,
// and one announcement is good for one connection.
func TestOneTargetOnePinhole(t *testing.T) {
	table := &pinholes{}
	alice := hole("user:alice", 1, 40122)
	bob := alice
	bob.principal, bob.session = "user:bob", frame.ID{2}
	mustAdd(t, table, alice)
	mustAdd(t, table, bob) // the same server, the same port
	if _, err := table.take("user:alice", "ftp-1", 40122); fault.KindOf(err) != fault.Denied {
		t.Errorf("the older announcement led to the newer one's data: %v", err)
	}
	if _, err := table.take("user:bob", "ftp-1", 40122); err != nil {
		t.Errorf("the newer announcement: %v", err)
	}
	if _, err := table.take("user:bob", "ftp-1", 40122); fault.KindOf(err) != fault.Denied {
		t.Errorf("a second use: %v", err)
	}
}

// TestTelnetBytesHideNoCommand: what stands behind Telnet bytes is not passed on,
// since servers read it differently.
func TestTelnetBytesHideNoCommand(t *testing.T) {
	for text, want := range map[string]bool{
		"NOOP": true, "\xff\xf4\xff\xf2ABOR": true, "\xf2ABOR": true, "\xff\xf4QUIT": true,
		"\xff\xfbPORT 1,2,3,4,5,6": false, "\xff\xfaX \xff\xf0PORT 1,2,3,4,5,6": false, "\xff\xf1CWD x": false, "\xff\xf4\xff\xf2STOR x": false,
	} {
		cmd, err := ftp.ParseCommand([]byte(text))
		if err != nil {
			continue // malformed: never passed on
		}
		if got := plainStart([]byte(text), cmd.Verb); got != want {
			t.Errorf("%q (%s): got %v, want %v", text, cmd.Verb, got, want)
		}
	}
}
