package gateway_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport.dev/internal/connector"
	"sallyport.dev/internal/testkit"
)

// TestVsftpdDropsACutUpload: the links, or that of the control connection alone, die
// in the middle of uploads to Debian's vsftpd. It must never take one for whole, and
// must have the time to drop the part.
func TestVsftpdDropsACutUpload(t *testing.T) {
	testkit.NeedRoot(t)
	srv := testkit.Vsftpd(t, testkit.VsftpdOptions{Extra: map[string]string{"delete_failed_uploads": "YES"}})
	testkit.NoLeaks(t)
	r := newTCPRig(t)
	r.connect("plant1", connector.Mapping{Virtual: "ftp-erp:21", Internal: srv.Addr, Protocol: "ftp"})
	const cuts = 6
	for i := range cuts {
		var c *ftpControl
		r.await("back", func() bool {
			conn, err := r.dial("user:a", "", "ftp-erp:21")
			if err == nil {
				c = newControl(t, conn)
			}
			return err == nil
		})
		c.want("220")
		c.do("331", "USER %s", srv.User)
		c.do("230", "PASS %s", srv.Password)
		c.do("200", "TYPE I")
		var port int
		line := c.do("229", "EPSV")
		if _, err := fmt.Sscanf(line[strings.IndexByte(line, '('):], "(|||%d|)", &port); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "STOR part-%d\r\n", i)
		d := r.mustDialAs("user:a", fmt.Sprintf("ftp-erp:%d", port))
		c.want("150")
		if _, err := d.Write(make([]byte, 300_000)); err != nil {
			t.Fatal(err)
		}
		part := filepath.Join(srv.Home, fmt.Sprintf("part-%d", i))
		r.await("being stored", func() bool { fi, err := os.Stat(part); return err == nil && fi.Size() > 0 })
		if i%2 == 0 {
			r.cutLinks()
		} else {
			c.lose()
		}
		r.await("dropped", func() bool { _, err := os.Stat(part); return os.IsNotExist(err) })
		d.Close()
		c.Close()
	}
	log := func() string {
		b, err := os.ReadFile(srv.LogFile)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	r.await("logged", func() bool { return strings.Count(log(), "FAIL UPLOAD") == cuts })
	if strings.Contains(log(), "OK UPLOAD") {
		t.Errorf("vsftpd took a cut upload for whole:\n%s", log())
	}
}
