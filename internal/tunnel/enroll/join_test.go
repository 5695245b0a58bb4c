package enroll_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/tunnel/enroll"
)

func TestJoinThenSpeak(t *testing.T) {
	g := newGateway(t)
	tok := mustToken(t, g.Authority, "plant1")
	dir := t.TempDir()
	c := mustJoin(t, g, tok, dir)
	got, err := hello(t, g.net, c, gatewayAddr)
	if err != nil {
		t.Fatal(err)
	}
	id := c.Identity()
	if want := id.ID + "@plant1"; got != want {
		t.Errorf("gateway sees %q, want %q", got, want)
	}
	again, err := enroll.OpenCredentials(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Identity() != id || again.Gateways()[0] != gatewayAddr || again.Pin() != g.Pin() {
		t.Errorf("reopened credentials are for %+v at %q, want %+v", again.Identity(), again.Gateways(), id)
	}
	if got, err := hello(t, g.net, again, gatewayAddr); err != nil || got != id.ID+"@plant1" {
		t.Errorf("reopened credentials: got %q, %v", got, err)
	}
	list, err := g.Connectors()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].ID != id.ID || list[0].Token != tok.ID || !list[0].Revoked.IsZero() || !list[0].NotAfter.Equal(id.NotAfter) {
		t.Errorf("got connectors %+v, want the one that joined", list)
	}
}

func TestJoinThroughTokenText(t *testing.T) {
	g := newGateway(t)
	tok, err := enroll.ParseToken(mustToken(t, g.Authority, "plant1").Encode() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	mustJoin(t, g, tok, t.TempDir())
}

func TestTokenMadeBesideARunningGateway(t *testing.T) {
	g := newGateway(t)
	beside := openAuthority(t, g.dir, nil)
	mustJoin(t, g, mustToken(t, beside, "plant1"), t.TempDir())
}

func TestJoinWithExpiredToken(t *testing.T) {
	g := newGateway(t)
	tok := mustToken(t, g.Authority, "plant1")
	g.clock.advance(enroll.TokenTTL + time.Minute)
	dir := t.TempDir()
	_, err := enroll.Join(t.Context(), g.net.Dial, tok, dir)
	wantFault(t, err, fault.Denied, "expired at "+tok.Expires.Format("2006-01-02 15:04:05 UTC")+", 1m",
		"sallyport gateway token --location plant1 --state DIR")
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if !strings.Contains(g.logs.String(), "expired at") {
		t.Errorf("got log %q, want the refusal in it", g.logs)
	}
}

func TestJoinWithUsedToken(t *testing.T) {
	g := newGateway(t)
	tok := mustToken(t, g.Authority, "plant1")
	c := mustJoin(t, g, tok, t.TempDir())
	for _, later := range []time.Duration{0, time.Hour} {
		g.clock.advance(later)
		_, err := enroll.Join(t.Context(), g.net.Dial, tok, t.TempDir())
		wantFault(t, err, fault.Denied, "was used already, by connector "+c.Identity().ID,
			"sallyport gateway token --location plant1 --state DIR")
	}
}

func TestJoinWithUnknownToken(t *testing.T) {
	g := newGateway(t)
	for name, change := range map[string]func(*enroll.Token){
		"id":     func(tok *enroll.Token) { tok.ID = "abcdefghijklmnop" },
		"secret": func(tok *enroll.Token) { tok.Secret = sampleToken().Secret },
	} {
		t.Run(name, func(t *testing.T) {
			tok := mustToken(t, g.Authority, "plant1")
			change(&tok)
			_, err := enroll.Join(t.Context(), g.net.Dial, tok, t.TempDir())
			wantFault(t, err, fault.Unauthenticated, "this gateway does not know the join token", "made by another gateway")
		})
	}
}

func TestJoinAtAnotherGateway(t *testing.T) {
	g := newGateway(t)
	other := openAuthority(t, t.TempDir(), nil)
	tok := mustToken(t, other, "plant1")
	_, err := enroll.Join(t.Context(), g.net.Dial, tok, t.TempDir())
	wantFault(t, err, fault.Unauthenticated, "certificate of "+gatewayAddr+" is not from the gateway that made this token", "inspects TLS")
	if strings.Contains(g.logs.String(), tok.ID) {
		t.Error("the token was shown to a gateway that it is not for")
	}
}

func TestJoinWithPinOfAnotherKeyInTheChain(t *testing.T) {
	// Somebody in the middle sends the right authority's certificate along, which
	// is public, below a certificate of their own.
	g := newGateway(t)
	tok := mustToken(t, g.Authority, "plant1")
	l, err := g.net.Listen(t.Context(), "tcp", "10.0.0.66:443")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	evil := selfSigned(t, "gateway.sallyport.internal")
	evil.Certificate = append(evil.Certificate, authorityOf(t, g))
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		defer raw.Close()
		conn := tls.Server(raw, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{evil}, NextProtos: []string{"http/1.1"}})
		if err := conn.HandshakeContext(context.Background()); err == nil {
			t.Error("the connector accepted a stranger's certificate")
		}
	})
	tok.Gateways = []string{"10.0.0.66:443"}
	_, err = enroll.Join(t.Context(), g.net.Dial, tok, t.TempDir())
	wantFault(t, err, fault.Unauthenticated, "is not from the gateway that made this token", "exempt")
}

func TestJoinWithWrongClocks(t *testing.T) {
	for _, c := range []struct {
		name       string
		ahead      time.Duration // of the gateway's clock
		text, hint string
	}{
		{"connector-behind", 10 * 24 * time.Hour, "is not valid before", "this machine's clock is probably behind"},
		{"connector-ahead", -100 * 24 * time.Hour, "was valid until", "this machine's clock is probably ahead"},
	} {
		t.Run(c.name, func(t *testing.T) {
			clk := &clock{}
			clk.advance(c.ahead)
			g := serveGateway(t, t.TempDir(), &memnet.Network{}, gatewayAddr, clk)
			_, err := enroll.Join(t.Context(), g.net.Dial, mustToken(t, g.Authority, "plant1"), t.TempDir())
			wantFault(t, err, fault.Unauthenticated, c.text, c.hint)
		})
	}
}

func TestJoinClockSlightlyBehind(t *testing.T) {
	g := newGateway(t)
	g.clock.advance(20 * time.Hour)
	mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir())
}

func TestSecondConnectorAtALocation(t *testing.T) {
	g := newGateway(t)
	first := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir()).Identity()
	tok := mustToken(t, g.Authority, "plant1")
	dir := t.TempDir()
	for range 2 { // the refusal does not use the token up
		_, err := enroll.Join(t.Context(), g.net.Dial, tok, dir)
		wantFault(t, err, fault.Exists, "location plant1 already has connector "+first.ID,
			"the token is still good: revoke the other with `sallyport gateway connectors revoke "+first.ID+" --state DIR`")
	}
	mustJoin(t, g, mustToken(t, g.Authority, "plant2"), t.TempDir())
	if err := g.Revoke(first.ID); err != nil {
		t.Fatal(err)
	}
	if got := mustJoin(t, g, tok, dir).Identity(); got.ID == first.ID || got.Location != "plant1" {
		t.Errorf("got %+v, want a new id at plant1", got)
	}
}

func TestLocationOfExpiredConnectorIsFree(t *testing.T) {
	g := newGateway(t)
	g.clock.advance(-89*24*time.Hour - 12*time.Hour)
	tok := mustToken(t, g.Authority, "plant1")
	old := joinAtHandler(t, g.Authority, tok)
	g.clock.advance(89 * 24 * time.Hour)
	_, err := enroll.Join(t.Context(), g.net.Dial, mustToken(t, g.Authority, "plant1"), t.TempDir())
	wantFault(t, err, fault.Exists, old.ID, "revoke")
	g.clock.advance(24 * time.Hour)
	mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir())
}

func TestLostAnswer(t *testing.T) {
	g := newGateway(t)
	tok := mustToken(t, g.Authority, "plant1")
	dir := t.TempDir()
	g.drop.Store(true)
	_, err := enroll.Join(t.Context(), g.net.Dial, tok, dir)
	wantFault(t, err, fault.KindOf(err), "join at gateway", "join again with the same token")
	g.drop.Store(false)
	_, err = enroll.Join(t.Context(), g.net.Dial, tok, t.TempDir()) // another key
	wantFault(t, err, fault.Denied, "was used already", "works once")
	c := mustJoin(t, g, tok, dir) // the same key
	list, err := g.Connectors()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].ID != c.Identity().ID {
		t.Errorf("got %+v, want the one connector %s", list, c.Identity().ID)
	}
	if _, err := os.Stat(filepath.Join(dir, "joining.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the key of the join is still there: %v", err)
	}
}

func TestLostAnswerAskedForTooLate(t *testing.T) {
	g := newGateway(t)
	tok := mustToken(t, g.Authority, "plant1")
	dir := t.TempDir()
	g.drop.Store(true)
	if _, err := enroll.Join(t.Context(), g.net.Dial, tok, dir); err == nil {
		t.Fatal("got no error without an answer")
	}
	g.drop.Store(false)
	g.clock.advance(time.Hour)
	_, err := enroll.Join(t.Context(), g.net.Dial, tok, dir)
	wantFault(t, err, fault.Denied, "was used already", "works once")
}

func TestJoinKeepsOtherCredentials(t *testing.T) {
	g := newGateway(t)
	dir := t.TempDir()
	mustJoin(t, g, mustToken(t, g.Authority, "plant1"), dir)
	before, err := os.ReadFile(filepath.Join(dir, "connector.json"))
	if err != nil {
		t.Fatal(err)
	}
	tok := mustToken(t, g.Authority, "plant2")
	_, err = enroll.Join(t.Context(), g.net.Dial, tok, dir)
	wantFault(t, err, fault.Exists, "location plant1 already", "another folder (--state DIR)")
	other := openAuthority(t, t.TempDir(), nil)
	_, err = enroll.Join(t.Context(), g.net.Dial, mustToken(t, other, "plant1"), dir)
	wantFault(t, err, fault.Exists, "of another gateway system already", "another folder (--state DIR)")
	if after, err := os.ReadFile(filepath.Join(dir, "connector.json")); err != nil || string(after) != string(before) {
		t.Errorf("the credentials changed: %v", err)
	}
	mustJoin(t, g, tok, t.TempDir()) // it was not used up
}

func TestRejoinAfterRevocationInTheSameFolder(t *testing.T) {
	g := newGateway(t)
	dir := t.TempDir()
	old := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), dir).Identity()
	if err := g.Revoke(old.ID); err != nil {
		t.Fatal(err)
	}
	c := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), dir)
	if got, err := hello(t, g.net, c, gatewayAddr); err != nil || got == old.ID+"@plant1" {
		t.Errorf("got %q, %v, want a new connector", got, err)
	}
}

func TestJoinTriesGatewaysInTurn(t *testing.T) {
	g := newGateway(t)
	serveGateway(t, t.TempDir(), g.net, "10.0.0.2:443", &clock{}) // another system
	tok, err := g.NewToken("plant1", []string{"10.0.0.9:443", "10.0.0.2:443", gatewayAddr}, 0)
	if err != nil {
		t.Fatal(err)
	}
	mustJoin(t, g, tok, t.TempDir())

	tok.Gateways = tok.Gateways[:2]
	_, err = enroll.Join(t.Context(), g.net.Dial, tok, t.TempDir())
	wantFault(t, err, fault.Unauthenticated, "10.0.0.2:443 is not from the gateway", "inspects TLS")
	if !strings.Contains(err.Error(), "connect to gateway 10.0.0.9:443") {
		t.Errorf("got %q, want the gateway that was not reached in it", err)
	}
	tok.Gateways = tok.Gateways[:1]
	_, err = enroll.Join(t.Context(), g.net.Dial, tok, t.TempDir())
	wantFault(t, err, fault.Unreachable, "connect to gateway 10.0.0.9:443", "may open connections")
}

func TestJoinWithSomethingElseThere(t *testing.T) {
	g := newGateway(t)
	tok := mustToken(t, g.Authority, "plant1")
	answer := func(f func(net.Conn)) netx.DialFunc {
		return func(context.Context, string, string) (net.Conn, error) {
			a, b := memnet.Pipe()
			t.Cleanup(func() { b.Close() })
			f(b)
			return a, nil
		}
	}
	_, err := enroll.Join(t.Context(), answer(func(c net.Conn) { c.Write([]byte("220 ProFTPD ready\r\n")) }), tok, t.TempDir())
	wantFault(t, err, fault.Unsupported, "does not speak TLS", "check the address and port")
	_, err = enroll.Join(t.Context(), answer(func(c net.Conn) { c.Close() }), tok, t.TempDir())
	wantFault(t, err, fault.Unreachable, "in the middle of the TLS handshake", "firewall")

	ctx, cancel := context.WithCancel(t.Context())
	_, err = enroll.Join(ctx, answer(func(net.Conn) { cancel() }), tok, t.TempDir())
	if fault.KindOf(err) != fault.Canceled {
		t.Errorf("got %v, want a cancelled join", err)
	}
}

func TestManyJoinsWithOneToken(t *testing.T) {
	g := newGateway(t)
	tok := mustToken(t, g.Authority, "plant1")
	const n = 8
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		dir := t.TempDir()
		wg.Go(func() {
			var c *enroll.Credentials
			if c, errs[i] = enroll.Join(t.Context(), g.net.Dial, tok, dir); errs[i] == nil {
				c.Close()
			}
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		wantFault(t, err, fault.Denied, "was used already", "works once")
	}
	if won != 1 {
		t.Errorf("%d joins won, want 1", won)
	}
}

func TestSecretsStayOutOfLogsAndState(t *testing.T) {
	g := newGateway(t)
	tok := mustToken(t, g.Authority, "plant1")
	mustJoin(t, g, tok, t.TempDir())
	if _, err := enroll.Join(t.Context(), g.net.Dial, tok, t.TempDir()); err == nil {
		t.Fatal("a used token worked")
	}
	sec := tok.Secret.Reveal()
	if s := g.logs.String(); strings.Contains(s, sec) || !strings.Contains(s, "connector joined") {
		t.Errorf("got log %s, want the join and no secret", s)
	}
	err := filepath.WalkDir(g.dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		if strings.Contains(string(b), sec) {
			t.Errorf("%s holds the token's secret", p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNewTokenRefusals(t *testing.T) {
	a := openAuthority(t, t.TempDir(), nil)
	gw := []string{gatewayAddr}
	for _, c := range []struct {
		name, location string
		gateways       []string
		ttl            time.Duration
		text, hint     string
	}{
		{"location", "plant 1", gw, 0, `location "plant 1" is not a name`, "letters, digits"},
		{"no-gateway", "plant1", nil, 0, "names 0 gateway addresses", "--address HOST:PORT"},
		{"no-port", "plant1", []string{"gateway.example.com"}, 0, `"gateway.example.com" is not host:port`, "gateway.example.com:443"},
		{"too-long", "plant1", slicesOf(strings.Repeat("g", 240)+":1", 16), 0, "too long for one token", "fewer addresses"},
		{"too-brief", "plant1", gw, time.Second, "cannot live 1s", "between 1m and 168h"},
		{"for-ever", "plant1", gw, 1 << 60, "cannot live", "between 1m and 168h"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := a.NewToken(c.location, c.gateways, c.ttl)
			wantFault(t, err, fault.Invalid, c.text, c.hint)
		})
	}
}
