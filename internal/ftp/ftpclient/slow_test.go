package ftpclient_test

import (
	"crypto/tls"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/testkit"
)

// TestSlowIsNotStalled moves files for longer than the stall timeout, with pauses
// shorter than it. In fake time the data goes through buffers of ours.
func TestSlowIsNotStalled(t *testing.T) {
	a := &ftptest.Awkward{
		Files:  map[string]string{"f": strings.Repeat("content", 1000)},
		Quirks: ftptest.Quirks{Slow: 50 * time.Second},
	}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		cfg.Timeouts.Stall = 60 * time.Second
		dialIn(t, cfg, func(c *ftpclient.Conn) {
			if got, err := read(t.Context(), c, "f", 0); err != nil || got != a.Files["f"] {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			want := strings.Repeat("upload", 1<<20)
			if err := write(t.Context(), c, "up", want, 0); err != nil {
				t.Error(err)
			}
			if got, _ := a.File("up"); got != want {
				t.Errorf("stored %d bytes, want %d", len(got), len(want))
			}
		})
	})
}

// TestSlowInTheKernel is the same over TCP, where files go through the kernel.
func TestSlowInTheKernel(t *testing.T) {
	testkit.NoLeaks(t)
	content := strings.Repeat("0123456789abcdef", 1<<20)
	a := &ftptest.Awkward{Files: map[string]string{"f": content}, Quirks: ftptest.Quirks{Slow: 150 * time.Millisecond}}
	c := dial(t, ftpclient.Config{
		Addr: a.Start(t), User: "me", Password: secret.New("x"),
		Timeouts: ftpclient.Timeouts{Stall: time.Second},
	})
	name := filepath.Join(t.TempDir(), "f")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := c.Retr(t.Context(), "f", 0)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(f, d); err != nil || n != int64(len(content)) || d.Close() != nil {
		t.Fatalf("received %d bytes, %v", n, err)
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != content {
		t.Errorf("the file has %d bytes and differs, %v", len(b), err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	u, err := c.Stor(t.Context(), "up", 0)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(u, f); err != nil || n != int64(len(content)) {
		t.Fatalf("sent %d bytes, %v", n, err)
	}
	if err := u.Commit(); err != nil {
		t.Fatal(err)
	}
	if got, _ := a.File("up"); got != content {
		t.Errorf("stored %d bytes, which differ", len(got))
	}
}

// TestReuseRefused is what vsftpd does to a client that does not resume: both
// handshakes succeed, and only the reply says why there is no data.
func TestReuseRefused(t *testing.T) {
	const why = "522 SSL connection failed: session reuse required\r\n{hang up}"
	a := &ftptest.Awkward{
		TLS: tlsPlease, Files: map[string]string{"f": "content"},
		Quirks: ftptest.Quirks{NoCloseNotify: true, Die: &ftptest.Death{Reply: why, Reset: true}},
	}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		for name, try := range map[string]func(c *ftpclient.Conn) error{
			"download": func(c *ftpclient.Conn) error { _, err := read(t.Context(), c, "f", 0); return err },
			"upload":   func(c *ftpclient.Conn) error { return write(t.Context(), c, "up", "x", 0) },
		} {
			dialIn(t, cfg, func(c *ftpclient.Conn) {
				if err := try(c); err == nil || !strings.Contains(err.Error(), "session reuse required") {
					t.Errorf("%s: got %v, want the server's reason", name, err)
				}
			})
		}
	})
}

// TestResumes counts what the server sees: each data connection resumes the
// session of its own control connection, whatever the others do.
func TestResumes(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			a := &ftptest.Awkward{TLS: tlsPlease, Files: map[string]string{"f": "content"}}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				var full, resumed int
				cfg.TLS = cfg.TLS.Clone()
				cfg.TLS.MaxVersion = version
				cfg.TLS.VerifyConnection = func(s tls.ConnectionState) error {
					if s.DidResume {
						resumed++
					} else {
						full++
					}
					return nil
				}
				for range 2 {
					dialIn(t, cfg, func(c *ftpclient.Conn) {
						for range 25 {
							if _, err := read(t.Context(), c, "f", 0); err != nil {
								t.Fatal(err)
							}
							if err := write(t.Context(), c, "up", "x", 0); err != nil {
								t.Fatal(err)
							}
						}
					})
				}
				if full != 2 || resumed != 100 {
					t.Errorf("%d full handshakes and %d resumed ones, want 2 and 100", full, resumed)
				}
			})
		})
	}
}
