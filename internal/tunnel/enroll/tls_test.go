package enroll_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel/enroll"
)

// shake connects with a configuration of the test's own and returns what the
// client's end says, at the latest at its first read.
func shake(t *testing.T, g *gateway, cfg *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	raw, err := g.net.Dial(t.Context(), "tcp", gatewayAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(t.Context()); err != nil {
		return tls.ConnectionState{}, err
	}
	_, err = io.ReadAll(conn)
	return conn.ConnectionState(), err
}

func TestRevokedConnector(t *testing.T) {
	g := newGateway(t)
	c := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir())
	id := c.Identity()
	if err := g.Check(id); err != nil {
		t.Fatal(err)
	}
	beside := openAuthority(t, g.dir, nil) // as a command of another process
	for range 2 {
		if err := beside.Revoke(id.ID); err != nil {
			t.Fatal(err)
		}
	}
	_, err := hello(t, g.net, c, gatewayAddr)
	wantFault(t, err, fault.Denied, "gateway "+gatewayAddr+" has revoked connector "+id.ID+" of location plant1", "ask the gateway's administrator for a token")
	for _, err := range []error{<-g.errs, g.Check(id)} {
		wantFault(t, err, fault.Denied, "connector "+id.ID+" of location plant1 is revoked", "sallyport gateway token --location plant1")
	}
	list, err := g.Connectors()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Revoked.IsZero() {
		t.Errorf("got %+v, want it revoked", list)
	}
}

func TestRevokeUnknownConnector(t *testing.T) {
	g := newGateway(t)
	wantFault(t, g.Revoke("abcdefgh"), fault.NotFound, `no connector has the id "abcdefgh"`, "no connector has joined yet")
	id := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir()).Identity().ID
	wantFault(t, g.Revoke("../tokens/x"), fault.NotFound, `"../tokens/x"`, "known are "+id+" (plant1)")
}

func TestExpiredConnector(t *testing.T) {
	g := newGateway(t)
	c := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir())
	g.clock.advance(90*24*time.Hour + time.Hour)
	wantFault(t, g.Check(c.Identity()), fault.Denied, "ended at", "sallyport gateway token --location plant1")

	cfg := c.ClientConfig(proto)
	cfg.Time = g.clock.now
	_, err := shake(t, g, cfg)
	wantFault(t, c.Explain(err, gatewayAddr), fault.Denied, "is expired or not yet valid", "set the clocks of both machines right")
	wantFault(t, <-g.errs, fault.Denied, "certificate of connector "+c.Identity().ID+" of location plant1 (10.9.9.9:1) ended at", "gateway token --location plant1")
}

func TestConnectorNotYetValid(t *testing.T) {
	g := newGateway(t)
	c := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir())
	g.clock.advance(-48 * time.Hour)
	cfg := c.ClientConfig(proto)
	cfg.Time = time.Now
	_, err := shake(t, g, cfg)
	wantFault(t, c.Explain(err, gatewayAddr), fault.Denied, "is expired or not yet valid", "clocks")
	wantFault(t, <-g.errs, fault.Denied, "is not valid before", "this machine's clock is probably behind")
}

func TestConnectorsClockWrong(t *testing.T) {
	g := newGateway(t)
	c := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir())
	g.clock.advance(40 * 24 * time.Hour) // the gateway has renewed its certificate since
	_, err := hello(t, g.net, c, gatewayAddr)
	wantFault(t, err, fault.Unauthenticated, "is not valid before", "this machine's clock is probably behind")
	wantFault(t, <-g.errs, fault.Unauthenticated, "does not accept this gateway's certificate", "clock")
}

func TestConnectorOfAnotherGateway(t *testing.T) {
	g := newGateway(t)
	other := serveGateway(t, t.TempDir(), g.net, "10.0.0.2:443", &clock{})
	tok, err := other.NewToken("plant1", []string{"10.0.0.2:443"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := mustJoin(t, other, tok, t.TempDir())
	_, err = hello(t, g.net, c, gatewayAddr)
	wantFault(t, err, fault.Unauthenticated, "certificate of "+gatewayAddr+" is not from the gateway that this connector joined", "check the address")
	wantFault(t, <-g.errs, fault.Unauthenticated, "does not accept this gateway's certificate", "joined another gateway")

	cfg := c.ClientConfig(proto)
	cfg.RootCAs = nil
	cfg.InsecureSkipVerify = true // a connector that is not ours may be careless
	_, err = shake(t, g, cfg)
	wantFault(t, c.Explain(err, gatewayAddr), fault.Unauthenticated, "did not issue the certificate of connector", "state folder")
	wantFault(t, <-g.errs, fault.Unauthenticated, "is not from this gateway", "join it here")
}

func TestTunnelWithoutCertificate(t *testing.T) {
	g := newGateway(t)
	c := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir())
	for _, protos := range [][]string{{proto}, {"http/1.1", proto}} {
		cfg := c.ClientConfig(proto)
		cfg.GetClientCertificate = nil
		cfg.NextProtos = protos
		_, err := shake(t, g, cfg)
		wantFault(t, c.Explain(err, gatewayAddr), fault.Unauthenticated, "wants a connector's certificate and got none", "join")
		wantFault(t, <-g.errs, fault.Unauthenticated, "10.9.9.9:1 showed no certificate", "sallyport connector join")
	}
}

func TestServersCertificateIsNoConnectors(t *testing.T) {
	g := newGateway(t)
	cert, err := g.ServerConfig(nil).GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = shake(t, g, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{proto}, Certificates: []tls.Certificate{*cert}}) //nolint:gosec // an attacker's
	if err == nil {
		t.Fatal("a server's certificate was accepted as a connector's")
	}
	wantFault(t, <-g.errs, fault.Denied, "is not a connector's", "sallyport connector join")
	_, err = enroll.IdentityOf(cert.Leaf)
	wantFault(t, err, fault.Denied, "is not a connector's", "join")
}

func TestConnectorsCertificateIsNoServers(t *testing.T) {
	g := newGateway(t)
	c := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir())
	victim := mustJoin(t, g, mustToken(t, g.Authority, "plant2"), t.TempDir())
	own, err := c.ClientConfig(proto).GetClientCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := g.net.Listen(t.Context(), "tcp", "10.0.0.66:443")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		raw, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer raw.Close()
		srv := tls.Server(raw, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*own}, NextProtos: []string{proto}})
		done <- srv.HandshakeContext(context.Background())
	}()
	_, err = hello(t, g.net, victim, "10.0.0.66:443")
	wantFault(t, err, fault.Unauthenticated, "is not a gateway's", "check that the address")
	if err := <-done; err == nil {
		t.Error("the handshake with a connector as server went well")
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	g := newGateway(t)
	_, err := shake(t, g, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}) //nolint:gosec // an old client's
	if err == nil {
		t.Fatal("TLS 1.2 was accepted")
	}
	if err := <-g.errs; err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("got %v, want the version refused", err)
	}
}

func TestUnknownProtocolIsRefused(t *testing.T) {
	g := newGateway(t)
	c := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir())
	_, err := shake(t, g, c.ClientConfig("sallyport/9"))
	wantFault(t, c.Explain(err, gatewayAddr), fault.Unsupported, "is no gateway of this version", "same version")
}

func TestNoResumption(t *testing.T) {
	g := newGateway(t)
	c := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir())
	cfg := c.ClientConfig(proto)
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	for range 3 {
		cs, err := shake(t, g, cfg)
		if err != nil || cs.DidResume {
			t.Fatalf("got resumed %v, %v, want a whole handshake each time", cs.DidResume, err)
		}
	}
	if err := g.Revoke(c.Identity().ID); err != nil {
		t.Fatal(err)
	}
	if _, err := shake(t, g, cfg); err == nil {
		t.Error("a revoked connector came in with a session cache")
	}
}

func TestServerCertificateRenewsItself(t *testing.T) {
	g := newGateway(t)
	cfg := g.ServerConfig([]string{proto})
	var last *x509.Certificate
	changes := 0
	for day := range 400 {
		cert, err := cfg.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		now := g.clock.now()
		if left := cert.Leaf.NotAfter.Sub(now); left < 14*24*time.Hour || cert.Leaf.NotBefore.After(now.Add(-23*time.Hour)) {
			t.Fatalf("day %d: certificate from %v to %v at %v", day, cert.Leaf.NotBefore, cert.Leaf.NotAfter, now)
		}
		if last != nil && !cert.Leaf.Equal(last) {
			changes++
		}
		last = cert.Leaf
		g.clock.advance(24 * time.Hour)
	}
	if changes < 20 || changes > 30 {
		t.Errorf("got %d new certificates in 400 days, want one each 15 days", changes)
	}
}

func TestStateFolderGoneMeansNobodySpeaks(t *testing.T) {
	g := newGateway(t)
	c := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir())
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := hello(t, g.net, c, gatewayAddr); err == nil {
		t.Error("a connector came in although nothing could tell whether it is revoked")
	}
}

func TestJoinPortAnswersOnlyJoins(t *testing.T) {
	g := newGateway(t)
	tr := &http.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			raw, err := g.net.Dial(ctx, "tcp", gatewayAddr)
			if err != nil {
				return nil, err
			}
			return tls.Client(raw, &tls.Config{InsecureSkipVerify: true}), nil //nolint:gosec // a stranger's
		},
	}
	defer tr.CloseIdleConnections()
	for path, want := range map[string]int{"/": 404, "/v1/join/": 404, "/v1/join": 501, "/metrics": 404} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://gw"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != want || !strings.Contains(string(b), "only `sallyport connector join` is answered here") {
			t.Errorf("GET %s: got %d %s %v, want %d", path, resp.StatusCode, b, err, want)
		}
	}
}

func TestForgedIdentities(t *testing.T) {
	g := newGateway(t)
	tok := mustToken(t, g.Authority, "plant1")
	// The request asks to be a gateway, and of another location.
	w := post(g.Authority, "192.0.2.1:1", joinBody(t, tok, newCSR(t, newP256(t), "gateway.sallyport.internal")))
	if w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	list, err := g.Connectors()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Location != "plant1" || list[0].ID == "gateway.sallyport.internal" {
		t.Errorf("got %+v, want the gateway's own words", list)
	}
}
