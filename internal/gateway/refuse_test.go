package gateway_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/connector"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel/enroll"
	"sallyport.dev/internal/tunnel/frame"
)

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		refused := func(name, location, addr string, kind fault.Kind, text, hint string) {
			t.Helper()
			_, err := r.dial("user:a", location, addr)
			if fault.KindOf(err) != kind {
				t.Errorf("%s: got %v (%v), want %v", name, err, fault.KindOf(err), kind)
				return
			}
			if !strings.Contains(err.Error(), text) || !strings.Contains(fault.HintOf(err), hint) {
				t.Errorf("%s: got %q with hint %q, want %q and %q in them", name, err, fault.HintOf(err), text, hint)
			}
		}
		refused("nobody-connected", "", "ftp-erp:7", fault.Unreachable, "no connector is connected", "sallyport connector run")
		refused("location-offline", "plant1", "ftp-erp:7", fault.Unreachable, `location "plant1"`, "sallyport connector run")
		inside := r.listen("10.0.0.5:7", echo)
		r.connect("plant1",
			connector.Mapping{Virtual: "echo:7", Internal: inside},
			connector.Mapping{Virtual: "legacy:5000-5010", Internal: "10.0.0.6:5000-5010"},
			connector.Mapping{Virtual: "both:7", Internal: inside},
			connector.Mapping{Virtual: "metadata:80", Internal: "evil.example:80"},
		)
		r.connect("plant2", connector.Mapping{Virtual: "both:7", Internal: inside})
		refused("unknown-location", "plant3", "echo:7", fault.Unreachable, `location "plant3"`, "connected are: plant1, plant2")
		refused("other-port", "plant1", "echo:8", fault.Denied, `"echo:8"; the nearest is echo:7 at location plant1`, "--expose 'echo:8=HOST:8'")
		refused("beyond-a-range", "", "legacy:5011", fault.Denied, "the nearest is legacy:5000-5010", "data_ports")
		refused("misspelt", "", "ehco:7", fault.Denied, "the nearest is echo:7", "check the name")
		refused("address", "", "10.0.0.5:7", fault.Denied, "none comes near", "socks5h")
		refused("no-such-thing", "", "warehouse-of-the-south:21", fault.Denied, "none comes near", "--expose")
		refused("at-two-locations", "", "both:7", fault.Denied, "several locations: plant1, plant2", "--location plant1")
		refused("nobody-listens", "", "legacy:5001", fault.Unreachable, "connect to what is behind legacy:5000-5010", "server running")
		refused("bad-host", "", "a b:21", fault.Invalid, "target", "printable")
		refused("bad-port", "", "echo:0", fault.Invalid, "port", "1 to 65535")
		if c, err := r.dial("user:a", "plant2", "both:7"); err != nil {
			t.Errorf("with a location: %v", err)
		} else {
			c.Close()
		}
		if c, err := r.dial("user:a", "", "ECHO.:7"); err != nil {
			t.Errorf("names are compared as DNS does: %v", err)
		} else {
			c.Close()
		}
		if _, err := r.gw.DialVia("user:a", "")(t.Context(), "udp", "echo:7"); fault.KindOf(err) != fault.Unsupported {
			t.Errorf("udp: got %v", err)
		}
	})
}

// TestNamesThatLeadHome: who answers DNS must not decide what is reached.
func TestNamesThatLeadHome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		home := r.listen("127.0.0.1:7", echo)
		c := r.newConnector(r.join("plant1"),
			connector.Mapping{Virtual: "meant:7", Internal: home},
			connector.Mapping{Virtual: "name:7", Internal: "erp.corp:7"},
		)
		var answer netip.Addr
		c.Resolve = func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{answer}, nil }
		run := r.run(c)
		r.await("connected", func() bool { return run.State() != nil && run.State()[0].Connected })
		for addr, want := range map[string]string{
			"127.0.0.1": "a loopback address", "::1": "a loopback address", "::ffff:127.0.0.1": "a loopback address",
			"169.254.169.254": "a link-local address", "fe80::1": "a link-local address", "0.0.0.0": "no host's address",
			"100.100.100.200": "a metadata service's address", "fd00:ec2::254": "a metadata service's address", "224.0.0.1": "a link-local",
		} {
			answer = netip.MustParseAddr(addr)
			_, err := r.dial("user:a", "", "name:7")
			if fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want denied: %s", addr, err, want)
			}
			if strings.Contains(err.Error()+fault.HintOf(err), addr) {
				t.Errorf("%s left the plant: %v", addr, err)
			}
		}
		conn, err := r.dial("user:a", "", "meant:7")
		if err != nil {
			t.Fatalf("a literal loopback address is meant: %v", err)
		}
		conn.Close()
	})
}

func TestPrincipalLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.gw.MaxStreams = 3
		inside := r.listen("10.0.0.5:7", echo)
		r.connect("plant1", connector.Mapping{Virtual: "echo:7", Internal: inside})
		var conns []net.Conn
		for range 3 {
			conns = append(conns, r.mustDial("echo:7"))
		}
		_, err := r.dial("user:a", "", "echo:7")
		if fault.KindOf(err) != fault.Busy || !strings.Contains(err.Error(), "user:a has 3") {
			t.Errorf("got %v, want busy", err)
		}
		other, err := r.dial("user:b", "", "echo:7")
		if err != nil {
			t.Fatalf("another principal: %v", err)
		}
		conns = append(conns, other)
		for _, c := range conns {
			c.Close()
		}
		r.await("ended", func() bool { return len(r.gw.Streams()) == 0 })
		r.mustDial("echo:7").Close()
	})
}

// TestNoCertificate: without one of ours the port answers joins and nothing else.
func TestNoCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for _, proto := range []string{frame.ControlProtocol, frame.DataProtocol} {
			raw, err := r.outside.Dial(t.Context(), "tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{proto}})
			err = c.HandshakeContext(t.Context())
			if err == nil { // in TLS 1.3 the refusal comes with the first read
				_, err = c.Read(make([]byte, 1))
			}
			if err == nil || errors.Is(err, io.EOF) {
				t.Errorf("%s: got %v, want a refusal", proto, err)
			}
			raw.Close()
		}
		synctest.Wait()
		if log := r.log.text(); strings.Count(log, "showed no certificate") != 2 {
			t.Errorf("the gateway's log does not say so:\n%s", log)
		}
		if n := len(r.gw.Sessions()); n != 0 {
			t.Errorf("%d sessions", n)
		}
	})
}

func TestConnectorOfAnotherGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newRig(t), newRig(t)
		c := b.newConnector(a.join("plant1"))
		c.Gateways = []string{b.addr}
		err := c.Run(t.Context()) // it has never been taken: it gives up
		if fault.KindOf(err) != fault.Unauthenticated || fault.HintOf(err) == "" {
			t.Errorf("got %v, want unauthenticated with a hint", err)
		}
	})
}

func TestRevokedConnectorIsCutAtOnce(t *testing.T) {
	for name, beside := range map[string]bool{"by-the-gateway": false, "by-another-process": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				inside := r.listen("10.0.0.5:7", echo)
				run := r.connect("plant1", connector.Mapping{Virtual: "echo:7", Internal: inside})
				conn := r.mustDial("echo:7")
				known, err := r.gw.Connectors()
				if err != nil || len(known) != 1 || !known[0].Connected {
					t.Fatalf("got %+v, %v", known, err)
				}
				if beside {
					a, err := enroll.OpenAuthority(r.dir, nil)
					if err != nil {
						t.Fatal(err)
					}
					defer a.Close()
					if err := a.Revoke(known[0].ID); err != nil {
						t.Fatal(err)
					}
				} else if err := r.gw.Revoke(known[0].ID); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
					t.Errorf("got %v, want a cut", err)
				}
				if d := time.Since(start); d > 3*time.Second {
					t.Errorf("cut after %v", d)
				}
				conn.Close()
				time.Sleep(5 * time.Second)
				err = run.State()[0].Err
				if fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), "revoked") || fault.HintOf(err) == "" {
					t.Errorf("the connector says %v", err)
				}
				if _, err := r.dial("user:a", "", "echo:7"); fault.KindOf(err) != fault.Unreachable {
					t.Errorf("got %v, want unreachable", err)
				}
				// The location is free again.
				r.connect("plant1", connector.Mapping{Virtual: "echo:7", Internal: inside})
				r.mustDial("echo:7").Close()
			})
		})
	}
}

func TestSecondConnectorForALocationIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.connect("plant1")
		_, err := enroll.Join(t.Context(), r.outside.Dial, r.token("plant1"), t.TempDir())
		if k := fault.KindOf(err); (k != fault.Denied && k != fault.Exists) || fault.HintOf(err) == "" {
			t.Errorf("got %v (%v), want a refusal that says what works", err, k)
		}
	})
}

func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		tok := r.token("plant1")
		if _, err := enroll.Join(t.Context(), r.outside.Dial, tok, t.TempDir()); err != nil {
			t.Fatal(err)
		}
		if _, err := enroll.Join(t.Context(), r.outside.Dial, tok, t.TempDir()); err == nil || fault.HintOf(err) == "" {
			t.Errorf("reused: got %v", err)
		}
		late := r.token("plant2")
		time.Sleep(16 * time.Minute)
		if _, err := enroll.Join(t.Context(), r.outside.Dial, late, t.TempDir()); err == nil || !strings.Contains(err.Error(), "expired") {
			t.Errorf("expired: got %v", err)
		}
		other := newRig(t)
		foreign := other.token("plant1")
		foreign.Gateways = []string{r.addr}
		if _, err := enroll.Join(t.Context(), r.outside.Dial, foreign, t.TempDir()); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("foreign: got %v", err)
		}
	})
}

func TestGatewayAwayIsUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.newConnector(r.join("plant1"))
		c.Gateways = []string{"10.0.0.99:443"}
		run := r.run(c)
		r.await("tried", func() bool { return run.State() != nil && run.State()[0].Err != nil })
		err := run.State()[0].Err
		if fault.KindOf(err) != fault.Unreachable || !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(fault.HintOf(err), "firewall") {
			t.Errorf("got %v, hint %q", err, fault.HintOf(err))
		}
	})
}
