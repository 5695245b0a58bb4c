package gateway_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/connector"
	"sallyport.dev/internal/netx"
)

// TestPinholeOutlivesItsSession: the control link alone is lost and comes back;
// an FTP session that goes on over its own link still gets data connections.
func TestPinholeOutlivesItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := &ftpServer{r: r, host: "10.0.0.5"}
		addr := r.listen("10.0.0.5:0", s.serve)
		creds := r.join("plant1")
		r.mu.Lock()
		first := len(r.conns) // the next connection is the control link
		r.mu.Unlock()
		c := r.run(r.newConnector(creds, connector.Mapping{Virtual: "ftp-erp:21", Internal: addr, Protocol: "ftp"}))
		r.await("connected", func() bool { return c.State() != nil && c.State()[0].Connected })
		control := ftpDial(t, r, "user:a")
		r.mu.Lock()
		link := r.conns[first]
		r.mu.Unlock()
		if err := netx.Reset(link); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(5 * time.Second) // fake: the connector is back by then
		port := control.port("EPSV")
		d, err := r.dial("user:a", "", fmt.Sprintf("ftp-erp:%d", port))
		if err != nil {
			t.Fatalf("data connection after the control link was replaced: %v", err)
		}
		d.Close()
		control.Close()
	})
}
