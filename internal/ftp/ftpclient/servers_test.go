package ftpclient_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/testkit"
)

// realServers are the servers, each in the modes that it has.
var realServers = []struct {
	name  string
	start func(testing.TB, testkit.ServerOptions) *testkit.FTPServer
}{
	{"vsftpd", testkit.Vsftpd},
	{"proftpd", testkit.Proftpd},
	{"pureftpd", testkit.Pureftpd},
}

// onRealServers runs f against every server, plain and with explicit TLS, which
// vsftpd and ProFTPD want resumed on data connections.
func onRealServers(t *testing.T, f func(t *testing.T, srv *testkit.FTPServer, cfg ftpclient.Config)) {
	for _, s := range realServers {
		for _, mode := range []ftpclient.Security{ftpclient.Plain, ftpclient.Explicit} {
			t.Run(s.name+"-"+mode.String(), func(t *testing.T) {
				testkit.NoLeaks(t)
				var opts testkit.ServerOptions
				if mode == ftpclient.Explicit {
					opts.TLS = &testkit.ServerTLS{}
				}
				srv := s.start(t, opts)
				f(t, srv, configFor(srv))
			})
		}
	}
}

func configFor(srv *testkit.FTPServer) ftpclient.Config {
	cfg := ftpclient.Config{Addr: srv.Addr, User: srv.User, Password: secret.New(srv.Password)}
	if srv.Certs != nil {
		cfg.Security = ftpclient.Explicit
		cfg.TLS = &tls.Config{RootCAs: srv.Certs.Pool, MinVersion: tls.VersionTLS12}
	}
	return cfg
}

func dial(t testing.TB, cfg ftpclient.Config) *ftpclient.Conn {
	t.Helper()
	c, err := ftpclient.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatalf("%v (hint: %s)", err, fault.HintOf(err))
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func get(t testing.TB, c *ftpclient.Conn, path string, offset int64) string {
	t.Helper()
	d, err := c.Retr(t.Context(), path, offset)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(d)
	if err := errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func put(t testing.TB, c *ftpclient.Conn, path, content string, offset int64) {
	t.Helper()
	u, err := c.Stor(t.Context(), path, offset)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(u, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if err := u.Commit(); err != nil {
		t.Fatal(err)
	}
}

func list(t testing.TB, c *ftpclient.Conn, dir string) map[string]ftp.Entry {
	t.Helper()
	got := map[string]ftp.Entry{}
	for e, err := range c.List(t.Context(), dir) {
		if err != nil {
			t.Fatal(err)
		}
		got[e.Name] = e
	}
	return got
}

func wantFile(t testing.TB, srv *testkit.FTPServer, name, content string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(srv.Home, name))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(content, string(b)); diff != "" {
		t.Errorf("%s on the server differs (-want +got):\n%.400s", name, diff)
	}
}

// oddNames are file names that clients trip over. The last is not UTF-8.
var oddNames = []string{
	"with space", " leading", "two  spaces", "-dash", "ümläut €", "a;b=c", "it's \"quoted\"", "100%", "#hash", "[a]*?", "na\xEFve",
}

func TestRealServers(t *testing.T) {
	onRealServers(t, func(t *testing.T, srv *testkit.FTPServer, cfg ftpclient.Config) {
		c := dial(t, cfg)
		t.Run("login-directory", func(t *testing.T) {
			if dir, err := c.Pwd(t.Context()); err != nil || dir != "/" {
				t.Errorf("got %q, %v", dir, err)
			}
		})
		t.Run("files", func(t *testing.T) { testFiles(t, srv, c) })
		t.Run("resume", func(t *testing.T) { testResume(t, srv, c) })
		t.Run("directories", func(t *testing.T) { testDirectories(t, srv, c) })
		t.Run("odd-names", func(t *testing.T) { testOddNames(t, srv, c) })
		t.Run("refusals", func(t *testing.T) { testRefusals(t, c) })
		t.Run("large", func(t *testing.T) { testLarge(t, srv, c) })
		t.Run("given-up", func(t *testing.T) { testGivenUp(t, srv, c) })
		if err := c.Quit(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func testFiles(t *testing.T, srv *testkit.FTPServer, c *ftpclient.Conn) {
	for name, content := range map[string]string{"empty": "", "one": "1", "lines": "a\r\nb\nc\r", "block": strings.Repeat("x", 65536)} {
		put(t, c, name, content, 0)
		wantFile(t, srv, name, content)
		if got := get(t, c, name, 0); got != content {
			t.Errorf("%s: got %d bytes, want %d", name, len(got), len(content))
		}
		if n, err := c.Size(t.Context(), name); err != nil || n != int64(len(content)) {
			t.Errorf("%s: size %d, %v; want %d", name, n, err, len(content))
		}
		mtime, err := c.ModTime(t.Context(), name)
		if age := time.Since(mtime); err != nil || age < -2*time.Second || age > time.Minute {
			t.Errorf("%s: time %v, %v", name, mtime, err)
		}
		e, err := c.Stat(t.Context(), name)
		if err != nil || e.Type != ftp.File || e.Size != int64(len(content)) || e.Name != name {
			t.Errorf("%s: stat %+v, %v", name, e, err)
		}
	}
	if c.Features().MFMT {
		when := time.Date(2020, 2, 29, 12, 34, 56, 0, time.UTC)
		if err := c.SetModTime(t.Context(), "one", when); err != nil {
			t.Error(err)
		}
		if got, err := c.ModTime(t.Context(), "one"); err != nil || !got.Equal(when) {
			t.Errorf("time set to %v, is %v, %v", when, got, err)
		}
	} else if err := c.SetModTime(t.Context(), "one", time.Now()); fault.KindOf(err) != fault.Unsupported {
		t.Errorf("set the time without MFMT: %v", err)
	}
	if err := c.Rename(t.Context(), "one", "two"); err != nil {
		t.Error(err)
	}
	wantFile(t, srv, "two", "1")
	if err := c.Delete(t.Context(), "two"); err != nil {
		t.Error(err)
	}
	if there, err := c.Exists(t.Context(), "two"); err != nil || there {
		t.Errorf("deleted file exists: %v, %v", there, err)
	}
	if there, err := c.Exists(t.Context(), "block"); err != nil || !there {
		t.Errorf("file exists: %v, %v", there, err)
	}
}

func testResume(t *testing.T, srv *testkit.FTPServer, c *ftpclient.Conn) {
	put(t, c, "part", "0123456789", 0)
	if got := get(t, c, "part", 4); got != "456789" {
		t.Errorf("got %q from byte 4", got)
	}
	put(t, c, "part", "abc", 10)
	wantFile(t, srv, "part", "0123456789abc")
	u, err := c.Append(t.Context(), "part")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write([]byte("def")); err != nil {
		t.Fatal(err)
	}
	if err := u.Commit(); err != nil {
		t.Fatal(err)
	}
	wantFile(t, srv, "part", "0123456789abcdef")
}

func testDirectories(t *testing.T, srv *testkit.FTPServer, c *ftpclient.Conn) {
	if err := c.MakeDir(t.Context(), "d"); err != nil {
		t.Fatal(err)
	}
	if got := list(t, c, "d"); len(got) != 0 {
		t.Errorf("new directory holds %v", got)
	}
	if err := c.MakeDir(t.Context(), "d/sub"); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		put(t, c, fmt.Sprintf("d/f%02d", i), strings.Repeat("x", i), 0)
	}
	got := list(t, c, "d")
	if len(got) != 31 || got["sub"].Type != ftp.Dir {
		t.Errorf("got %d entries, sub is %+v", len(got), got["sub"])
	}
	for i := range 30 {
		e := got[fmt.Sprintf("f%02d", i)]
		if e.Type != ftp.File || e.Size != int64(i) || time.Since(e.Time) > 25*time.Hour {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
	if e, err := c.Stat(t.Context(), "d"); err != nil || e.Type != ftp.Dir {
		t.Errorf("stat of a directory: %+v, %v", e, err)
	}
	// A loop that is left early leaves a connection that can go on.
	for _, err := range c.List(t.Context(), "d") {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if err := c.Noop(t.Context()); err != nil {
		t.Errorf("after a listing left early: %v", err)
	}
	if err := c.RemoveDir(t.Context(), "d"); err == nil {
		t.Error("a full directory was removed")
	}
	if err := c.RemoveDir(t.Context(), "d/sub"); err != nil {
		t.Error(err)
	}
	// Listings of what is not there, and of what may not be read, are no empty ones.
	for _, dir := range []string{"nowhere", "d/nowhere"} {
		if n, err := count(t.Context(), c, dir); err == nil {
			t.Errorf("list of %q, which is not there: %d entries and no error", dir, n)
		}
	}
	if err := os.Mkdir(filepath.Join(srv.Home, "closed"), 0o311); err != nil { // owned by root
		t.Fatal(err)
	}
	if n, err := count(t.Context(), c, "closed"); err == nil {
		t.Errorf("list of an unreadable directory: %d entries and no error", n)
	}
}

func count(ctx context.Context, c *ftpclient.Conn, dir string) (int, error) {
	n := 0
	for _, err := range c.List(ctx, dir) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func testOddNames(t *testing.T, srv *testkit.FTPServer, c *ftpclient.Conn) {
	if err := c.MakeDir(t.Context(), "-odd dir"); err != nil {
		t.Fatal(err)
	}
	for _, name := range oddNames {
		if strings.HasPrefix(name, "na\xEF") && c.Features().UTF8 {
			continue // servers that promise UTF-8 may refuse it
		}
		path := "-odd dir/" + name
		put(t, c, path, name, 0)
		wantFile(t, srv, path, name)
		if got := get(t, c, path, 0); got != name {
			t.Errorf("%q: got %q", name, got)
		}
		if _, ok := list(t, c, "-odd dir")[name]; !ok {
			t.Errorf("%q is not in the listing", name)
		}
		if err := c.Rename(t.Context(), path, path+"2"); err != nil {
			t.Error(err)
		}
		if err := c.Delete(t.Context(), path+"2"); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"a\r\nDELE block", "a\nb", "nul\x00"} {
		if _, err := c.Stor(t.Context(), name, 0); fault.KindOf(err) != fault.Invalid {
			t.Errorf("store %q: %v", name, err)
		}
		if err := c.Rename(t.Context(), "block", name); fault.KindOf(err) != fault.Invalid {
			t.Errorf("rename to %q: %v", name, err)
		}
		if n, err := count(t.Context(), c, name); fault.KindOf(err) != fault.Invalid {
			t.Errorf("list %q: %d, %v", name, n, err)
		}
	}
	if _, err := c.Size(t.Context(), "block"); err != nil {
		t.Errorf("after names that are none: %v", err)
	}
}

func testRefusals(t *testing.T, c *ftpclient.Conn) {
	if _, err := c.Retr(t.Context(), "not there", 0); fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), `"not there"`) {
		t.Errorf("read what is not there: %v (%v)", err, fault.KindOf(err))
	}
	if _, err := c.Stor(t.Context(), "no/such/dir/f", 0); err == nil {
		t.Error("wrote into a directory that is not there")
	}
	if err := c.Rename(t.Context(), "not there", "x"); err == nil {
		t.Error("renamed what is not there")
	}
	if !c.Usable() {
		t.Error("refusals broke the connection")
	}
}

const large = 32 << 20

func testLarge(t *testing.T, srv *testkit.FTPServer, c *ftpclient.Conn) {
	content := make([]byte, large)
	for i := range content {
		content[i] = byte(i * i >> 8)
	}
	dir := t.TempDir()
	src := filepath.Join(dir, "src")
	if err := os.WriteFile(src, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(src)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	u, err := c.Stor(t.Context(), "large", 0)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(u, f); n != large || err != nil {
		t.Fatalf("sent %d, %v", n, err)
	}
	if err := u.Commit(); err != nil {
		t.Fatal(err)
	}
	d, err := c.Retr(t.Context(), "large", 0)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if n, err := io.Copy(out, d); n != large || err != nil || d.Close() != nil {
		t.Fatalf("received %d, %v", n, err)
	}
	for _, name := range []string{filepath.Join(srv.Home, "large"), out.Name()} {
		if b, err := os.ReadFile(name); err != nil || !bytes.Equal(b, content) {
			t.Errorf("%s: %d bytes, %v: differs", name, len(b), err)
		}
	}
}

// testGivenUp gives transfers up half way; the connection goes on or says that it
// cannot, and an upload given up is never confirmed.
func testGivenUp(t *testing.T, srv *testkit.FTPServer, c *ftpclient.Conn) {
	d, err := c.Retr(t.Context(), "large", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Size(t.Context(), "large"); fault.KindOf(err) != fault.Busy {
		t.Errorf("a command in mid-transfer: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("give a download up: %v", err)
	}
	u, err := c.Stor(t.Context(), "cut", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := u.Abort(); err != nil {
		t.Errorf("give an upload up: %v", err)
	}
	if err := u.Commit(); err == nil {
		t.Error("an upload given up was committed")
	}
	if err := c.Noop(t.Context()); err != nil {
		t.Errorf("after transfers given up: %v", err)
	}
	_ = srv
}

// TestManyTransfers reads and writes in turn over one connection, 200 times; over
// TLS against servers that insist on resumption.
func TestManyTransfers(t *testing.T) {
	onRealServers(t, func(t *testing.T, srv *testkit.FTPServer, cfg ftpclient.Config) {
		c := dial(t, cfg)
		content := strings.Repeat("0123456789abcdef", 64)
		for i := range 100 {
			name := fmt.Sprintf("f%d", i%7)
			put(t, c, name, content, 0)
			if got := get(t, c, name, 0); got != content {
				t.Fatalf("transfer %d: got %d bytes", i, len(got))
			}
		}
		_ = srv
	})
}

// TestResumesReal counts, in 200 transfers in a row at either version of TLS, how many
// data connections resume the control connection's session: all, where the server
// gives tickets. vsftpd and ProFTPD refuse those that do not.
func TestResumesReal(t *testing.T) {
	for _, s := range realServers {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(s.name+"-"+strings.ReplaceAll(tls.VersionName(version), " ", "-"), func(t *testing.T) {
				testkit.NoLeaks(t)
				srv := s.start(t, testkit.ServerOptions{TLS: &testkit.ServerTLS{}})
				cfg := configFor(srv)
				cfg.TLS.MinVersion, cfg.TLS.MaxVersion = version, version
				full, resumed := 0, 0
				cfg.TLS.VerifyConnection = func(s tls.ConnectionState) error {
					if s.DidResume {
						resumed++
					} else {
						full++
					}
					return nil
				}
				c := dial(t, cfg)
				content := strings.Repeat("0123456789abcdef", 64)
				for i := range 100 {
					name := fmt.Sprintf("f%d", i%7)
					put(t, c, name, content, 0)
					if got := get(t, c, name, 0); got != content {
						t.Fatalf("transfer %d: got %d bytes", i, len(got))
					}
				}
				want := 200
				if s.name == "pureftpd" && version == tls.VersionTLS13 {
					want = 0 // it gives no tickets there
				}
				if resumed != want || full != 201-want {
					t.Errorf("%d resumed, %d full; want %d and %d", resumed, full, want, 201-want)
				}
			})
		}
	}
}
