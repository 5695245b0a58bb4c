package ftpserver_test

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// later lets d of the bubble's clock go by.
func later(d time.Duration) { <-time.After(d) }

func TestTimeouts(t *testing.T) {
	at := func(t *testing.T, began time.Time, want time.Duration) {
		t.Helper()
		if took := time.Since(began); took != want {
			t.Errorf("after %s, want %s", took, want)
		}
	}
	t.Run("login", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			began := time.Now()
			c := s.dial()
			later(50 * time.Second) // a client that is slow
			c.want("USER anna", 331)
			c.want("", 421)
			c.eof()
			at(t, began, time.Minute)
		})
	})
	t.Run("drop-by-drop", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			c := s.login()
			began := time.Now()
			var drops sync.WaitGroup
			drops.Go(func() {
				for range 1000 {
					if _, err := io.WriteString(c.conn, "x"); err != nil {
						return
					}
					later(time.Second) // a command that never ends
				}
			})
			c.want("", 421)
			c.eof()
			at(t, began, 5*time.Minute)
			drops.Wait()
		})
	})
	t.Run("idle", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			c := s.login()
			later(4 * time.Minute)
			c.want("NOOP", 200)
			began := time.Now()
			c.want("", 421)
			c.eof()
			at(t, began, 5*time.Minute)
		})
	})
	t.Run("idle-rests", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			c := s.login()
			data := c.epsv()
			c.want("STOR f", 150)
			for range 20 {
				later(time.Minute) // slower than the idle time-out, faster than a stall
				if _, err := io.WriteString(data, "x"); err != nil {
					t.Fatal(err)
				}
			}
			if err := data.Close(); err != nil {
				t.Fatal(err)
			}
			c.want("", 226)
			began := time.Now()
			c.want("", 421)
			at(t, began, 5*time.Minute)
			if got := s.read("f"); got != strings.Repeat("x", 20) {
				t.Errorf("got %q", got)
			}
		})
	})
	t.Run("stalled-upload", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			c := s.login()
			data := c.epsv()
			c.want("STOR f", 150)
			if _, err := io.WriteString(data, "x"); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if got := c.want("", 426).Text(); got != `No byte of STOR "/f" moved for 2m0s` {
				t.Errorf("got %q", got)
			}
			if took := time.Since(began); took < 2*time.Minute || took > 4*time.Minute {
				t.Errorf("after %s, want the stall time-out", took)
			}
			if got := s.names(""); got != "" {
				t.Errorf("left behind: %q", got)
			}
		})
	})
	t.Run("stalled-download", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			s.write("f", strings.Repeat("x", 1<<20))
			c := s.login()
			data := c.epsv()
			c.want("RETR f", 150)
			if _, err := io.ReadFull(data, make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			c.want("", 426)
			if _, err := io.Copy(io.Discard, data); err == nil {
				t.Error("a download that was cut: got a clean end")
			}
		})
	})
	t.Run("slow-download", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			want := strings.Repeat("0123456789abcdef", 1<<14)
			s.write("f", want)
			c := s.login()
			data := c.epsv()
			c.want("RETR f", 150)
			var got strings.Builder
			for buf := make([]byte, 10_000); ; {
				n, err := data.Read(buf)
				got.Write(buf[:n])
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				later(100 * time.Second) // slow, but never still for the stall time-out
			}
			c.want("", 226)
			if got.String() != want {
				t.Errorf("got %d bytes, want %d and the same", got.Len(), len(want))
			}
		})
	})
	t.Run("no-data-connection", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			s.write("f", "x")
			c := s.login()
			c.want("EPSV", 229)
			began := time.Now()
			c.want("RETR f", 425)
			at(t, began, 30*time.Second)
			c.want("RETR f", 425) // and no 150 before it, nor a port that is still held
		})
	})
}

// TestReplyNotTaken: a client that reads no replies does not hold the session.
func TestReplyNotTaken(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		c := s.login()
		began := time.Now()
		for {
			if _, err := io.WriteString(c.conn, strings.Repeat("HELP\r\n", 100)); err != nil {
				break
			}
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("the session ended after %s", took)
		}
		synctest.Wait()
		if n := len(s.srv.Sessions()); n != 0 {
			t.Errorf("%d sessions left", n)
		}
	})
}
