package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/config"
)

func mustExternal(t *testing.T, rules string) config.External {
	t.Helper()
	doc, err := config.Parse("x", []byte("sites: [{name: s, path: /s, anonymous: true, passive: {external_ip: "+rules+"}}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	return doc.Sites[0].Passive.External
}

func TestExternalByNetwork(t *testing.T) {
	e := newExternal(config.Passive{External: mustExternal(t, `[{clients: [10.0.0.0/8, 192.0.2.7], address: own}, {clients: [10.0.0.0/8, 172.16.0.0/12], address: 172.16.0.1}, {address: 203.0.113.7}]`)}, slog.New(slog.DiscardHandler))
	for client, want := range map[string]netip.Addr{
		"10.1.2.3":   {},
		"192.0.2.7":  {},
		"192.0.2.8":  netip.MustParseAddr("203.0.113.7"),
		"172.16.9.9": netip.MustParseAddr("172.16.0.1"),
	} {
		if got := e.to(netip.MustParseAddr(client)); got != want {
			t.Errorf("%s: got %s, want %s", client, got, want)
		}
	}
	if e := newExternal(config.Passive{}, nil); e != nil {
		t.Errorf("without any: got %+v", e)
	}
	lan := newExternal(config.Passive{External: mustExternal(t, `[{clients: [10.0.0.0/8], address: 10.0.0.1}]`)}, nil)
	if got := lan.to(netip.MustParseAddr("192.0.2.8")); got.IsValid() {
		t.Errorf("whom no line is for: got %s, want the control connection's own", got)
	}
}

// TestExternalByName looks a name up again and again, keeps the last address while
// that fails, and stays with one of several.
func TestExternalByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var answer []netip.Addr
		var broken error
		looked := 0
		say := func(err error, addrs ...string) {
			mu.Lock()
			defer mu.Unlock()
			answer, broken = nil, err
			for _, a := range addrs {
				answer = append(answer, netip.MustParseAddr(a))
			}
		}
		var log strings.Builder
		e := newExternal(config.Passive{External: mustExternal(t, `ftp.example.com`), Resolve: time.Minute}, slog.New(slog.NewTextHandler(&log, nil)))
		e.lookup = func(_ context.Context, name string) ([]netip.Addr, error) {
			mu.Lock()
			defer mu.Unlock()
			if looked++; name != "ftp.example.com" {
				t.Errorf("looked up %q", name)
			}
			return append([]netip.Addr(nil), answer...), broken
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { e.run(ctx) })
		client := netip.MustParseAddr("192.0.2.8")
		want := func(what, addr string) {
			t.Helper()
			synctest.Wait()
			got := e.to(client)
			if addr == "" && got.IsValid() || addr != "" && got.String() != addr {
				t.Errorf("%s: got %s, want %q", what, got, addr)
			}
		}
		want("nothing found", "")
		say(errors.New("no such host"))
		<-time.After(11 * time.Second) // sooner than every minute, as long as there is none
		want("nothing found yet", "")
		say(nil, "2001:db8::1", "0.0.0.0")
		<-time.After(11 * time.Second)
		want("nothing of use found", "")
		say(nil, "203.0.113.7")
		<-time.After(11 * time.Second)
		want("found", "203.0.113.7")
		say(errors.New("server misbehaving"))
		<-time.After(2 * time.Minute)
		want("failed since", "203.0.113.7")
		say(nil, "203.0.113.9", "203.0.113.7")
		<-time.After(2 * time.Minute)
		want("one of two", "203.0.113.7")
		say(nil, "203.0.113.9")
		<-time.After(61 * time.Second)
		want("moved", "203.0.113.9")
		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return looked
		}
		before := count()
		<-time.After(10 * time.Minute)
		if got := count() - before; got != 10 {
			t.Errorf("looked up %d times in ten minutes, want 10", got)
		}
		cancel()
		running.Wait()
		for _, want := range []string{`level=WARN msg="external address not found, PASV names what it did" name=ftp.example.com address="the control connection's own"`, `address=203.0.113.7 err="server misbehaving"`, `msg="external address" name=ftp.example.com address=203.0.113.9`} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("no %q in the log:\n%s", want, log.String())
			}
		}
	})
}
