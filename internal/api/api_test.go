package api_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/nettest"

	"sallyport.dev/internal/api"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/memnet"
)

// serve answers on a control socket in dir until the test ends.
func serve(t *testing.T, dir string, h *api.Handler) {
	t.Helper()
	l, err := api.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h.Routes(), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
}

func TestStatusThroughALongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 40), "state")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	want := api.Status{Version: api.Version, PID: 42, Parts: []api.Part{{Kind: "gateway", Address: "127.0.0.1:8443"}}}
	serve(t, dir, &api.Handler{Status: func() api.Status { return want }})
	fi, err := os.Stat(filepath.Join(dir, "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	if got := fi.Mode().Perm(); got != 0o600 {
		t.Errorf("socket has mode %o, want 600", got)
	}
	got, err := (&api.Client{Dir: dir}).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestNobodyThere(t *testing.T) {
	_, err := (&api.Client{Dir: t.TempDir()}).Status(t.Context())
	if fault.KindOf(err) != fault.Unreachable || !strings.Contains(fault.HintOf(err), "--state") {
		t.Errorf("got %v (hint %q)", err, fault.HintOf(err))
	}
}

func TestRefusalKeepsKindAndHint(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, &api.Handler{
		Status: func() api.Status { return api.Status{} },
		Dial: func(context.Context, api.DialRequest) (net.Conn, error) {
			return nil, fault.New(fault.Denied, "no mapping covers %q", "x:1").WithHint("nearest is ftp-erp:21")
		},
	})
	c := &api.Client{Dir: dir}
	_, err := c.Dial(t.Context(), api.DialRequest{Address: "x:1"})
	if fault.KindOf(err) != fault.Denied || fault.HintOf(err) != "nearest is ftp-erp:21" {
		t.Errorf("got %v (hint %q)", err, fault.HintOf(err))
	}
	if _, err := c.Streams(t.Context()); fault.KindOf(err) != fault.Unsupported {
		t.Errorf("streams without a gateway: got %v, want unsupported", err)
	}
}

func TestDialCarriesBytes(t *testing.T) {
	dir := t.TempDir()
	far, near := memnet.Pipe()
	var asked api.DialRequest
	serve(t, dir, &api.Handler{
		Status: func() api.Status { return api.Status{} },
		Dial: func(_ context.Context, r api.DialRequest) (net.Conn, error) {
			asked = r
			return near, nil
		},
	})
	c := &api.Client{Dir: dir}
	conn, err := c.DialFunc("plant1")(t.Context(), "tcp", "ftp-erp:21")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4)
	if _, err := io.ReadFull(far, b); err != nil || string(b) != "ping" {
		t.Fatalf("got %q, %v", b, err)
	}
	if _, err := far.Write([]byte("pong")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != "pong" {
		t.Fatalf("got %q, %v", b, err)
	}
	if err := far.Reset(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(b); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a reset behind the part reads as %v, want an error that is no clean end", err)
	}
	if want := (api.DialRequest{Location: "plant1", Address: "ftp-erp:21"}); asked != want {
		t.Errorf("asked for %+v, want %+v", asked, want)
	}
}

// TestDialConformance: what a dial gives is a net.Conn like any other.
func TestDialConformance(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		dir := t.TempDir()
		far, near := memnet.Pipe()
		l, err := api.Listen(dir)
		if err != nil {
			return nil, nil, nil, err
		}
		h := &api.Handler{Dial: func(context.Context, api.DialRequest) (net.Conn, error) { return near, nil }}
		srv := &http.Server{Handler: h.Routes(), ReadHeaderTimeout: 10 * time.Second}
		done := make(chan error, 1)
		go func() { done <- srv.Serve(l) }()
		conn, err := (&api.Client{Dir: dir}).Dial(context.Background(), api.DialRequest{Address: "x:1"})
		stop := func() {
			if conn != nil {
				_ = conn.Close()
			}
			_ = far.Reset()
			_ = srv.Close()
			<-done
		}
		return conn, far, stop, err
	})
}
