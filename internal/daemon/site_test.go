package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport.dev/internal/config"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/secret"
)

// runSite runs a document of one site, whose path is %s in it, over a folder with
// files, each with its own name as content. Its passwords are "pw".
func runSite(t *testing.T, document string, files ...string) (login func(user string) (*ftpclient.Conn, error), dir string) {
	t.Helper()
	t.Setenv("PW", "pw")
	dir = t.TempDir()
	for _, f := range files {
		full := filepath.Join(dir, filepath.FromSlash(f))
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(f), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	doc, err := config.Parse("sallyport.yaml", []byte(fmt.Sprintf(document, filepath.ToSlash(dir))))
	if err != nil {
		t.Fatal(err)
	}
	network := &memnet.Network{}
	ctx, cancel := context.WithCancel(t.Context())
	addr, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, &doc.Config, Options{Network: network, Stateless: true, Listening: func(_, a string) { addr <- a }})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	var at string
	select {
	case at = <-addr:
	case err := <-ended:
		t.Fatal(err)
	}
	return func(user string) (*ftpclient.Conn, error) {
		c, err := ftpclient.Dial(t.Context(), ftpclient.Config{Dial: network.Dial, Addr: at, User: user, Password: secret.New("pw")})
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
		}
		return c, err
	}, dir
}

func list(t *testing.T, c *ftpclient.Conn, folder string) string {
	t.Helper()
	var names []string
	for e, err := range c.List(t.Context(), folder) {
		if err != nil {
			return err.Error()
		}
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func fetch(t *testing.T, c *ftpclient.Conn, name string) (string, error) {
	t.Helper()
	d, err := c.Retr(t.Context(), name, 0)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(d)
	return string(b), errors.Join(err, d.Close())
}

// refused reports whether the site said that the account may not.
func refused(err error) bool { return err != nil && strings.Contains(err.Error(), `550 "You may not`) }

// TestAuthorization: three accounts of one site, each with what rules give it.
func TestAuthorization(t *testing.T) {
	login, dir := runSite(t, `
accounts:
  - {name: erp, password: env:PW, groups: [interfaces]}
  - {name: partner, password: env:PW}
  - {name: stranger, password: env:PW}
sites:
  - name: s
    path: %s
    listen: 127.0.0.1:0
    authorization:
      - {allow: ["@interfaces"], permissions: [read, write]}
      - {deny: ["*"], path: /audit, permissions: [write]}
      - {allow: [partner], path: /partner, permissions: [read]}
      - {allow: [partner], path: /partner/in, permissions: [write]}
      - {deny: [partner], path: /partner/in, permissions: [read]}
      - {allow: ["?"], path: /public, permissions: [read]}
`, "audit/log", "partner/out/order", "partner/in/sent", "public/f", "own")
	erp, err := login("erp")
	if err != nil {
		t.Fatal(err)
	}
	if got := list(t, erp, "/"); got != "audit own partner public" {
		t.Errorf("erp sees %q", got)
	}
	if err := erp.Delete(t.Context(), "/audit/log"); !refused(err) {
		t.Errorf("erp deletes what it may not: %v", err)
	}
	if got, err := fetch(t, erp, "/audit/log"); err != nil || got != "audit/log" {
		t.Errorf("erp reads the log: %q, %v", got, err)
	}
	partner, err := login("partner")
	if err != nil {
		t.Fatal(err)
	}
	for folder, want := range map[string]string{"/": "partner", "/partner": "in out", "/partner/out": "order", "/partner/in": ""} {
		if got := list(t, partner, folder); got != want {
			t.Errorf("the partner sees %q in %s, want %q", got, folder, want)
		}
	}
	if _, err := fetch(t, partner, "/partner/in/sent"); !refused(err) {
		t.Errorf("the partner reads from his drop box: %v", err)
	}
	up, err := partner.Stor(t.Context(), "/partner/in/new", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(up, "new"); err != nil {
		t.Fatal(err)
	}
	if err := up.Commit(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "partner/in/new")); err != nil || string(b) != "new" {
		t.Errorf("dropped: %q, %v", b, err)
	}
	if err := partner.Rename(t.Context(), "/partner/in/new", "/partner/out/new"); !refused(err) {
		t.Errorf("the partner moves what he may not: %v", err)
	}
	if _, err := login("stranger"); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("a stranger logs in: %v", err)
	}
	anybody, err := login("anonymous")
	if err != nil {
		t.Fatal(err)
	}
	if got := list(t, anybody, "/"); got != "public" {
		t.Errorf("the anonymous see %q", got)
	}
}

// TestHomes gives each account its folder: as all it sees, or to start in.
func TestHomes(t *testing.T) {
	const document = `
accounts: [{name: bob, password: env:PW}, {name: eve, password: env:PW}]
sites:
  - {name: s, path: "%%s", listen: 127.0.0.1:0, anonymous: true, homes: {folder: "/users/${user}", anonymous: /public, %s}}
`
	files := []string{"users/bob/f", "public/p", "top"}
	t.Run("isolated", func(t *testing.T) {
		login, _ := runSite(t, fmt.Sprintf(document, "create: false"), files...)
		bob, err := login("bob")
		if err != nil {
			t.Fatal(err)
		}
		if pwd, err := bob.Pwd(t.Context()); err != nil || pwd != "/" {
			t.Errorf("bob is in %q, %v", pwd, err)
		}
		if got := list(t, bob, "/"); got != "f" {
			t.Errorf("bob sees %q", got)
		}
		if got, err := fetch(t, bob, "/../../top"); err == nil {
			t.Errorf("bob reads %q", got)
		}
		if _, err := login("eve"); err == nil || !strings.Contains(err.Error(), "no folder") {
			t.Errorf("eve has no home: %v", err)
		}
		anybody, err := login("anonymous")
		if err != nil {
			t.Fatal(err)
		}
		if got := list(t, anybody, "/"); got != "p" {
			t.Errorf("the anonymous see %q", got)
		}
	})
	t.Run("made", func(t *testing.T) {
		login, dir := runSite(t, fmt.Sprintf(document, "create: true"), files...)
		if _, err := login("eve"); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(filepath.Join(dir, "users/eve")); err != nil || !info.IsDir() {
			t.Errorf("eve's home: %v", err)
		}
	})
	t.Run("start", func(t *testing.T) {
		login, _ := runSite(t, fmt.Sprintf(document, "isolate: false"), files...)
		for user, want := range map[string]string{"bob": "/users/bob", "eve": "/"} {
			c, err := login(user)
			if err != nil {
				t.Fatal(err)
			}
			if pwd, err := c.Pwd(t.Context()); err != nil || pwd != want {
				t.Errorf("%s starts in %q, %v; want %q", user, pwd, err, want)
			}
			if got, err := fetch(t, c, "/top"); err != nil || got != "top" {
				t.Errorf("%s reads %q, %v", user, got, err)
			}
		}
	})
}
