package ftpclient_test

import (
	"bytes"
	"context"
	"net"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
	"sallyport.dev/internal/netx"
)

// meanwhile does something just before a command is sent.
type meanwhile struct {
	net.Conn
	verb string
	do   func()
}

func (m *meanwhile) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte(m.verb)) {
		m.do()
	}
	return m.Conn.Write(b)
}

// TestStatOfVanishing: a file that goes away between its size and its time is not
// there. As a file without a time it would be another file than the one it was, and
// a flow would carry it twice.
func TestStatOfVanishing(t *testing.T) {
	noMLST := map[string]string{"FEAT": "211-Features:\r\n SIZE\r\n MDTM\r\n EPSV\r\n211 End\r\n"}
	a := &ftptest.Awkward{Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{Answers: noMLST}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		cfg.Pipelining = ftpclient.PipeliningOff // or the two are asked for at once
		dialIn(t, cfg, func(other *ftpclient.Conn) {
			cfg.Dial = through(cfg.Dial, "MDTM", func() {
				if err := other.Delete(t.Context(), "f"); err != nil {
					t.Error(err)
				}
			})
			dialIn(t, cfg, func(c *ftpclient.Conn) {
				if e, err := c.Stat(t.Context(), "f"); fault.KindOf(err) != fault.NotFound {
					t.Errorf("got %+v, %v want that it is not there", e, err)
				}
			})
		})
	})
}

func through(dial netx.DialFunc, verb string, do func()) netx.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &meanwhile{c, verb, do}, nil
	}
}
