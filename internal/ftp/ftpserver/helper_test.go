package ftpserver_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/filetree"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/testkit"
)

// Both are introduced to each other by whoever runs a site.
var _ ftpserver.Tree = (*filetree.Tree)(nil)

// site is a server under test.
type site struct {
	t    testing.TB
	srv  *ftpserver.Server
	dir  string
	addr string
	net  netx.Network // what clients dial through
}

// newServer serves dir to anna (password "secret") and, read-only, to guest (any
// password).
func newServer(dir string) (*ftpserver.Server, *filetree.Tree, error) {
	tree, err := filetree.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	return &ftpserver.Server{Settings: ftpserver.Settings{
		Authenticate: func(_ context.Context, l ftpserver.Login) (ftpserver.Account, error) {
			switch {
			case l.User == "anna" && l.Password.Equal(secret.New("secret")):
				return ftpserver.Account{Name: "anna", Tree: tree}, nil
			case l.User == "guest":
				return ftpserver.Account{Name: "guest", Tree: tree, ReadOnly: true}, nil
			default:
				return ftpserver.Account{}, fault.New(fault.Unauthenticated, "no account %q with this password", l.User)
			}
		},
		Timeouts: ftpserver.Timeouts{BadLogin: time.Millisecond},
	}}, tree, nil
}

func memory() *memnet.Network { return &memnet.Network{} }

// newSite is newServer with a fresh folder, over loopback or, if n is given, over n.
func newSite(t testing.TB, n *memnet.Network, change func(*ftpserver.Server)) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), net: netx.System{}}
	srv, tree, err := newServer(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	s.srv = srv
	if n != nil {
		s.net, s.srv.Network = n, n
	}
	if change != nil {
		change(s.srv)
	}
	t.Cleanup(func() { // registered first, so that the server is gone by then
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	l, err := s.net.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.serve(l)
	return s
}

// newSiteAt is newSite on an address of loopback.
func newSiteAt(t testing.TB, host string, change func(*ftpserver.Server)) *site {
	t.Helper()
	s := newSite(t, nil, change)
	l, err := s.net.Listen(context.Background(), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		testkit.Need(t, false, "the address "+host, "switch IPv6 on")
	}
	s.serve(l)
	return s
}

// serve serves l until the test ends.
func (s *site) serve(l net.Listener) {
	s.t.Helper()
	s.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.srv.Serve(l) }()
	s.t.Cleanup(func() {
		if err := s.srv.Close(); err != nil {
			s.t.Error(err)
		}
		if err := <-served; !errors.Is(err, ftpserver.ErrServerClosed) {
			s.t.Errorf("Serve: got %v, want ErrServerClosed", err)
		}
	})
}

func (s *site) write(name, content string) {
	s.t.Helper()
	file := filepath.Join(s.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) read(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, filepath.FromSlash(name)))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// names lists what is really in a folder, parts included.
func (s *site) names(folder string) string {
	s.t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.dir, folder))
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// client is a control connection that a test speaks on word by word.
type client struct {
	t    testing.TB
	s    *site
	conn net.Conn
	in   *ftp.Reader
	tls  *tls.Config // of data connections; nil: plain
}

// dial connects and reads the banner.
func (s *site) dial() *client {
	s.t.Helper()
	return s.dialTo(s.addr)
}

func (s *site) dialTo(addr string) *client {
	s.t.Helper()
	c := s.connect(addr)
	c.want("", ftp.CodeReady)
	return c
}

// connect connects and reads nothing.
func (s *site) connect(addr string) *client {
	s.t.Helper()
	conn, err := s.net.Dial(context.Background(), "tcp", addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return &client{t: s.t, s: s, conn: conn, in: ftp.NewReader(conn, 0)}
}

// login connects as anna, in binary.
func (s *site) login() *client {
	s.t.Helper()
	c := s.dial()
	c.want("USER anna", 331)
	c.want("PASS secret", 230)
	c.want("TYPE I", 200)
	return c
}

func (c *client) send(lines string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, lines); err != nil {
		c.t.Fatalf("send %q: %v", lines, err)
	}
}

func (c *client) reply() ftp.Reply {
	c.t.Helper()
	r, err := c.in.ReadReply()
	if err != nil {
		c.t.Fatalf("read reply: %v", err)
	}
	return r
}

// want sends a command, if it is not empty, and wants code in reply.
func (c *client) want(command string, code ftp.Code) ftp.Reply {
	c.t.Helper()
	if command != "" {
		c.send(command + "\r\n")
	}
	r := c.reply()
	if r.Code != code {
		c.t.Fatalf("%s: got %d %q, want %d", command, r.Code, r.Text(), code)
	}
	return r
}

// eof wants the server to have closed the control connection.
func (c *client) eof() {
	c.t.Helper()
	if r, err := c.in.ReadReply(); err == nil {
		c.t.Fatalf("got reply %d %q, want the end of the connection", r.Code, r.Text())
	}
}

// word sends a command and wants the code that follows it: "PWD 257".
func (c *client) word(w string) ftp.Reply {
	c.t.Helper()
	i := strings.LastIndexByte(w, ' ')
	var code ftp.Code
	if _, err := fmt.Sscan(w[i:], &code); err != nil {
		c.t.Fatal(err)
	}
	return c.want(w[:i], code)
}

// epsv opens a data connection by EPSV, protected if the session's are.
func (c *client) epsv() net.Conn {
	c.t.Helper()
	raw := c.rawEPSV()
	if c.tls != nil {
		return tls.Client(raw, c.tls)
	}
	return raw
}

// rawEPSV is epsv without TLS.
func (c *client) rawEPSV() net.Conn {
	c.t.Helper()
	port, err := ftp.ParseEpsvReply(c.want("EPSV", 229))
	if err != nil {
		c.t.Fatal(err)
	}
	return c.dialData(port)
}

func (c *client) dialData(port uint16) net.Conn {
	c.t.Helper()
	host, _, err := net.SplitHostPort(c.s.addr)
	if err != nil {
		c.t.Fatal(err)
	}
	conn, err := c.s.net.Dial(context.Background(), "tcp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// get runs a command that sends data and returns the data.
func (c *client) get(command string) string {
	c.t.Helper()
	data := c.epsv()
	c.want(command, 150)
	b, err := io.ReadAll(data)
	if err != nil {
		c.t.Fatalf("%s: %v", command, err)
	}
	_ = data.Close() // what counts has been read
	c.want("", 226)
	return string(b)
}

// put runs a command that takes data.
func (c *client) put(command, content string) {
	c.t.Helper()
	data := c.epsv()
	c.want(command, 150)
	if _, err := io.WriteString(data, content); err != nil {
		c.t.Fatalf("%s: %v", command, err)
	}
	if err := data.Close(); err != nil {
		c.t.Fatal(err)
	}
	c.want("", 226)
}

// door puts the site behind a door of its own, with a name besides if named is set.
func (s *site) door(implicit, named bool) {
	s.t.Helper()
	hosts := map[string]*site{}
	if named {
		hosts["files.example.com"] = s
	}
	s.addr = opened(s.t, s.net, &ftpserver.Door{Implicit: implicit}, s, hosts)
}
