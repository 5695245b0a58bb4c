package ftpclient_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/testkit"
)

// BenchmarkSmallFiles reads files of 4 KiB one after the other over one
// connection.
func BenchmarkSmallFiles(b *testing.B) {
	for _, s := range realServers {
		for _, mode := range []ftpclient.Security{ftpclient.Plain, ftpclient.Explicit} {
			b.Run(s.name+"-"+mode.String(), func(b *testing.B) {
				var opts testkit.ServerOptions
				if mode == ftpclient.Explicit {
					opts.TLS = &testkit.ServerTLS{}
				}
				srv := s.start(b, opts)
				const files = 2000
				for i := range files {
					if err := os.WriteFile(filepath.Join(srv.Home, fmt.Sprint(i)), make([]byte, 4096), 0o600); err != nil {
						b.Fatal(err)
					}
				}
				srv.Own(b)
				c := dial(b, configFor(srv))
				i := 0
				for b.Loop() {
					d, err := c.Retr(b.Context(), fmt.Sprint(i%files), 0)
					if err != nil {
						b.Fatal(err)
					}
					if n, err := io.Copy(io.Discard, d); err != nil || n != 4096 || d.Close() != nil {
						b.Fatalf("%d bytes, %v", n, err)
					}
					i++
				}
				b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "files/s")
			})
		}
	}
}

// BenchmarkLargeFile reads and writes one file, between the server and a file.
func BenchmarkLargeFile(b *testing.B) {
	const size = 512 << 20
	for _, mode := range []ftpclient.Security{ftpclient.Plain, ftpclient.Explicit} {
		for _, way := range []string{"down", "up"} {
			b.Run(way+"-"+mode.String(), func(b *testing.B) {
				var opts testkit.ServerOptions
				if mode == ftpclient.Explicit {
					opts.TLS = &testkit.ServerTLS{}
				}
				srv := testkit.Vsftpd(b, opts)
				local := filepath.Join(b.TempDir(), "local")
				for _, name := range []string{local, filepath.Join(srv.Home, "large")} {
					if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
						b.Fatal(err)
					}
				}
				srv.Own(b)
				c := dial(b, configFor(srv))
				b.SetBytes(size)
				for b.Loop() {
					if err := moveLarge(b, c, way, local); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func moveLarge(b *testing.B, c *ftpclient.Conn, way, local string) error {
	b.Helper()
	f, err := os.OpenFile(local, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if way == "down" {
		d, err := c.Retr(b.Context(), "large", 0)
		if err != nil {
			return err
		}
		if _, err := io.Copy(f, d); err != nil {
			return err
		}
		return d.Close()
	}
	u, err := c.Stor(b.Context(), "large", 0)
	if err != nil {
		return err
	}
	if _, err := io.Copy(u, f); err != nil {
		return err
	}
	return u.Commit()
}
