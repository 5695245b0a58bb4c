//go:build linux

package e2e_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/socks5"
	"sallyport.dev/internal/testkit"
)

func subtest(name string) string { return strings.ReplaceAll(name, " ", "_") }

// cutRig is a tunnel that can be cut, and servers behind it. Its link leads over a
// proxy on loopback, which can reset it, or, where silence is asked for, over a
// router in a namespace, which can stop to forward.
type cutRig struct {
	t                  *testing.T
	gateway, connector *program
	proxy              *cutProxy
	servers            []*cutServer

	net          *enterprise // nil on loopback
	cloud, plant string      // namespaces of gateway and clients, and of the connector; may be ""
	listen       string      // the gateway's address
	socks        string
	state, home  string // state folders of gateway and connector
	netrc        string // curl's passwords
}

func newCutRig(t *testing.T, m means) *cutRig {
	t.Helper()
	dir := t.TempDir()
	r := &cutRig{t: t, state: filepath.Join(dir, "cloud"), home: filepath.Join(dir, "plant")}
	port := func() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(testkit.FreePort(t))) }
	r.listen, r.socks = port(), port()
	opts := testkit.ServerOptions{}
	if m.long {
		r.net = newEnterprise(t)
		r.cloud, r.plant = r.net.ns("cloud"), r.net.ns("plant")
		r.listen = "10.99.1.2:443"
		opts.Host, opts.Netns = "10.99.2.3", r.net.ns("ftp")
	}
	r.servers = newCutServers(t, opts)
	var netrc strings.Builder
	for _, s := range r.servers {
		fmt.Fprintf(&netrc, "machine %s login %s password %s\n", s.host(), s.srv.User, s.srv.Password)
	}
	r.netrc = mustWrite(t, filepath.Join(dir, "netrc"), netrc.String())
	r.startGateway()
	address := r.listen
	if r.net == nil {
		r.proxy = newCutProxy(t, r.listen)
		address = r.proxy.addr
	}
	token := mustRun(t, r.cloud, "", "gateway", "token", "--location", "plant1", "--address", address, "--state", r.state).stdout
	mustRun(t, r.plant, token, "connector", "join", "-", "--state", r.home)
	r.startConnector()
	return r
}

func (r *cutRig) startGateway() {
	r.t.Helper()
	r.gateway = start(r.t, r.cloud, "gateway", "run", "--listen", r.listen, "--socks", r.socks, "--state", r.state)
	r.gateway.says(`listening on (\S+) \(socks5\)`)
}

func (r *cutRig) startConnector() {
	r.t.Helper()
	args := []string{"connector", "run", "--state", r.home}
	for _, s := range r.servers {
		args = append(args, "--expose", s.virtual()+"="+s.srv.Addr+",protocol=ftp")
	}
	r.connector = start(r.t, r.plant, args...)
}

// kill ends a process by SIGKILL, and returns when it is gone.
func (r *cutRig) kill(p *program) {
	_ = p.cmd.Process.Signal(syscall.SIGKILL) // p.done says whether it worked
	<-p.done
}

// silence makes the router between gateway and connector drop every packet.
func (r *cutRig) silence() { r.net.do("exec", "fw", "sysctl", "-qw", "net.ipv4.ip_forward=0") }
func (r *cutRig) speak()   { r.net.do("exec", "fw", "sysctl", "-qw", "net.ipv4.ip_forward=1") }

// awaitTunnel waits until every server can be logged in to.
func (r *cutRig) awaitTunnel() {
	r.t.Helper()
	for _, s := range r.servers {
		deadline := time.Now().Add(patience)
		for {
			conn, err := s.client(r.t.Context(), r)
			if err == nil {
				_ = conn.Close()
				break
			}
			if time.Now().After(deadline) {
				r.t.Fatalf("the tunnel does not come back: %v", err)
			}
			netx.Pause(r.t.Context(), 20*time.Millisecond)
		}
		s.awaitNoSession(r.t)
	}
}

// client logs in through the gateway's SOCKS5 server.
func (s *cutServer) client(ctx context.Context, r *cutRig) (*ftpclient.Conn, error) {
	via := &socks5.Dialer{Proxy: r.socks, Dial: r.dial}
	return ftpclient.Dial(ctx, ftpclient.Config{Addr: s.virtual(), Dial: via.DialContext, User: s.srv.User, Password: secret.New(s.srv.Password)})
}

// dial connects from the gateway's namespace.
func (r *cutRig) dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	if r.cloud == "" {
		return netx.System{}.Dial(ctx, network, addr)
	}
	err = inside(r.cloud, func() error {
		conn, err = netx.System{}.Dial(ctx, network, addr) // an address: dialled by this goroutine itself
		return err
	})
	return conn, err
}

// inside calls f in a network namespace. The thread is led back and used again:
// if it ended, so would every process that it has started (Pdeathsig).
func inside(ns string, f func() error) error {
	lost := false
	runtime.LockOSThread()
	defer func() {
		if !lost {
			runtime.UnlockOSThread()
		}
	}()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open this thread's namespace: %w", err)
	}
	defer unix.Close(home)
	there, err := unix.Open("/run/netns/"+ns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open namespace %s: %w", ns, err)
	}
	defer unix.Close(there)
	if err := unix.Setns(there, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %s: %w", ns, err)
	}
	err = f()
	if back := unix.Setns(home, unix.CLONE_NEWNET); back != nil {
		lost = true // stays locked: nobody else may use this thread
		return fmt.Errorf("leave namespace %s: %w", ns, back)
	}
	return err
}
