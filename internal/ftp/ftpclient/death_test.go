package ftpclient_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
)

// TestDiesAtEveryByte ends transfers after each number of bytes in each way. None
// may be taken for whole, but the one way that no client can tell.
func TestDiesAtEveryByte(t *testing.T) {
	const content = "0123456789abcdef"
	deaths := map[string]ftptest.Death{
		"reset-426":    {Reset: true, Reply: "426 oops\r\n"},
		"reset-226":    {Reset: true, Reply: "226 fine\r\n"},
		"reset-hangup": {Reset: true},
		"end-451":      {Reply: "451-\r\n226 no\r\n451 disk\r\n"},
		"end-hangup":   {},
		"end-half-226": {Reply: "226 fi{hang up}"},
		"end-226":      {Reply: "226 fine\r\n"},
	}
	for name, death := range deaths {
		for _, secured := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s-tls=%v", name, secured), func(t *testing.T) {
				for after := 0; after <= len(content); after++ {
					d := death
					d.After = after
					a := &ftptest.Awkward{Files: map[string]string{"f": content}, Quirks: ftptest.Quirks{Die: &d}}
					if secured {
						a.TLS = tlsPlease
					}
					onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
						dieInTransfers(t, cfg, content, &d, secured)
					})
				}
			})
		}
	}
}

func dieInTransfers(t *testing.T, cfg ftpclient.Config, content string, d *ftptest.Death, secured bool) {
	cannotTell := !d.Reset && d.Reply == "226 fine\r\n" && !secured
	dialIn(t, cfg, func(c *ftpclient.Conn) {
		got, err := read(t.Context(), c, "f", 0)
		if err == nil && !cannotTell {
			t.Errorf("a download cut after %d bytes was taken for whole", d.After)
		}
		if !strings.HasPrefix(content, got) {
			t.Errorf("got %q, which is not the beginning of the file", got)
		}
	})
	dialIn(t, cfg, func(c *ftpclient.Conn) {
		for e, err := range c.List(t.Context(), "") {
			if err != nil {
				return
			}
			if e.Name != "f" {
				t.Errorf("listed %q", e.Name)
			}
		}
		if !cannotTell {
			t.Errorf("a listing cut after %d bytes ended without an error", d.After)
		}
	})
	dialIn(t, cfg, func(c *ftpclient.Conn) {
		// The reply decides about uploads: the client can not see what arrived.
		err := write(t.Context(), c, "up", strings.Repeat(content, 6000), 0)
		if err == nil {
			t.Errorf("an upload cut after %d bytes was confirmed", d.After)
		}
	})
}

// TestControlDiesAtEveryByte resets all connections after each number of bytes
// of replies. Whatever was not finished by then is an error.
func TestControlDiesAtEveryByte(t *testing.T) {
	for _, secured := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secured), func(t *testing.T) {
			whole := false
			for limit := 1; !whole && limit < 10000; limit++ {
				a := &ftptest.Awkward{Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{ControlLimit: limit}}
				if secured {
					a.TLS = tlsPlease
					limit += 12 // a handshake takes its time
				}
				onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
					whole = untilItDies(t, a, cfg)
				})
			}
			if !whole {
				t.Error("the session never got to its end")
			}
		})
	}
}

// untilItDies goes through a session and reports whether it got to its end.
func untilItDies(t *testing.T, a *ftptest.Awkward, cfg ftpclient.Config) bool {
	ctx := t.Context()
	c, err := ftpclient.Dial(ctx, cfg)
	if err != nil {
		return false
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	got, err := read(ctx, c, "f", 0)
	if err == nil && got != "content" {
		t.Errorf("read %q without an error", got)
	}
	if err != nil && c.Usable() {
		t.Errorf("the connection calls itself usable after %v", err)
	}
	if err == nil {
		n := 0
		n, err = count(ctx, c, "")
		if err == nil && n != 1 {
			t.Errorf("%d entries without an error", n)
		}
	}
	if err == nil {
		err = write(ctx, c, "up", "news", 0)
		if stored, ok := a.File("up"); err == nil && stored != "news" {
			t.Errorf("stored %q, %v without an error", stored, ok)
		}
	}
	return err == nil
}

func TestLost226(t *testing.T) {
	for _, final := range []string{"", "226"} { // hung up on, and never finished
		a := &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{}}}
		a.Files = map[string]string{"f": "content"}
		a.Quirks.Die = &ftptest.Death{After: 7, Reply: final}
		onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
			cfg.Timeouts.Final = 90 * time.Second
			dialIn(t, cfg, func(c *ftpclient.Conn) {
				start := time.Now()
				got, err := read(t.Context(), c, "f", 0)
				if got != "content" || !errors.Is(err, ftpclient.ErrUnconfirmed) || !fault.KindOf(err).Temporary() {
					t.Errorf("got %q, %v (%v), want all of it and ErrUnconfirmed", got, err, fault.KindOf(err))
				}
				if took := time.Since(start); final != "" && (took < 90*time.Second || took > 91*time.Second) {
					t.Errorf("took %v, want 90s", took)
				}
				if c.Usable() {
					t.Error("the connection calls itself usable")
				}
			})
		})
	}
}
