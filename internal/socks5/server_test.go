package socks5_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/socks5"
	"sallyport.dev/internal/testkit"
)

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu sync.Mutex // guards the following
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// rig is a server in memory that lets 127.0.0.1 in and knows me with password pw.
type rig struct {
	*socks5.Server
	net    *memnet.Network
	log    *logBuffer
	served chan error
}

func newRig(t *testing.T, dial func(context.Context, socks5.Request) (net.Conn, error)) *rig {
	t.Helper()
	r := &rig{net: &memnet.Network{}, log: &logBuffer{}, served: make(chan error, 1)}
	r.Server = &socks5.Server{
		Dial: dial,
		Anonymous: func(client netip.AddrPort) (string, bool) {
			return "addr:" + client.Addr().String(), client.Addr().IsLoopback()
		},
		Authenticate: func(_ context.Context, user string, password secret.Text, _ netip.AddrPort) (string, error) {
			if user == "me" && password.Equal(secret.New("pw")) {
				return "user:me", nil
			}
			return "", fault.New(fault.Unauthenticated, "wrong user or password")
		},
		Logger: slog.New(slog.NewTextHandler(r.log, nil)),
	}
	l, err := r.net.Listen(t.Context(), "tcp", "127.0.0.1:1080")
	if err != nil {
		t.Fatal(err)
	}
	go func() { r.served <- r.Serve(l) }()
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-r.served; !errors.Is(err, socks5.ErrServerClosed) {
			t.Errorf("Serve: got %v, want ErrServerClosed", err)
		}
	})
	return r
}

func (r *rig) dialer() *socks5.Dialer {
	return &socks5.Dialer{Dial: r.net.Dial, Proxy: "127.0.0.1:1080"}
}

func (r *rig) client(t *testing.T) net.Conn {
	t.Helper()
	c, err := r.net.Dial(t.Context(), "tcp", "127.0.0.1:1080")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func mustWrite(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

// echo is an upstream that sends back what it gets.
func echo() net.Conn {
	near, far := memnet.Pipe()
	go func() {
		_, _ = io.Copy(far, far) // ends with the test's connection
		_ = far.Close()
	}()
	return near
}

func refuse(err error) func(context.Context, socks5.Request) (net.Conn, error) {
	return func(context.Context, socks5.Request) (net.Conn, error) { return nil, err }
}

const (
	greetNone     = "\x05\x01\x00"
	connectErp    = "\x05\x01\x00\x03\x07ftp-erp\x00\x15"
	replySucceeds = "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
)

func TestConnectCarriesBothWays(t *testing.T) {
	for _, user := range []string{"", "me"} {
		t.Run("user_"+user, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got socks5.Request
				r := newRig(t, func(_ context.Context, req socks5.Request) (net.Conn, error) { got = req; return echo(), nil })
				d := r.dialer()
				d.User, d.Password = user, secret.New("pw")
				c, err := d.DialContext(t.Context(), "tcp", "ftp-erp:21")
				if err != nil {
					t.Fatal(err)
				}
				mustWrite(t, c, "hello")
				if _, err := netx.CloseWrite(c); err != nil {
					t.Fatal(err)
				}
				if b, err := io.ReadAll(c); err != nil || string(b) != "hello" {
					t.Errorf("got %q, error %v, want the echo", b, err)
				}
				want := "addr:127.0.0.1"
				if user != "" {
					want = "user:me"
				}
				if got.Principal != want || got.User != user || got.Address.String() != "ftp-erp:21" || !got.Client.Addr().IsLoopback() {
					t.Errorf("got %+v, want principal %s", got, want)
				}
			})
		})
	}
}

func TestOptimisticClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(context.Context, socks5.Request) (net.Conn, error) { return echo(), nil })
		c := r.client(t)
		mustWrite(t, c, greetNone+connectErp+"early")
		want := "\x05\x00" + replySucceeds + "early"
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Errorf("got %q, error %v, want %q", got, err, want)
		}
	})
}

// What SOCKS says for each kind, what the log says, and what our own client
// makes of it.
func TestRefusals(t *testing.T) {
	tests := []struct {
		name string
		err  error
		code socks5.Code
		kind fault.Kind
	}{
		{"denied", fault.New(fault.Denied, "no mapping for ftp-erp:21"), 2, fault.Denied},
		{"not_found", fault.New(fault.NotFound, "x"), 4, fault.Unreachable},
		{"no_connector", fault.Wrap(fault.Unreachable, syscall.ENETUNREACH, "no connector for plant1"), 3, fault.Unreachable},
		{"unreachable", fault.New(fault.Unreachable, "x"), 4, fault.Unreachable},
		{"refused", fault.Wrap(fault.Unreachable, syscall.ECONNREFUSED, "x"), 5, fault.Unreachable},
		{"timed_out", fault.New(fault.TimedOut, "x"), 6, fault.TimedOut},
		{"busy", fault.New(fault.Busy, "x"), 1, fault.Internal},
		{"full", fault.New(fault.Full, "x"), 1, fault.Internal},
		{"invalid", fault.New(fault.Invalid, "x"), 1, fault.Internal},
		{"unsupported", fault.New(fault.Unsupported, "x"), 7, fault.Unsupported},
		{"internal", errors.New("boom"), 1, fault.Internal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if f := (*fault.Error)(nil); errors.As(tt.err, &f) {
					_ = f.WithHint("write a mapping")
				}
				r := newRig(t, refuse(tt.err))
				_, err := r.dialer().DialContext(t.Context(), "tcp", "ftp-erp:21")
				if fault.KindOf(err) != tt.kind || fault.HintOf(err) == "" {
					t.Errorf("client: got error %v of kind %v, hint %q, want %v and a hint", err, fault.KindOf(err), fault.HintOf(err), tt.kind)
				}
				if !strings.Contains(err.Error(), tt.code.String()) {
					t.Errorf("client: got %v, want %q in it", err, tt.code)
				}
				if socks5.CodeOf(tt.err) != tt.code {
					t.Errorf("got code %d, want %d", socks5.CodeOf(tt.err), tt.code)
				}
				synctest.Wait()
				log := r.log.String()
				if strings.Count(log, "\n") != 1 || !strings.Contains(log, tt.err.Error()) || !strings.Contains(log, "ftp-erp:21") {
					t.Errorf("log: got %s, want one line with target and reason", log)
				}
				if fault.HintOf(tt.err) != "" && !strings.Contains(log, "write a mapping") {
					t.Errorf("log: got %s, want the hint", log)
				}
			})
		})
	}
}

// Requests and greetings that are refused before anything is dialled: the exact
// bytes the client sees, then a clean end.
func TestRefusedMessages(t *testing.T) {
	tests := []struct{ name, send, want, log string }{
		{"bind", greetNone + "\x05\x02\x00\x03\x07ftp-erp\x00\x15", "\x05\x00\x05\x07\x00\x01\x00\x00\x00\x00\x00\x00", "passive mode"},
		{"udp", greetNone + "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00", "\x05\x00\x05\x07\x00\x01\x00\x00\x00\x00\x00\x00", "CONNECT"},
		{"address_type", greetNone + "\x05\x01\x00\x09", "\x05\x00\x05\x08\x00\x01\x00\x00\x00\x00\x00\x00", "0x09"},
		{"bad_name", greetNone + "\x05\x01\x00\x03\x01 \x00\x15", "\x05\x00\x05\x01\x00\x01\x00\x00\x00\x00\x00\x00", "no name"},
		{"port_zero", greetNone + "\x05\x01\x00\x03\x01a\x00\x00", "\x05\x00\x05\x01\x00\x01\x00\x00\x00\x00\x00\x00", "port 0"},
		{"gssapi_only", "\x05\x01\x01", "\x05\xff", "GSSAPI"},
		{"token_only", "\x05\x01\x80", "\x05\xff", "0x80"},
		{"no_methods", "\x05\x00", "\x05\xff", "methods"},
		{"wrong_password", "\x05\x01\x02\x01\x02me\x05wrong", "\x05\x02\x01\x01", "wrong user or password"},
		{"password_first", "\x05\x02\x00\x02\x01\x02me\x05wrong", "\x05\x02\x01\x01", "wrong user or password"},
		{"socks4", "\x04\x01\x00\x15\x0a\x00\x00\x01\x00", "", "SOCKS4"},
		{"http", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", "HTTP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, refuse(errors.New("dialled")))
				c := r.client(t)
				mustWrite(t, c, tt.send+"and more that nobody asked for")
				if got, err := io.ReadAll(c); err != nil || string(got) != tt.want {
					t.Errorf("got %x, error %v, want %x", got, err, tt.want)
				}
				_ = c.Close()
				synctest.Wait()
				log := r.log.String()
				if strings.Count(log, "\n") != 1 || !strings.Contains(log, tt.log) || strings.Contains(log, "wrong\"") || strings.Contains(log, "dialled") {
					t.Errorf("log: got %s, want one line with %q", log, tt.log)
				}
			})
		})
	}
}

func TestStrangersNeedAPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(context.Context, socks5.Request) (net.Conn, error) { return echo(), nil })
		r.net.Source = netip.MustParseAddr("10.9.9.9")
		d := r.dialer()
		_, err := d.DialContext(t.Context(), "tcp", "ftp-erp:21")
		if fault.KindOf(err) != fault.Unauthenticated || fault.HintOf(err) == "" {
			t.Errorf("got error %v, want unauthenticated and a hint", err)
		}
		d.User, d.Password = "me", secret.New("nope")
		if _, err := d.DialContext(t.Context(), "tcp", "ftp-erp:21"); fault.KindOf(err) != fault.Unauthenticated || strings.Contains(err.Error(), "nope") {
			t.Errorf("got error %v, want unauthenticated", err)
		}
		d.Password = secret.New("pw")
		c, err := d.DialContext(t.Context(), "tcp", "ftp-erp:21")
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	})
}

func TestSlowHandshakeIsEnded(t *testing.T) {
	for name, send := range map[string]string{"nothing": "", "half_a_greeting": "\x05", "half_a_request": greetNone + "\x05\x01\x00\x03\x07ftp"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, refuse(errors.New("dialled")))
				start := time.Now()
				c := r.client(t)
				mustWrite(t, c, send)
				if _, err := io.ReadAll(c); err != nil {
					t.Errorf("got error %v, want a clean end", err)
				}
				if got := time.Since(start); got != 10*time.Second {
					t.Errorf("ended after %v, want 10 s", got)
				}
				_ = c.Close()
				synctest.Wait()
				if !strings.Contains(r.log.String(), "too long") {
					t.Errorf("log: got %s", r.log)
				}
			})
		})
	}
}

func TestSlowDialTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(ctx context.Context, _ socks5.Request) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() })
		start := time.Now()
		_, err := r.dialer().DialContext(t.Context(), "tcp", "ftp-erp:21")
		if fault.KindOf(err) != fault.TimedOut || time.Since(start) != 30*time.Second {
			t.Errorf("got error %v after %v, want timed-out after 30 s", err, time.Since(start))
		}
	})
}

func TestUpstreamResetReachesTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := memnet.Pipe()
		r := newRig(t, func(context.Context, socks5.Request) (net.Conn, error) { return near, nil })
		c, err := r.dialer().DialContext(t.Context(), "tcp", "ftp-erp:21")
		if err != nil {
			t.Fatal(err)
		}
		if err := far.Reset(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got error %v, want a reset: a cut transfer must look cut", err)
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, refuse(errors.New("dialled")))
		r.MaxSessions = 1
		first := r.client(t)
		synctest.Wait()
		if got := r.Sessions(); got != 1 {
			t.Errorf("got %d sessions, want 1", got)
		}
		second := r.client(t)
		if _, err := io.ReadAll(second); err != nil {
			t.Errorf("second client: got error %v, want an end", err)
		}
		_ = first.Close()
		synctest.Wait()
		third := r.client(t)
		mustWrite(t, third, greetNone)
		if _, err := io.ReadFull(third, make([]byte, 2)); err != nil {
			t.Errorf("third client: got error %v, want to be served", err)
		}
	})
}

func TestShutdownWaitsThenCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(context.Context, socks5.Request) (net.Conn, error) { return echo(), nil })
		c, err := r.dialer().DialContext(t.Context(), "tcp", "ftp-erp:21")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if err := r.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("got error %v after %v, want the deadline's after 3 s", err, time.Since(start))
		}
		if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got error %v, want a reset", err)
		}
		if _, err := r.net.Dial(t.Context(), "tcp", "127.0.0.1:1080"); err == nil {
			t.Error("still listening after Shutdown")
		}
		if err := r.Serve(secondListener(t, r)); !errors.Is(err, socks5.ErrServerClosed) {
			t.Errorf("Serve after Shutdown: got %v, want ErrServerClosed", err)
		}
	})
}

func secondListener(t *testing.T, r *rig) net.Listener {
	t.Helper()
	l, err := r.net.Listen(t.Context(), "tcp", "127.0.0.1:1081")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestDialerMeetsNoProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, answer := range map[string]string{"ftp_server": "220 ready\r\n", "silence_then_end": "", "method_not_offered": "\x05\x02"} {
			far, near := memnet.Pipe()
			mustWrite(t, far, answer)
			if err := far.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			d := &socks5.Dialer{Proxy: "p:1", Dial: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
			if _, err := d.DialContext(t.Context(), "tcp", "ftp-erp:21"); err == nil || !strings.Contains(err.Error(), "p:1") {
				t.Errorf("%s: got error %v, want one that names the proxy", name, err)
			}
		}
		d := &socks5.Dialer{Proxy: "p:1", Timeout: 5 * time.Second, Dial: func(context.Context, string, string) (net.Conn, error) {
			near, _ := memnet.Pipe()
			return near, nil
		}}
		start := time.Now()
		if _, err := d.DialContext(t.Context(), "tcp", "ftp-erp:21"); fault.KindOf(err) != fault.TimedOut || time.Since(start) != 5*time.Second {
			t.Errorf("silent proxy: got error %v after %v, want timed-out after 5 s", err, time.Since(start))
		}
		for _, addr := range []string{"", "x", "x:0", "x:99999", "a b:21", ":21"} {
			if _, err := d.DialContext(t.Context(), "tcp", addr); fault.KindOf(err) != fault.Invalid {
				t.Errorf("address %q: got error %v, want invalid", addr, err)
			}
		}
		if _, err := d.DialContext(t.Context(), "udp", "x:1"); fault.KindOf(err) != fault.Unsupported {
			t.Errorf("udp: got error %v, want unsupported", err)
		}
	})
}

// TestCurl has a foreign client speak to a real listener: socks5h sends the name,
// socks5 the address it resolved, and a refusal arrives as a code, not as a reset.
func TestCurl(t *testing.T) {
	curl, env := testkit.Tool(t, "curl")
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") }))
	defer web.Close()
	asked := make(chan socks5.Request, 8)
	s := &socks5.Server{
		Dial: func(ctx context.Context, r socks5.Request) (net.Conn, error) {
			asked <- r
			if r.Port != 80 {
				return nil, fault.New(fault.Denied, "port %d", r.Port)
			}
			return netx.System{}.Dial(ctx, "tcp", web.Listener.Addr().String())
		},
		Authenticate: func(_ context.Context, user string, password secret.Text, _ netip.AddrPort) (string, error) {
			if !password.Equal(secret.New("p w")) {
				return "", fault.New(fault.Unauthenticated, "no")
			}
			return "user:" + user, nil
		},
	}
	l, err := netx.System{}.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, socks5.ErrServerClosed) {
			t.Errorf("Serve: got %v", err)
		}
	}()
	for _, tt := range []struct{ name, scheme, user, url, want, host string }{
		{"name_unresolved", "socks5h", "me:p w", "http://ftp-erp/", "served", "ftp-erp"},
		{"address", "socks5", "me:p w", "http://127.0.0.1/", "served", "127.0.0.1"},
		{"denied", "socks5h", "me:p w", "http://ftp-erp:81/", "curl: (97)", "ftp-erp"},
		{"wrong_password", "socks5h", "me:x", "http://ftp-erp/", "curl: (97)", ""},
		{"no_password", "socks5h", "", "http://ftp-erp/", "curl: (97)", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"-sS", "--max-time", "20", "--noproxy", "", "--proxy", tt.scheme + "://" + l.Addr().String()}
			if tt.user != "" {
				args = append(args, "--proxy-user", tt.user)
			}
			out, _ := exec.CommandContext(t.Context(), "env", append(append(append([]string{}, env...), curl), append(args, tt.url)...)...).CombinedOutput() // what it prints tells
			if !strings.Contains(string(out), tt.want) {
				t.Errorf("got %s, want %q", out, tt.want)
			}
			if tt.host == "" {
				return
			}
			if r := <-asked; r.Host != tt.host || r.Principal != "user:me" {
				t.Errorf("got request %+v, want host %s of user:me", r, tt.host)
			}
		})
	}
}
