package tunnel_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"sallyport.dev/internal/testkit"
	"sallyport.dev/internal/tunnel"
	"sallyport.dev/internal/tunnel/frame"
)

func TestNearest(t *testing.T) {
	ms := []frame.Mapping{
		{Host: "ftp-erp", First: 21, Last: 21, Protocol: "ftp"},
		{Host: "legacy", First: 5000, Last: 5010, Protocol: "tcp"},
		{Host: "legacy", First: 21, Last: 21, Protocol: "tcp"},
	}
	for _, tt := range []struct {
		host string
		port uint16
		want int
	}{
		{"ftp-erp", 2121, 0},
		{"FTP-ERP.", 21, 0},
		{"ftp-epr", 21, 0},
		{"legacy", 5011, 1},
		{"legacy", 22, 2},
		{"legcy", 4999, 1},
		{"warehouse", 21, -1},
	} {
		if got := tunnel.Nearest(ms, tt.host, tt.port); got != tt.want {
			t.Errorf("%s:%d: got %d, want %d", tt.host, tt.port, got, tt.want)
		}
	}
	if !tunnel.Covers(ms[1], "LEGACY", 5010) || tunnel.Covers(ms[1], "legacy", 5011) {
		t.Error("a range covers its last port and no more")
	}
}

func TestWrapCarriesCleanEndsAndCuts(t *testing.T) {
	testkit.NoLeaks(t)
	a, b := tcpPipe(t)
	x, y := tunnel.Wrap(a, "ftp-erp:21"), tunnel.Wrap(b, "ftp-erp:21")
	if got := x.RemoteAddr().String(); got != "ftp-erp:21" {
		t.Errorf("got %q", got)
	}
	if _, err := x.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	if got, err := io.ReadAll(y); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := y.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	a, b = tcpPipe(t)
	y = tunnel.Wrap(b, "")
	a.(*net.TCPConn).Close() // a process that died
	if _, err := io.ReadAll(y); err == nil {
		t.Error("a cut looks clean")
	}
	y.Close()
}
