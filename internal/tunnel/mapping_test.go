package tunnel_test

import (
	"testing"

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
