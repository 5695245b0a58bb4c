package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/config"
	"sallyport.dev/internal/ftp/ftpclient"
)

// store uploads text as name.
func store(t *testing.T, c *ftpclient.Conn, name, text string) error {
	t.Helper()
	u, err := c.Stor(t.Context(), name, 0)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(u, text); err != nil {
		return errors.Join(err, u.Abort())
	}
	return u.Commit()
}

const oneSite = `
accounts: [{name: bob, password: env:PW}]
sites:
  - {name: s, path: "%%s", listen: 127.0.0.1:0, %s}
`

func mustLogin(t *testing.T, login func(string) (*ftpclient.Conn, error), user string) *ftpclient.Conn {
	t.Helper()
	c, err := login(user)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestExistingFiles: a site may keep what it has from uploads and from renaming.
func TestExistingFiles(t *testing.T) {
	login, dir := runSite(t, fmt.Sprintf(oneSite, "uploads: {existing: fail, rename_over: fail}"), "old", "other")
	bob := mustLogin(t, login, "bob")
	if err := store(t, bob, "/old", "new"); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("an upload over a file: %v", err)
	}
	if err := bob.Rename(t.Context(), "/other", "/old"); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("renaming over a file: %v", err)
	}
	if err := store(t, bob, "/new", "new"); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"old": "old", "other": "other", "new": "new"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
			t.Errorf("%s: got %q, %v", name, b, err)
		}
	}
}

// TestPartsOfCutUploads: they go, or stay and can be gone on with.
func TestPartsOfCutUploads(t *testing.T) {
	for policy, want := range map[string]string{"delete": "", "keep": "half and half"} {
		t.Run(policy, func(t *testing.T) {
			login, dir := runSite(t, fmt.Sprintf(oneSite, "uploads: {parts: "+policy+"}"))
			bob := mustLogin(t, login, "bob")
			u, err := bob.Stor(t.Context(), "/f", 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(u, "half "); err != nil {
				t.Fatal(err)
			}
			waitForPart(t, dir, "half ")
			_ = u.Abort() // that it says that it was cut is what is wanted
			if err := bob.Close(); err != nil {
				t.Log(err)
			}
			bob = mustLogin(t, login, "bob")
			waitNoPart(t, dir)
			size, err := bob.Size(t.Context(), "/f")
			if want == "" {
				if err == nil {
					t.Errorf("got %d bytes, want nothing there", size)
				}
				return
			}
			if err != nil || size != 5 {
				t.Fatalf("got %d, %v, want 5 bytes kept", size, err)
			}
			if u, err = bob.Stor(t.Context(), "/f", size); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(u, "and half"); err != nil {
				t.Fatal(err)
			}
			if err := u.Commit(); err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || string(b) != want {
				t.Errorf("got %q, %v, want %q", b, err, want)
			}
		})
	}
}

// hiddenIn lists the hidden files in dir.
func hiddenIn(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, ".sallyport-*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatal("waited in vain for " + what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func waitForPart(t *testing.T, dir, text string) {
	t.Helper()
	waitFor(t, "the part", func() bool {
		p := hiddenIn(t, dir)
		if len(p) != 1 {
			return false
		}
		b, err := os.ReadFile(p[0])
		return err == nil && string(b) == text
	})
}

func waitNoPart(t *testing.T, dir string) {
	t.Helper()
	waitFor(t, "the part to go", func() bool { return len(hiddenIn(t, dir)) == 0 })
}

// TestStaleParts: a site removes what crashes left, at its start and every day.
func TestStaleParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		part := func(n int, age time.Duration) string {
			name := filepath.Join(dir, fmt.Sprintf(".sallyport-%016x.part", n))
			when := time.Now().Add(-age)
			if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Chtimes(name, when, when)); err != nil {
				t.Fatal(err)
			}
			return name
		}
		stale, fresh := part(1, 25*time.Hour), part(2, time.Hour)
		w := &world{cfg: &config.Config{}, log: slog.New(slog.DiscardHandler), opts: Options{Stateless: true}}
		s, err := newSite(w, config.Site{Name: "s", Path: dir, Anonymous: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.sweep(ctx); close(ended) }()
		synctest.Wait()
		if got := hiddenIn(t, dir); len(got) != 1 || got[0] != fresh {
			t.Errorf("at the start: got %q, want %q gone", got, stale)
		}
		<-time.After(sweepEvery + time.Minute)
		if got := hiddenIn(t, dir); len(got) != 0 {
			t.Errorf("a day later: got %q, want none", got)
		}
		cancel()
		<-ended
		if err := s.tree.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestUploadOwner: whom the document names is found, or the site does not start.
func TestUploadOwner(t *testing.T) {
	for name, want := range map[string]string{"no-such-user-here": `find the user "no-such-user-here"`, "12x": `find the user "12x"`, "1000": ""} {
		p, err := writing(config.Site{Uploads: config.Uploads{Owner: name}})
		switch {
		case want == "" && (err != nil || p.Owner.UID != 1000 || p.Owner.GID != -1):
			t.Errorf("%s: got %+v, %v", name, p.Owner, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	if _, err := writing(config.Site{Uploads: config.Uploads{Group: "no-such-group-here"}}); err == nil {
		t.Error("a group that is not there: got no error")
	}
}

// TestAnonymous: either name in any letters, any password, to read; a rule may
// allow more.
func TestAnonymous(t *testing.T) {
	login, _ := runSite(t, fmt.Sprintf(oneSite, "anonymous: true"), "f")
	for _, name := range []string{"anonymous", "ftp", "Anonymous", "FTP"} {
		c := mustLogin(t, login, name)
		if got, err := fetch(t, c, "/f"); err != nil || got != "f" {
			t.Errorf("%s reads %q, %v", name, got, err)
		}
		if err := store(t, c, "/new", "x"); err == nil || !strings.Contains(err.Error(), "550") {
			t.Errorf("%s writes: %v", name, err)
		}
		if err := c.Delete(t.Context(), "/f"); err == nil {
			t.Errorf("%s deletes", name)
		}
	}
	login, dir := runSite(t, fmt.Sprintf(oneSite, `authorization: [{allow: ["?"], path: /incoming, permissions: [write]}, {allow: [bob], permissions: [read]}]`), "incoming/f", "g")
	c := mustLogin(t, login, "anonymous")
	if err := store(t, c, "/incoming/new", "x"); err != nil {
		t.Errorf("a drop box: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "incoming", "new")); err != nil || string(b) != "x" {
		t.Errorf("dropped: %q, %v", b, err)
	}
	for _, name := range []string{"/incoming/new", "/incoming/f", "/g"} {
		if got, err := fetch(t, c, name); err == nil {
			t.Errorf("the anonymous read %q of %s", got, name)
		}
	}
	if err := store(t, c, "/new", "x"); err == nil {
		t.Error("the anonymous write beside the drop box")
	}
}

// TestLooks: the document's words for listings in the server's.
func TestLooks(t *testing.T) {
	l := looks(config.Site{Listing: config.Listing{Style: config.ListDOS, Time: config.ListLocal, Hidden: config.HiddenHide}})
	if !l.DOS || l.Zone != time.Local || !l.HideDots {
		t.Errorf("got %+v", l)
	}
	l = looks(config.Site{Listing: config.Listing{Style: config.ListUnix, Time: config.ListUTC, Hidden: config.HiddenShow}})
	if l.DOS || l.Zone != nil || l.HideDots {
		t.Errorf("got %+v", l)
	}
}
