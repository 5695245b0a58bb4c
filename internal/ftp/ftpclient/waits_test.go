package ftpclient_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
)

// TestNeverAnswers keeps one command of a session without an answer.
func TestNeverAnswers(t *testing.T) {
	for _, verb := range []string{"USER", "PASS", "FEAT", "OPTS", "TYPE", "EPSV", "RETR", "SIZE", "QUIT"} {
		t.Run(verb, func(t *testing.T) {
			a := &ftptest.Awkward{Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{Silent: verb}}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				cfg.Timeouts.Reply = 7 * time.Second
				start := time.Now()
				c, err := ftpclient.Dial(t.Context(), cfg)
				if err == nil {
					_, err = read(t.Context(), c, "f", 0)
					if err == nil {
						_, err = c.Size(t.Context(), "f")
					}
					err = errors.Join(err, c.Quit(t.Context()))
				}
				if fault.KindOf(err) != fault.TimedOut || !strings.Contains(err.Error(), verb) {
					t.Errorf("got %v (%v), want a timeout that names %s", err, fault.KindOf(err), verb)
				}
				most := 8 * time.Second
				if verb == "TYPE" { // it is sent together with FEAT first, and then alone
					most = 15 * time.Second
				}
				if took := time.Since(start); took < 7*time.Second || took > most {
					t.Errorf("took %v, want 7s to %v", took, most)
				}
			})
		})
	}
}

func TestSilentGreeting(t *testing.T) {
	a := &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{"GREETING": ""}}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		_, err := ftpclient.Dial(t.Context(), cfg)
		if fault.KindOf(err) != fault.TimedOut {
			t.Errorf("got %v", err)
		}
	})
}

// TestStalls has the server keep data connections open and silent.
func TestStalls(t *testing.T) {
	for _, secured := range []bool{false, true} {
		a := &ftptest.Awkward{Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{KeepData: true}}
		if secured {
			a.TLS = tlsPlease
		}
		onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
			cfg.Timeouts.Stall = 20 * time.Second
			dialIn(t, cfg, func(c *ftpclient.Conn) {
				start := time.Now()
				got, err := read(t.Context(), c, "f", 0)
				if fault.KindOf(err) == fault.Internal || got != "content" {
					t.Errorf("tls=%v: got %q, %v (%v)", secured, got, err, fault.KindOf(err))
				}
				if took := time.Since(start); took < 20*time.Second || took > 30*time.Second {
					t.Errorf("tls=%v: took %v, want 20s to 30s", secured, took)
				}
			})
			dialIn(t, cfg, func(c *ftpclient.Conn) {
				err := write(t.Context(), c, "up", strings.Repeat("x", 1<<20), 0)
				if fault.KindOf(err) != fault.TimedOut {
					t.Errorf("tls=%v: upload that is not read: %v", secured, err)
				}
			})
		})
	}
}

// TestCancel ends the context in each wait there is. The connection is unusable
// then, and nothing waited for a timeout.
func TestCancel(t *testing.T) {
	cause := errors.New("enough")
	for _, stage := range []string{"USER", "EPSV", "RETR", "data", "final", "list"} {
		t.Run(stage, func(t *testing.T) {
			a := &ftptest.Awkward{Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{Silent: stage}}
			switch stage {
			case "data", "list":
				a.Quirks.KeepData = true
			case "final":
				a.Quirks.Die = &ftptest.Death{After: 7, Reply: "226"} // and not a byte more
			}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				ctx, cancel := context.WithCancelCause(t.Context())
				stop := time.AfterFunc(3*time.Second, func() { cancel(cause) })
				defer stop.Stop()
				start := time.Now()
				c, err := ftpclient.Dial(ctx, cfg)
				if err == nil {
					defer func() {
						if err := c.Close(); err != nil {
							t.Error(err)
						}
					}()
					if stage == "list" {
						_, err = count(ctx, c, "")
					} else {
						_, err = read(ctx, c, "f", 0)
					}
					if c.Usable() {
						t.Error("the connection calls itself usable")
					}
					if nerr := c.Noop(t.Context()); fault.KindOf(nerr) != fault.Unreachable && !errors.Is(nerr, cause) {
						t.Errorf("afterwards: %v", nerr)
					}
				}
				if !errors.Is(err, cause) {
					t.Errorf("got %v, want the context's cause in it", err)
				}
				if took := time.Since(start); took != 3*time.Second {
					t.Errorf("took %v, want 3s", took)
				}
			})
		})
	}
}

// TestLateCancel ends a context after its operation, which must not touch the next.
func TestLateCancel(t *testing.T) {
	a := &ftptest.Awkward{Files: map[string]string{"f": "content"}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		dialIn(t, cfg, func(c *ftpclient.Conn) {
			for range 20 {
				ctx, cancel := context.WithCancel(t.Context())
				if got, err := read(ctx, c, "f", 0); err != nil || got != "content" {
					t.Fatalf("got %q, %v", got, err)
				}
				cancel()
				if _, err := c.Size(t.Context(), "f"); err != nil {
					t.Fatal(err)
				}
			}
		})
	})
}
