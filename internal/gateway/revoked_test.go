package gateway_test

import (
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/connector"
	"sallyport.dev/internal/netx"
)

// TestRevocationReachesStreamsOfAnEndedSession: a connector that drops its control
// link keeps no stream past its revocation.
func TestRevocationReachesStreamsOfAnEndedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		inside := r.listen("10.0.0.5:7", echo)
		creds := r.join("plant1")
		r.mu.Lock()
		first := len(r.conns)
		r.mu.Unlock()
		c := r.run(r.newConnector(creds, connector.Mapping{Virtual: "echo:7", Internal: inside}))
		r.await("connected", func() bool { return c.State() != nil && c.State()[0].Connected })
		kept := r.mustDial("echo:7")
		r.mu.Lock()
		link := r.conns[first]
		r.mu.Unlock()
		if err := netx.Reset(link); err != nil { // the control link alone
			t.Fatal(err)
		}
		synctest.Wait()
		if err := r.gw.Authority.Revoke(creds.Identity().ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second) // fake
		if err := kept.SetReadDeadline(time.Now().Add(time.Second)); err == nil {
			if _, err := kept.Write([]byte("x")); err == nil {
				if n, err := kept.Read(make([]byte, 1)); err == nil {
					t.Errorf("the stream still carries %d bytes after the revocation", n)
				}
			}
		}
		kept.Close()
	})
}
