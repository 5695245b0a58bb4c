package ftpclient_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/testkit"
)

// story reads, lists and writes.
func story(t *testing.T, a *ftptest.Awkward, c *ftpclient.Conn) {
	t.Helper()
	if got, err := read(t.Context(), c, "f", 0); err != nil || got != "content" {
		t.Errorf("read: got %q, %v", got, err)
	}
	if got, err := read(t.Context(), c, "f", 3); err != nil || got != "tent" {
		t.Errorf("read from 3: got %q, %v", got, err)
	}
	if n, err := count(t.Context(), c, ""); err != nil || n != len(a.Names()) {
		t.Errorf("list: %d entries, %v", n, err)
	}
	if err := write(t.Context(), c, "up", "x", 0); err != nil {
		t.Errorf("write: %v", err)
	}
	if got, _ := a.File("up"); got != "x" {
		t.Errorf("stored %q", got)
	}
	if _, err := read(t.Context(), c, "none", 0); fault.KindOf(err) != fault.NotFound {
		t.Errorf("read what is not there: %v", err)
	}
}

func TestImplicit(t *testing.T) {
	for name, answers := range map[string]map[string]string{
		"rfc4217": nil,
		"older":   {"PBSZ": "500 what?\r\n", "PROT": "503 later\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &ftptest.Awkward{TLS: tlsPlease, Implicit: true, Files: map[string]string{"f": "content"}}
			a.Quirks.Answers = answers
			a.Quirks.AlwaysPrivate = true
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				cfg.Security = ftpclient.Implicit
				dialIn(t, cfg, func(c *ftpclient.Conn) { story(t, a, c) })
			})
			if slices.Contains(a.Commands(), "AUTH") {
				t.Error("AUTH was sent")
			}
		})
	}
	t.Run("of-a-plain-server", func(t *testing.T) {
		onAwkward(t, &ftptest.Awkward{}, func(t *testing.T, cfg ftpclient.Config) {
			cfg.Security = ftpclient.Implicit
			_, err := ftpclient.Dial(t.Context(), cfg)
			if err == nil || !strings.Contains(fault.HintOf(err), "ftpes") {
				t.Errorf("got %v, hint %q", err, fault.HintOf(err))
			}
		})
	})
}

func TestAccountAndVirtualHost(t *testing.T) {
	a := &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{
		"PASS": "332 account?\r\n", "ACCT": "230 come in\r\n", "HOST": "220 that is me\r\n",
	}}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		cfg.Account, cfg.VirtualHost = secret.New("geheimer"), "ftp.example.com"
		dialIn(t, cfg, func(*ftpclient.Conn) {})
		want := []string{"HOST", "USER", "PASS", "ACCT"}
		if got := a.Commands(); !slices.Equal(got[:4], want) {
			t.Errorf("got %v, want %v first", got, want)
		}
	})
	a = &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{"HOST": "504 nobody of that name\r\n"}}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		cfg.VirtualHost = "ftp.example.com"
		_, err := ftpclient.Dial(t.Context(), cfg)
		if err == nil || slices.Contains(a.Commands(), "USER") || !strings.Contains(err.Error(), "ftp.example.com") {
			t.Errorf("got %v after %v", err, a.Commands())
		}
	})
}

func TestPlausible(t *testing.T) {
	for _, row := range []struct {
		announced, peer string
		want            bool
	}{
		{"192.0.2.9", "192.0.2.1", true}, // a second host, meant
		{"10.0.0.5", "192.0.2.1", false}, // the address behind its NAT
		{"10.0.0.5", "10.0.0.4", true},
		{"10.0.0.5", "127.0.0.1", true},
		{"127.0.0.1", "192.0.2.1", false},
		{"100.64.3.4", "192.0.2.1", false},
		{"169.254.3.4", "192.0.2.1", false},
		{"0.0.0.0", "10.0.0.1", false},
		{"224.0.0.1", "10.0.0.1", false},
		{"255.255.255.255", "10.0.0.1", false},
		{"10.0.0.5", "", false}, // by a virtual name
		{"192.0.2.9", "", true},
	} {
		var peer netip.Addr
		if row.peer != "" {
			peer = netip.MustParseAddr(row.peer)
		}
		if got := ftpclient.Plausible(netip.MustParseAddr(row.announced), peer); got != row.want {
			t.Errorf("%s from a server at %q: got %v", row.announced, row.peer, got)
		}
	}
}

// TestPasvAddress looks where data connections go for each rule and each lie.
func TestPasvAddress(t *testing.T) {
	for _, row := range []struct {
		rule ftpclient.PasvAddress
		liar string
		want string
	}{
		{ftpclient.ControlHost, "10.9.9.9", "127.0.0.1"},
		{ftpclient.ControlHost, "203.0.113.7", "127.0.0.1"},
		{ftpclient.AutoPasv, "10.9.9.9", "10.9.9.9"},
		{ftpclient.AutoPasv, "0.0.0.0", "127.0.0.1"},
		{ftpclient.TrustPasv, "0.0.0.0", "0.0.0.0"},
		{ftpclient.TrustPasv, "203.0.113.7", "203.0.113.7"},
	} {
		t.Run(row.rule.String()+"-"+row.liar, func(t *testing.T) {
			a := &ftptest.Awkward{Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{Liar: netip.MustParseAddr(row.liar)}}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				cfg.PasvAddress, cfg.Mode = row.rule, ftpclient.PasvMode
				var dialled []string
				dial := cfg.Dial
				cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					host, port, _ := net.SplitHostPort(addr)
					dialled = append(dialled, host)
					return dial(ctx, network, net.JoinHostPort("127.0.0.1", port))
				}
				dialIn(t, cfg, func(c *ftpclient.Conn) {
					if got, err := read(t.Context(), c, "f", 0); err != nil || got != "content" {
						t.Errorf("got %q, %v", got, err)
					}
				})
				if len(dialled) != 2 || dialled[1] != row.want {
					t.Errorf("dialled %v, want %s for the data", dialled, row.want)
				}
				if slices.Contains(a.Commands(), "EPSV") {
					t.Error("EPSV was sent")
				}
			})
		})
	}
}

// TestHabitEPSV holds that a server is asked for EPSV once, not once per connection.
func TestHabitEPSV(t *testing.T) {
	a := &ftptest.Awkward{Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{NoEPSV: true}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		cfg.Habits = &ftpclient.Habits{}
		for range 3 {
			dialIn(t, cfg, func(c *ftpclient.Conn) {
				if got, err := read(t.Context(), c, "f", 0); err != nil || got != "content" {
					t.Errorf("got %q, %v", got, err)
				}
			})
		}
		n := 0
		for _, verb := range a.Commands() {
			if verb == "EPSV" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("EPSV was sent %d times", n)
		}
	})
}

// inActive makes a configuration of active mode within a test's own network.
func inActive(a *ftptest.Awkward, cfg ftpclient.Config) ftpclient.Config {
	cfg.Mode = ftpclient.ActiveMode
	cfg.Active.Listen = a.Network.Listen
	return cfg
}

func TestActive(t *testing.T) {
	for _, secured := range []bool{false, true} {
		for _, noPORT := range []bool{false, true} {
			a := &ftptest.Awkward{Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{NoPORT: noPORT}}
			if secured {
				a.TLS = tlsPlease
			}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				cfg = inActive(a, cfg)
				cfg.Active.MinPort, cfg.Active.MaxPort = 4000, 4009
				dialIn(t, cfg, func(c *ftpclient.Conn) {
					for range 10 {
						story(t, a, c)
					}
				})
			})
			for _, verb := range a.Commands() {
				if verb == "EPSV" || verb == "PASV" || verb == "EPRT" && !noPORT {
					t.Errorf("%s was sent", verb)
				}
			}
		}
	}
}

// TestActiveNobodyComes: the server says that it begins and does not connect.
func TestActiveNobodyComes(t *testing.T) {
	a := &ftptest.Awkward{
		Files:  map[string]string{"f": "content"},
		Quirks: ftptest.Quirks{Answers: map[string]string{"RETR": "150 here it comes\r\n"}},
	}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		dialIn(t, inActive(a, cfg), func(c *ftpclient.Conn) {
			began := time.Now()
			_, err := read(t.Context(), c, "f", 0)
			if fault.KindOf(err) != fault.TimedOut || !strings.Contains(fault.HintOf(err), "passive") {
				t.Errorf("got %v (%v), hint %q", err, fault.KindOf(err), fault.HintOf(err))
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("took %v", took)
			}
			if !c.Usable() {
				t.Error("the connection is in step and was given up")
			}
		})
	})
}

// TestActiveStranger: a data connection from another address than the server's is
// hung up on and the server's own is taken.
func TestActiveStranger(t *testing.T) {
	elsewhere := func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		return d.DialContext(ctx, network, addr)
	}
	a := &ftptest.Awkward{Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{Stranger: elsewhere}}
	cfg := ftpclient.Config{Addr: a.Start(t), User: "me", Password: secret.New("x"), Mode: ftpclient.ActiveMode}
	dialIn(t, cfg, func(c *ftpclient.Conn) { story(t, a, c) })
}

// TestActiveWithoutAddress: a way that has no address of this machine's at its end.
func TestActiveWithoutAddress(t *testing.T) {
	a := &ftptest.Awkward{Files: map[string]string{"f": "content"}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		dial := cfg.Dial
		cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := dial(ctx, network, addr)
			return nameless{nc}, err
		}
		dialIn(t, inActive(a, cfg), func(c *ftpclient.Conn) {
			if _, err := read(t.Context(), c, "f", 0); fault.KindOf(err) != fault.Unsupported || fault.HintOf(err) == "" {
				t.Errorf("got %v (%v)", err, fault.KindOf(err))
			}
		})
	})
}

type nameless struct{ net.Conn }

func (nameless) LocalAddr() net.Addr { return &net.UnixAddr{Name: "tunnel", Net: "unix"} }

// TestTrust goes through the ways of verifying a server, and of being verified.
func TestTrust(t *testing.T) {
	certs := testCerts(t)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certs.CA.Raw}))
	der, err := x509.MarshalPKCS8PrivateKey(certs.Leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	leaf := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certs.Leaf.Certificate[0]}))
	pin := ftpclient.PinOf(certs.Leaf.Leaf)
	for name, row := range map[string]struct {
		trust  ftpclient.Trust
		client tls.ClientAuthType
		kind   fault.Kind // Internal: it works
	}{
		"ca":            {ftpclient.Trust{CA: ca}, 0, fault.Internal},
		"ca-other-name": {ftpclient.Trust{CA: ca, ServerName: "ftp.example.com"}, 0, fault.Denied},
		"system":        {ftpclient.Trust{}, 0, fault.Denied},
		"pin":           {ftpclient.Trust{Pin: pin}, 0, fault.Internal},
		"pin-colons":    {ftpclient.Trust{Pin: colons(pin)}, 0, fault.Internal},
		"pin-other":     {ftpclient.Trust{Pin: "sha256:" + strings.Repeat("00", 32)}, 0, fault.Denied},
		"off":           {ftpclient.Trust{Unverified: true, ServerName: "nobody"}, 0, fault.Internal},
		"client":        {ftpclient.Trust{CA: ca, Certificate: leaf, Key: secret.New(string(key))}, tls.RequireAnyClientCert, fault.Internal},
		"no-client":     {ftpclient.Trust{CA: ca}, tls.RequireAnyClientCert, fault.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			a := &ftptest.Awkward{TLS: tlsPlease, Files: map[string]string{"f": "content"}}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				a.TLS.ClientAuth = row.client
				conf, err := row.trust.Config()
				if err != nil {
					t.Fatal(err)
				}
				conf.Time = certTime
				cfg.TLS = conf
				c, err := ftpclient.Dial(t.Context(), cfg)
				if err != nil {
					if row.kind == fault.Internal || fault.KindOf(err) != row.kind {
						t.Errorf("got %v (%v)", err, fault.KindOf(err))
					}
					if slices.Contains(a.Commands(), "USER") {
						t.Error("USER was sent")
					}
					return
				}
				if row.kind != fault.Internal {
					t.Error("it was accepted")
				}
				story(t, a, c) // with a pin, data connections resume sessions
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
	for name, bad := range map[string]ftpclient.Trust{
		"two-ways": {CA: ca, Unverified: true},
		"no-pem":   {CA: "hello"},
		"half-pin": {Pin: "sha256:00"},
		"no-key":   {Certificate: leaf},
	} {
		if _, err := bad.Config(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// colons writes a pin as openssl does.
func colons(pin string) string {
	digits := strings.ToUpper(strings.TrimPrefix(pin, "sha256:"))
	var b strings.Builder
	for i := 0; i < len(digits); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(digits[i : i+2])
	}
	return b.String()
}

// TestActiveRealServers runs active mode against real servers.
func TestActiveRealServers(t *testing.T) {
	onRealServers(t, func(t *testing.T, srv *testkit.FTPServer, cfg ftpclient.Config) {
		cfg.Mode = ftpclient.ActiveMode
		c := dial(t, cfg)
		for i := range 10 {
			put(t, c, "up", strings.Repeat("x", i*1000), 0)
			if got := get(t, c, "up", 0); len(got) != i*1000 {
				t.Fatalf("got %d bytes, want %d", len(got), i*1000)
			}
		}
		if n := len(list(t, c, "")); n != 1 {
			t.Errorf("listed %d entries", n)
		}
		wantFile(t, srv, "up", strings.Repeat("x", 9000))
	})
}
