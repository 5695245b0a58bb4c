package ftpio_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"sallyport.dev/internal/flow/flowtest"
	"sallyport.dev/internal/flow/ftpio"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/testkit"
)

// peer is a real FTP server and a folder on it.
func peer(t *testing.T, start func(testing.TB, testkit.ServerOptions) *testkit.FTPServer) (ftpio.FTPServer, disk) {
	t.Helper()
	s := start(t, testkit.ServerOptions{})
	dir := filepath.Join(s.Home, "out")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	s.Own(t)
	pool := &ftpclient.Pool{Max: 3, Config: ftpclient.Config{
		Addr: s.Addr, User: s.User, Password: secret.New(s.Password),
		Timeouts: ftpclient.Timeouts{Dial: 10 * time.Second, Reply: 10 * time.Second, Stall: 10 * time.Second, Final: 20 * time.Second},
	}}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Errorf("close pool: %v", err)
		}
	})
	return ftpio.FTPServer{Pool: pool, Name: "ftp://test@" + s.Addr, Directory: "out"}, disk(dir)
}

var servers = []struct {
	name  string
	start func(testing.TB, testkit.ServerOptions) *testkit.FTPServer
}{
	{"vsftpd", testkit.Vsftpd},
	{"proftpd", testkit.Proftpd},
	{"pureftpd", testkit.Pureftpd},
}

func TestFTPSource(t *testing.T) {
	for _, p := range servers {
		t.Run(p.name, func(t *testing.T) {
			flowtest.TestSource(t, func(t *testing.T) flowtest.SourceHarness {
				srv, d := peer(t, p.start)
				h := d.source(&ftpio.FTPSource{FTPServer: srv, Match: "*.xml"})
				h.Put = d.putOwned
				return h
			})
		})
	}
}

func TestFTPSink(t *testing.T) {
	for _, p := range servers {
		t.Run(p.name, func(t *testing.T) {
			flowtest.TestSink(t, func(t *testing.T) flowtest.SinkHarness {
				srv, d := peer(t, p.start)
				h := d.sink(&ftpio.FTPSink{FTPServer: srv})
				h.Put = func(t *testing.T, n string, b []byte) {
					t.Helper()
					d.putOwned(t, n, b, time.Now())
				}
				return h
			})
		})
	}
}

// putOwned stores a file that belongs to whom the folder belongs to.
func (d disk) putOwned(t *testing.T, name string, data []byte, at time.Time) {
	t.Helper()
	d.put(t, name, data, at)
	own(t, string(d), filepath.Join(string(d), name))
}
