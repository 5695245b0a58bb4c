package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sallyport.dev/internal/api"
	"sallyport.dev/internal/config"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/secret"
)

// reloaded runs a document that a test changes while it runs.
type reloaded struct {
	t   *testing.T
	net memnet.Network
	run *Running

	mu   sync.Mutex // guards the following
	text string
}

func runReloaded(t *testing.T, text string) *reloaded {
	t.Helper()
	r := &reloaded{t: t, text: text}
	doc, err := r.load()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	started, ended := make(chan *Running, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, &doc.Config, Options{Network: &r.net, Stateless: true, Load: r.load, Started: func(run *Running) { started <- run }})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case r.run = <-started:
	case err := <-ended:
		t.Fatal(err)
	}
	return r
}

func (r *reloaded) load() (*config.Document, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return config.Parse("sallyport.yaml", []byte(r.text))
}

func (r *reloaded) reload(text string) (api.Reloaded, error) {
	r.mu.Lock()
	r.text = text
	r.mu.Unlock()
	return r.run.w.reload(r.t.Context())
}

func (r *reloaded) login(addr, user, password string) (*ftpclient.Conn, error) {
	c, err := ftpclient.Dial(r.t.Context(), ftpclient.Config{Dial: r.net.Dial, Addr: addr, User: user, Password: secret.New(password)})
	if err == nil {
		r.t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

// TestReload changes a document under sessions: they go on, and who comes after has
// the new passwords, rules and folders. What cannot be changes nothing.
func TestReload(t *testing.T) {
	t.Setenv("OLD", "old")
	t.Setenv("NEW", "new")
	dir := t.TempDir()
	for _, f := range []string{"one/a", "two/b"} {
		full := filepath.Join(dir, f)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(f), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	document := func(password string, sites ...string) string {
		return "accounts: [{name: anna, password: env:" + password + "}]\nsites:\n" + strings.ReplaceAll(strings.Join(sites, ""), "DIR", filepath.ToSlash(dir))
	}
	const one, two = "  - {name: one, path: DIR/one, listen: 127.0.0.1:2101}\n", "  - {name: two, path: DIR/two, listen: 127.0.0.1:2102}\n"
	r := runReloaded(t, document("OLD", one, two))
	old, err := r.login("127.0.0.1:2101", "anna", "old")
	if err != nil {
		t.Fatal(err)
	}
	leaving, err := r.login("127.0.0.1:2102", "anna", "old")
	if err != nil {
		t.Fatal(err)
	}
	half, err := leaving.Retr(t.Context(), "/b", 0) // a transfer that runs
	if err != nil {
		t.Fatal(err)
	}

	for name, text := range map[string]string{
		"a fault":           "sites: [{nam: one}]",
		"no folder":         document("NEW", one, "  - {name: three, path: DIR/none, listen: 127.0.0.1:2103}\n"),
		"no password":       document("NOBODY_SET_IT", one, two),
		"TLS before a word": document("NEW", "  - {name: one, path: DIR/one, listen: 127.0.0.1:2101, tls: {certificate: auto, implicit: true}}\n"),
	} {
		if did, err := r.reload(text); err == nil {
			t.Errorf("%s: did %+v", name, did)
		}
		if _, err := r.login("127.0.0.1:2101", "anna", "old"); err != nil {
			t.Errorf("%s: changed something: %v", name, err)
		}
	}

	did, err := r.reload(document("NEW",
		"  - {name: one, path: DIR/two, listen: 127.0.0.1:2101, authorization: [{allow: [anna], permissions: [read]}]}\n",
		"  - {name: three, path: DIR/one, listen: 127.0.0.1:2103}\n"))
	slices.Sort(did.Sites)
	if got, want := fmt.Sprint(did.Sites, err), "[added three changed one removed two] <nil>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := list(t, old, "/"); got != "a" {
		t.Errorf("the session that runs sees %q", got)
	}
	if err := old.MakeDir(t.Context(), "/made"); err != nil {
		t.Errorf("the session that runs has lost its rights: %v", err)
	}
	if _, err := r.login("127.0.0.1:2101", "anna", "old"); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("the old password: %v", err)
	}
	fresh, err := r.login("127.0.0.1:2101", "anna", "new")
	if err != nil {
		t.Fatal(err)
	}
	if got := list(t, fresh, "/"); got != "b" {
		t.Errorf("a session to come sees %q", got)
	}
	if err := fresh.MakeDir(t.Context(), "/made"); err == nil {
		t.Error("a session to come has the old rights")
	}
	third, err := r.login("127.0.0.1:2103", "anna", "new")
	if err != nil {
		t.Fatal(err)
	}
	if got := list(t, third, "/"); got != "a made" {
		t.Errorf("the new site shows %q", got)
	}
	if _, err := r.login("127.0.0.1:2102", "anna", "old"); err == nil {
		t.Error("the site that is gone lets somebody in")
	}
	b := make([]byte, 8)
	if n, err := half.Read(b); string(b[:n]) != "two/b" {
		t.Errorf("the transfer of the site that is gone: got %q, %v", b[:n], err)
	}
	if err := half.Close(); err != nil {
		t.Errorf("the transfer of the site that is gone: %v", err)
	}
	names := []string{}
	for _, p := range r.run.w.status().Parts {
		names = append(names, p.Name+" "+p.Address)
	}
	if got, want := strings.Join(names, ", "), "one 127.0.0.1:2101, three 127.0.0.1:2103"; got != want {
		t.Errorf("status: got %s, want %s", got, want)
	}

	did, err = r.reload(document("NEW", one, two) + "flows: [{name: f, source: {local: {path: /x}}, sinks: [{local: {path: /y}}]}]\n")
	if err != nil || !slices.Equal(did.Restart, []string{"flows"}) {
		t.Errorf("back again: %+v, %v", did, err)
	}
	if _, err := r.login("127.0.0.1:2102", "anna", "new"); err != nil {
		t.Errorf("the site that came back: %v", err)
	}
}
