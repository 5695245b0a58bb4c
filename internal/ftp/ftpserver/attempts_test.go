package ftpserver_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/memnet"
)

// lockedBuilder is a log that a server still writes while a test reads.
type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// guarded is a server that blocks after four wrong passwords in 30 s, and how many
// passwords it looked at.
func guarded(t *testing.T, change func(*ftpserver.Server), story func(t *testing.T, s *site, n *memnet.Network, looked *atomic.Int64)) {
	t.Helper()
	n := &memnet.Network{Source: netip.MustParseAddr("10.0.0.1")}
	synctest.Test(t, func(t *testing.T) {
		looked := new(atomic.Int64)
		s := newSite(t, n, func(srv *ftpserver.Server) {
			ask := srv.Authenticate
			srv.Authenticate = func(ctx context.Context, l ftpserver.Login) (ftpserver.Account, error) {
				looked.Add(1)
				return ask(ctx, l)
			}
			srv.Attempts = ftpserver.Attempts{Failures: 4, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
			srv.Limits.LoginAttempts = 100
			srv.Timeouts.Login = 10 * time.Hour
			if change != nil {
				change(srv)
			}
		})
		story(t, s, n, looked)
	})
}

// wrong sends a wrong password and returns the answer.
func (c *client) wrong(user string) string {
	c.t.Helper()
	c.want("USER "+user, 331)
	return c.want("PASS guess", 530).Text()
}

func (c *client) right() {
	c.t.Helper()
	c.want("USER anna", 331)
	c.want("PASS secret", 230)
}

const notNow = "Logins of this user from your address are blocked after wrong passwords, try again in "

// TestBlocked blocks one user from one address after four wrong passwords, for
// longer each time, at no cost of a password check, and keeps nobody else out.
func TestBlocked(t *testing.T) {
	guarded(t, nil, func(t *testing.T, s *site, n *memnet.Network, looked *atomic.Int64) {
		c := s.dial()
		for range 4 {
			if got := c.wrong("anna"); got != "Wrong user name or password" {
				t.Errorf("got %q", got)
			}
		}
		before := looked.Load()
		if got := c.wrong("anna"); got != notNow+"30s" {
			t.Errorf("blocked: got %q", got)
		}
		c.want("USER anna", 331)
		c.want("PASS secret", 530) // the right one neither
		if got := looked.Load() - before; got != 0 {
			t.Errorf("%d passwords were looked at while blocked", got)
		}

		c.want("USER guest", 331) // another user of the same address and session
		c.want("PASS x", 230)
		n.Source = netip.MustParseAddr("10.0.0.2")
		s.dial().right() // the same user from another address

		later(31 * time.Second)
		for want := range 4 {
			if got := c.wrong("anna"); got != "Wrong user name or password" {
				t.Fatalf("after the block, try %d: got %q", want+1, got)
			}
		}
		if got := c.wrong("anna"); got != notNow+"1m0s" {
			t.Errorf("the second block: got %q, want twice as long", got)
		}
		later(61 * time.Second)
		c.right()
		for range 3 {
			c.wrong("anna")
		}
		c.right() // which resets
		for range 3 {
			c.wrong("anna")
		}
		c.right()
	})
}

// TestBlockForgets counts within the window alone, and begins short again after a
// while of peace.
func TestBlockForgets(t *testing.T) {
	guarded(t, nil, func(t *testing.T, s *site, _ *memnet.Network, _ *atomic.Int64) {
		c := s.dial()
		for range 3 {
			c.wrong("anna")
		}
		later(31 * time.Second)
		for range 4 {
			c.wrong("anna")
		}
		if got := c.wrong("anna"); got != notNow+"30s" {
			t.Errorf("got %q", got)
		}
		later(2 * time.Minute)
		for range 4 {
			c.wrong("anna")
		}
		if got := c.wrong("anna"); got != notNow+"30s" {
			t.Errorf("after peace: got %q", got)
		}
	})
}

// TestTrusted never blocks a trusted network, nor anybody when it only logs.
func TestTrusted(t *testing.T) {
	for name, change := range map[string]func(*ftpserver.Server){
		"trusted": func(srv *ftpserver.Server) {
			srv.Attempts.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}
		},
		"off":      func(srv *ftpserver.Server) { srv.Attempts.Failures = 0 },
		"log-only": func(srv *ftpserver.Server) { srv.Attempts.LogOnly = true },
	} {
		t.Run(name, func(t *testing.T) {
			var log lockedBuilder
			guarded(t, func(srv *ftpserver.Server) {
				change(srv)
				srv.Logger = slog.New(slog.NewTextHandler(&log, nil))
				srv.Known = func(user string) bool { return user == "anna" }
			}, func(t *testing.T, s *site, _ *memnet.Network, _ *atomic.Int64) {
				c := s.dial()
				for range 10 {
					if got := c.wrong("anna"); got != "Wrong user name or password" {
						t.Fatalf("got %q", got)
					}
				}
				c.right()
			})
			if got, want := strings.Contains(log.String(), "would be blocked"), name == "log-only"; got != want {
				t.Errorf("log speaks of a block: %v, want %v\n%s", got, want, log.String())
			}
		})
	}
}

// TestBlockLogged tells the operator, and shows no name that is no account's.
func TestBlockLogged(t *testing.T) {
	var log lockedBuilder
	guarded(t, func(srv *ftpserver.Server) {
		srv.Logger = slog.New(slog.NewTextHandler(&log, nil))
		srv.Known = func(user string) bool { return user == "anna" }
	}, func(t *testing.T, s *site, _ *memnet.Network, _ *atomic.Int64) {
		c := s.dial()
		for _, user := range []string{"anna", "mypassword"} {
			for range 5 {
				c.wrong(user)
			}
		}
	})
	text := log.String()
	for _, want := range []string{`msg="logins of one user from one address blocked" session=1 peer=10.0.0.1:`, " user=anna failures=4 within=30s for=30s hint=", "attempts.trusted"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the log:\n%s", want, text)
		}
	}
	if got := strings.Count(text, "from one address blocked"); got != 2 {
		t.Errorf("%d blocks in the log, want 2", got)
	}
	if strings.Contains(text, "mypassword") {
		t.Errorf("a name that may be a password is in the log:\n%s", text)
	}
}

// TestManyAtOnce: sessions that guess at the same moment get no more guesses than
// one, and right passwords do not wait for one another to fail.
func TestManyAtOnce(t *testing.T) {
	slow := func(srv *ftpserver.Server) {
		ask := srv.Authenticate
		srv.Authenticate = func(ctx context.Context, l ftpserver.Login) (ftpserver.Account, error) {
			later(time.Second)
			return ask(ctx, l)
		}
	}
	all := func(s *site, user, password string) (good int) {
		var wg sync.WaitGroup
		var n atomic.Int64
		for range 50 {
			c := s.dial()
			c.want("USER "+user, 331)
			wg.Go(func() {
				c.send("PASS " + password + "\r\n")
				if r, err := c.in.ReadReply(); err == nil && r.Code == 230 {
					n.Add(1)
				}
			})
		}
		wg.Wait()
		return int(n.Load())
	}
	guarded(t, slow, func(t *testing.T, s *site, _ *memnet.Network, _ *atomic.Int64) {
		if got := all(s, "anna", "secret"); got != 50 {
			t.Errorf("%d of 50 right passwords were let in", got)
		}
	})
	guarded(t, slow, func(t *testing.T, s *site, _ *memnet.Network, looked *atomic.Int64) {
		if got := all(s, "anna", "guess"); got != 0 || looked.Load() != 4 {
			t.Errorf("%d of 50 guesses were right, %d were looked at, want 4", got, looked.Load())
		}
	})
}

// TestGuardBounded: what is remembered stays the same under an attack by many names
// and addresses, which does not push a block out.
func TestGuardBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(ftpserver.Guard)
		a := ftpserver.Attempts{Failures: 4, Within: time.Hour, Block: time.Hour, Longest: time.Hour}
		for range 4 {
			g.Fail("anna", netip.MustParseAddr("10.0.0.1"), a)
		}
		if got := allocated(func() {
			for i := range 100_000 {
				addr := netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)})
				g.Fail(fmt.Sprintf("user-%d", i), addr, a)
			}
		}); got > 64<<20 { // in all, of which the collector takes what is not kept
			t.Errorf("100,000 failures allocated %d MiB", got>>20)
		}
		if got := g.Blocked(); got != 1 {
			t.Errorf("%d are blocked, want the one still", got)
		}
		for i := range 8192 { // other networks of IPv6 count apart, addresses within one together
			g.Fail("anna", netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)}), a)
		}
		if got := g.Blocked(); got != 2 {
			t.Errorf("%d are blocked, want the network of IPv6, too", got)
		}
		if got := g.Size(); got > 512<<10 {
			t.Errorf("the guard takes %d KiB", got>>10)
		}
	})
}

// TestBlockedIsNoUserOracle: names that are no account's are blocked alike.
func TestBlockedIsNoUserOracle(t *testing.T) {
	guarded(t, nil, func(t *testing.T, s *site, _ *memnet.Network, _ *atomic.Int64) {
		c := s.dial()
		for _, user := range []string{"anna", "nobody-here"} {
			for range 4 {
				c.wrong(user)
			}
			if got := c.wrong(user); !strings.HasPrefix(got, notNow) {
				t.Errorf("%s: got %q", user, got)
			}
		}
	})
}

// TestBusyCountsNot: a login that could not be checked is no wrong password.
func TestBusyCountsNot(t *testing.T) {
	guarded(t, func(srv *ftpserver.Server) {
		ask := srv.Authenticate
		srv.Authenticate = func(ctx context.Context, l ftpserver.Login) (ftpserver.Account, error) {
			if l.Password.Reveal() == "busy" {
				return ftpserver.Account{}, fault.New(fault.Busy, "too many logins at once")
			}
			return ask(ctx, l)
		}
	}, func(t *testing.T, s *site, _ *memnet.Network, _ *atomic.Int64) {
		c := s.dial()
		for range 10 {
			c.want("USER anna", 331)
			c.want("PASS busy", 530)
		}
		c.right()
	})
}
