package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport.dev/internal/config"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/secret"
)

// runDocument runs the parts of text until the test ends, and returns the address of
// each binding in the order in which they were opened.
func runDocument(t *testing.T, text string) (listening map[string][]string, running *Running) {
	t.Helper()
	doc, err := config.Parse("sallyport.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range doc.Unserved("") {
		t.Errorf("%s", f)
	}
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan *Running, 1), make(chan error, 1)
	var mu sync.Mutex
	listening = map[string][]string{}
	go func() {
		ended <- Run(ctx, &doc.Config, Options{
			Stateless: true, Grace: 5 * time.Second,
			Started: func(r *Running) { started <- r },
			Listening: func(part, addr string) {
				mu.Lock()
				defer mu.Unlock()
				listening[part] = append(listening[part], addr)
			},
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case running = <-started:
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	return listening, running
}

// fetchBy reads one file through c, which ends up where it was told.
func fetchBy(t *testing.T, cfg ftpclient.Config) string {
	t.Helper()
	c, err := ftpclient.Dial(t.Context(), cfg)
	if err != nil {
		t.Errorf("at %s as %s of %q: %v", cfg.Addr, cfg.User, cfg.VirtualHost, err)
		return ""
	}
	defer c.Close()
	d, err := c.Retr(t.Context(), "f", 0)
	if err != nil {
		t.Errorf("at %s as %s of %q: %v", cfg.Addr, cfg.User, cfg.VirtualHost, err)
		return ""
	}
	b, err := io.ReadAll(d)
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		t.Errorf("at %s as %s of %q: %v", cfg.Addr, cfg.User, cfg.VirtualHost, err)
	}
	return string(b)
}

// TestBindings runs sites that share an address by names, and one at two addresses,
// the second of them implicit.
func TestBindings(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"first", "orders", "parts"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "f"), []byte("of "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("ANNA", "secret")
	shared := freeAddress(t)
	listening, running := runDocument(t, strings.NewReplacer("DIR", dir, "SHARED", shared).Replace(`
accounts: [{name: anna, password: env:ANNA}]
sites:
  - {name: first, path: DIR/first, listen: "SHARED", messages: {greeting: "Welcome %UserName% at %SiteName%"}}
  - name: orders
    path: DIR/orders
    bindings: [{listen: "SHARED", host: Orders.example.com}, {listen: "127.0.0.1:0", implicit: true}]
    tls: {certificate: auto, control: allow, data: allow, resumption: require}
    passive: {ports: 21100-21120}
  - {name: parts, path: DIR/parts, bindings: [{listen: "SHARED", host: parts.example.com}]}
`))
	for site, want := range map[string]int{"site first": 1, "site orders": 2, "site parts": 1} {
		if got := listening[site]; len(got) != want || got[0] != shared {
			t.Errorf("%s listens on %v, want %d, %s first", site, got, want, shared)
		}
	}
	cert, err := running.w.current()[1].server.TLS.Certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	plain := ftpclient.Config{Addr: shared, User: "anna", Password: secret.New("secret"), Dial: netx.System{}.Dial}
	with := func(change func(*ftpclient.Config)) ftpclient.Config {
		c := plain
		change(&c)
		return c
	}
	for want, c := range map[string]ftpclient.Config{
		"of first":  plain,
		"of parts":  with(func(c *ftpclient.Config) { c.VirtualHost = "parts.example.com" }),
		"of orders": with(func(c *ftpclient.Config) { c.VirtualHost = "ORDERS.example.com" }),
	} {
		if got := fetchBy(t, c); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for how, c := range map[string]ftpclient.Config{
		"the user's name": with(func(c *ftpclient.Config) { c.User = "orders.example.com|anna" }),
		"TLS": with(func(c *ftpclient.Config) {
			c.Security, c.TLS = ftpclient.Explicit, &tls.Config{RootCAs: roots, ServerName: "orders.example.com"}
		}),
		"its own address": with(func(c *ftpclient.Config) {
			c.Addr, c.Security, c.TLS = listening["site orders"][1], ftpclient.Implicit, &tls.Config{RootCAs: roots, ServerName: "localhost"}
		}),
	} {
		if got := fetchBy(t, c); got != "of orders" {
			t.Errorf("by %s: got %q", how, got)
		}
	}
	for _, p := range running.w.status().Parts {
		if p.Kind == "site" && p.Name == "orders" && !strings.HasSuffix(p.Doing, " of 10000 sessions, 21 of 21 passive ports free") {
			t.Errorf("status: got %q", p.Doing)
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := netx.System{}.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
