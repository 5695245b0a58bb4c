//go:build linux

package e2e_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/api"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/testkit"
)

// crossing is a gateway and a connector, joined, with what the connector exposes.
type crossing struct {
	gateway, connector *program
	socks              string // the gateway's SOCKS5 address
	state              string // the gateway's state folder
}

// cross starts a gateway and a connector on loopback.
func cross(t *testing.T, expose ...string) *crossing {
	t.Helper()
	dir := t.TempDir()
	c := &crossing{state: filepath.Join(dir, "cloud")}
	plant := filepath.Join(dir, "plant")
	c.gateway = start(t, "", "gateway", "run", "--listen", "127.0.0.1:0", "--socks", "127.0.0.1:0", "--state", c.state)
	addr := c.gateway.says(`listening on (\S+) \(gateway\)`)[1]
	c.socks = c.gateway.says(`listening on (\S+) \(socks5\)`)[1]
	token := mustRun(t, "", "", "gateway", "token", "--location", "plant1", "--address", addr, "--state", c.state).stdout
	mustRun(t, "", token, "connector", "join", "-", "--state", plant)
	args := []string{"connector", "run", "--state", plant}
	for _, e := range expose {
		args = append(args, "--expose", e)
	}
	c.connector = start(t, "", args...)
	c.connector.says(`connected to`)
	return c
}

// client logs in to addr at plant1 through the running gateway's control socket.
func (c *crossing) client(t *testing.T, addr string, srv *testkit.FTPServer) *ftpclient.Conn {
	t.Helper()
	via := &api.Client{Dir: c.state}
	conn, err := ftpclient.Dial(t.Context(), ftpclient.Config{
		Addr: addr, Dial: via.DialFunc("plant1"), User: srv.User, Password: secret.New(srv.Password),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// sample is one file of the real input that must pass unharmed.
type sample struct {
	name string
	size int64
}

var samples = []sample{
	{"empty", 0},
	{"one byte", 1},
	{"-leading-dash.csv", 4096},
	{"two  spaces and more .txt", 65_537},
	{"Größe – 尺寸 ☃.xml", 1 << 20},
	{"a gibibyte.bin", 1 << 30},
}

// body is size bytes that depend on name: a random block over and over, each time
// with its number in front, so that no part can be taken for another.
func body(name string, size int64) io.Reader {
	b := &repeated{}
	if _, err := rand.NewChaCha8(sha256.Sum256([]byte(name))).Read(b.block[:]); err != nil {
		panic(err) // it never fails
	}
	return io.LimitReader(b, size)
}

type repeated struct {
	block [1 << 20]byte
	pos   int
	n     uint64
}

func (b *repeated) Read(p []byte) (int, error) {
	if b.pos == 0 {
		binary.BigEndian.PutUint64(b.block[:], b.n)
		b.n++
	}
	n := copy(p, b.block[b.pos:])
	b.pos = (b.pos + n) % len(b.block)
	return n, nil
}

func sum(t *testing.T, r io.Reader) string {
	t.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func sumFile(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return sum(t, f)
}

func writeFile(t *testing.T, path string, r io.Reader) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, r); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestVsftpdThroughTunnel: Debian's vsftpd behind the connector, its passive range
// known to nobody but itself, by our client.
func TestVsftpdThroughTunnel(t *testing.T) {
	testkit.NeedRoot(t)
	srv := testkit.Vsftpd(t, testkit.VsftpdOptions{})
	c := cross(t, "ftp-erp:21="+srv.Addr+",protocol=ftp")
	conn := c.client(t, "ftp-erp:21", srv)
	for _, s := range samples {
		t.Run(strings.ReplaceAll(s.name, " ", "_"), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			want := sum(t, body(s.name, s.size))
			up, err := conn.Stor(ctx, s.name, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(up, body(s.name, s.size)); err != nil {
				t.Fatal(err)
			}
			if err := up.Commit(); err != nil {
				t.Fatal(err)
			}
			if got := sumFile(t, filepath.Join(srv.Home, s.name)); got != want {
				t.Errorf("after the upload the server has %s, want %s", got, want)
			}
			down, err := conn.Retr(ctx, s.name, 0)
			if err != nil {
				t.Fatal(err)
			}
			got := sum(t, down)
			if err := down.Close(); err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("downloaded %s, want %s", got, want)
			}
			if n, err := conn.Size(ctx, s.name); err != nil || n != s.size {
				t.Errorf("size %d, %v, want %d", n, err, s.size)
			}
			if err := conn.Delete(ctx, s.name); err != nil {
				t.Error(err)
			}
		})
	}
	srv.Make(t, "listed/", "listed/a file=x")
	var names []string
	for e, err := range conn.List(t.Context(), "listed") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, e.Name)
	}
	if fmt.Sprint(names) != "[a file]" {
		t.Errorf("listed %q", names)
	}
}

// TestCurlThroughTunnel: the same server by curl and the gateway's SOCKS5 proxy.
func TestCurlThroughTunnel(t *testing.T) {
	testkit.NeedRoot(t)
	curl, env := testkit.Tool(t, "curl")
	srv := testkit.Vsftpd(t, testkit.VsftpdOptions{})
	c := cross(t, "ftp-erp:21="+srv.Addr+",protocol=ftp")
	dir := t.TempDir()
	netrc := mustWrite(t, filepath.Join(dir, "netrc"), fmt.Sprintf("machine ftp-erp login %s password %s\n", srv.User, srv.Password))
	for _, extra := range [][]string{nil, {"--disable-epsv"}, {"--disable-epsv", "--no-ftp-skip-pasv-ip"}} {
		mode := strings.Join(append([]string{"epsv"}, extra...), "_")
		t.Run(mode, func(t *testing.T) {
			for _, s := range samples {
				if s.size > 1<<20 && extra != nil {
					continue // a gibibyte once is enough for curl
				}
				local := filepath.Join(dir, "up")
				writeFile(t, local, body(s.name, s.size))
				target := "ftp://ftp-erp/" + url.PathEscape(s.name)
				args := append([]string{"-sS", "--netrc-file", netrc, "--proxy", "socks5h://" + c.socks}, extra...)
				mustTool(t, env, curl, append(args, "-T", local, target)...)
				mustTool(t, env, curl, append(args, "-o", filepath.Join(dir, "down"), target)...)
				want := sum(t, body(s.name, s.size))
				if got := sumFile(t, filepath.Join(srv.Home, s.name)); got != want {
					t.Errorf("%q: server has %s, want %s", s.name, got, want)
				}
				if s.size > 0 { // curl makes no file for an empty download
					if got := sumFile(t, filepath.Join(dir, "down")); got != want {
						t.Errorf("%q: downloaded %s, want %s", s.name, got, want)
					}
				}
				if err := os.Remove(filepath.Join(srv.Home, s.name)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// mustTool runs a peer's client with its environment and fails on a bad exit.
func mustTool(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	r := command(t, "", "", "env", append(append(append([]string{}, env...), name), args...)...)
	if r.code != 0 {
		t.Fatalf("%s %s: exit %d\n%s%s", name, strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// TestUnmappedIsRefusedInWords: host, port and near misses.
func TestUnmappedIsRefusedInWords(t *testing.T) {
	c := cross(t, "ftp-erp:21=127.0.0.1:21,protocol=ftp", "files:5000-5010=127.0.0.1:5000-5010")
	via := &api.Client{Dir: c.state}
	for _, tt := range []struct{ addr, names string }{
		{"ftp-erb:21", "ftp-erp:21"},
		{"ftp-erp:22", "ftp-erp:21"},
		{"files:5011", "files:5000-5010"},
		{"10.1.2.3:21", "socks5h"},
	} {
		_, err := via.Dial(t.Context(), api.DialRequest{Location: "plant1", Address: tt.addr})
		if err == nil {
			t.Errorf("%s was let through", tt.addr)
			continue
		}
		p := api.ProblemOf(err)
		if p.Kind != "denied" || !strings.Contains(p.Text, tt.addr) || !strings.Contains(p.Text+p.Hint, tt.names) {
			t.Errorf("%s: kind %s, %q, hint %q: want it to name %q and %q", tt.addr, p.Kind, p.Text, p.Hint, tt.addr, tt.names)
		}
	}
	if _, err := via.Dial(t.Context(), api.DialRequest{Location: "plant2", Address: "ftp-erp:21"}); err == nil || !strings.Contains(err.Error()+api.ProblemOf(err).Hint, "plant1") {
		t.Errorf("an unknown location: %v", err)
	}
}

// TestServerVanishes: the server behind the connector dies in the middle of a
// download; the client sees an error, never a clean end.
func TestServerVanishes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() { served <- vanish(l) }()
	c := cross(t, "raw:7="+l.Addr().String())
	via := &api.Client{Dir: c.state}
	conn, err := via.Dial(t.Context(), api.DialRequest{Location: "plant1", Address: "raw:7"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("!")); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, conn)
	if err == nil {
		t.Errorf("a cut after %d bytes looked like a clean end", n)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// vanish answers one byte with many and cuts the connection.
func vanish(l net.Listener) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		return err
	}
	if _, err := c.Write(make([]byte, 100_000)); err != nil {
		return err
	}
	tc, ok := c.(*net.TCPConn)
	if !ok {
		return errors.New("not tcp")
	}
	if err := tc.SetLinger(0); err != nil {
		return err
	}
	return c.Close()
}
