package ftpserver_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/memnet"
)

func TestShutdown(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			a, b := s.login(), s.dial()
			if err := s.srv.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			a.want("", 421)
			a.eof()
			b.want("", 421)
			b.eof()
			if _, err := s.net.Dial(t.Context(), "tcp", s.addr); err == nil {
				t.Error("a new session: got no error")
			}
		})
	})
	t.Run("transfer-ends-first", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			c := s.login()
			data := c.epsv()
			c.want("STOR f", 150)
			done := make(chan error, 1)
			go func() { done <- s.srv.Shutdown(t.Context()) }()
			synctest.Wait()
			if _, err := io.WriteString(data, "whole"); err != nil {
				t.Fatal(err)
			}
			if err := data.Close(); err != nil {
				t.Fatal(err)
			}
			c.want("", 226)
			c.want("", 421)
			c.eof()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if got := s.read("f"); got != "whole" {
				t.Errorf("got %q", got)
			}
		})
	})
	t.Run("deadline", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *site) {
			c := s.login()
			data := c.epsv()
			c.want("STOR f", 150)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := s.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the deadline", err)
			}
			if err := s.srv.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := data.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("the data connection: got %v, want it cut", err)
			}
			if got := s.names(""); got != "" {
				t.Errorf("left behind: %q", got)
			}
		})
	})
	t.Run("before-serve", func(t *testing.T) {
		srv := &ftpserver.Server{Settings: ftpserver.Settings{Authenticate: func(context.Context, ftpserver.Login) (ftpserver.Account, error) {
			return ftpserver.Account{}, nil
		}}}
		if err := errors.Join(srv.Shutdown(t.Context()), srv.Close()); err != nil {
			t.Fatal(err)
		}
		l, err := new(memnet.Network).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Serve(l); !errors.Is(err, ftpserver.ErrServerClosed) {
			t.Errorf("got %v, want ErrServerClosed", err)
		}
	})
}

// TestShutdownHeldUp: a client that takes no replies holds Shutdown up for no
// longer than its own reply may take.
func TestShutdownHeldUp(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		for range 5 {
			c := s.login()
			var full sync.WaitGroup
			full.Go(func() {
				for {
					if _, err := io.WriteString(c.conn, strings.Repeat("HELP\r\n", 100)); err != nil {
						return
					}
				}
			})
			defer full.Wait()
		}
		synctest.Wait()
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("Shutdown took %s, want the second it was given", took)
		}
		if err := s.srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// shaky is a listener whose accepts fail now and then.
type shaky struct {
	net.Listener
	fails int
}

func (l *shaky) Accept() (net.Conn, error) {
	if l.fails > 0 {
		l.fails--
		return nil, syscall.EMFILE
	}
	return l.Listener.Accept()
}

// TestAcceptFails: want of file descriptors passes, and the server is still there.
func TestAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &memnet.Network{}
		s := newSite(t, n, nil)
		l, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.serve(&shaky{Listener: l, fails: 10})
		s.login().want("NOOP", 200)
	})
}

// TestServeAgain serves a second listener when the first has ended by itself.
func TestServeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &memnet.Network{}
		srv, tree, err := newServer(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		srv.Network = n
		l, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := srv.Serve(l); err == nil || errors.Is(err, ftpserver.ErrServerClosed) {
			t.Errorf("a listener closed by others: got %v", err)
		}
		if l, err = n.Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		s := &site{t: t, srv: srv, net: n}
		t.Cleanup(func() {
			if err := tree.Close(); err != nil {
				t.Error(err)
			}
		})
		s.serve(l)
		if got := s.login().get("NLST"); got != "" {
			t.Errorf("got %q", got)
		}
	})
}
