package ftpserver_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpserver"
)

// brokenTree is a tree on a disk that fails.
type brokenTree struct {
	ftpserver.Tree
	stat, commit, free error
}

func (b brokenTree) Free(name string) (uint64, error) {
	if b.free != nil {
		return 0, b.free
	}
	return b.Tree.Free(name)
}

func (b brokenTree) Stat(name string) (fs.FileInfo, error) {
	if b.stat != nil {
		return nil, b.stat
	}
	return b.Tree.Stat(name)
}

func (b brokenTree) Create(name string) (ftpserver.Upload, error) {
	u, err := b.Tree.Create(name)
	return brokenUpload{u, b.commit}, err
}

type brokenUpload struct {
	ftpserver.Upload
	commit error
}

func (b brokenUpload) Commit() error { return errors.Join(b.commit, b.Abort()) }

// lockedBuffer is a log that many goroutines write.
type lockedBuffer struct {
	mu  sync.Mutex // guards the following
	buf bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// breaking wraps the account's tree and keeps the log.
func breaking(log *lockedBuffer, broken brokenTree) func(*ftpserver.Server) {
	return func(srv *ftpserver.Server) {
		srv.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		whole := srv.Authenticate
		srv.Authenticate = func(ctx context.Context, l ftpserver.Login) (ftpserver.Account, error) {
			a, err := whole(ctx, l)
			broken.Tree = a.Tree
			a.Tree = broken
			return a, err
		}
	}
}

// TestInternalFault: the client reads a number, the log the whole.
func TestInternalFault(t *testing.T) {
	var log lockedBuffer
	bubble(t, breaking(&log, brokenTree{stat: errors.New("sector 7 of /dev/sda1 is gone")}), func(t *testing.T, s *site) {
		c := s.login()
		if got := c.want("CWD x", 451).Text(); got != "Internal fault, recorded in the server's log as 1-1" {
			t.Errorf("got %q", got)
		}
		if got := c.want("SIZE x", 451).Text(); !strings.HasSuffix(got, "1-2") {
			t.Errorf("got %q", got)
		}
	})
	if got := log.String(); !strings.Contains(got, "fault=1-1") || !strings.Contains(got, "sector 7") {
		t.Errorf("log: %s", got)
	}
}

// TestCommitFails: what could not be published is not acknowledged.
func TestCommitFails(t *testing.T) {
	for kind, code := range map[fault.Kind]ftp.Code{fault.Full: 552, fault.Denied: 550, fault.Busy: 450, fault.Internal: 451} {
		t.Run(kind.String(), func(t *testing.T) {
			var log lockedBuffer
			bubble(t, breaking(&log, brokenTree{commit: fault.New(kind, "no luck")}), func(t *testing.T, s *site) {
				c := s.login()
				data := c.epsv()
				c.want("STOR f", 150)
				if err := data.Close(); err != nil {
					t.Fatal(err)
				}
				c.want("", code)
				if got := s.names(""); got != "" {
					t.Errorf("left behind: %q", got)
				}
			})
		})
	}
}

// TestRefusedLogins tells what may be told of a refusal, and no more.
func TestRefusedLogins(t *testing.T) {
	for name, q := range map[string]struct {
		err  error
		want string
	}{
		"unknown":  {fault.New(fault.Unauthenticated, "user anna has another password"), "Wrong user name or password"},
		"missing":  {fault.New(fault.NotFound, "no user anna"), "Wrong user name or password"},
		"denied":   {fault.New(fault.Denied, "the account is locked").WithHint("ask the administrator"), "The account is locked (ask the administrator)"},
		"broken":   {errors.New("ldap://10.0.0.1: no route"), "The login cannot be checked now, try again later"},
		"no-files": {nil, "The login cannot be checked now, try again later"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(srv *ftpserver.Server) {
				srv.Authenticate = func(context.Context, ftpserver.Login) (ftpserver.Account, error) {
					return ftpserver.Account{}, q.err
				}
			}, func(t *testing.T, s *site) {
				c := s.dial()
				c.want("USER anna", 331)
				if got := c.want("PASS x", 530).Text(); got != q.want {
					t.Errorf("got %q, want %q", got, q.want)
				}
				c.want("PWD", 530)
			})
		})
	}
}

// TestReleased: each account that was entered is left once.
func TestReleased(t *testing.T) {
	var entered, left int
	bubble(t, func(srv *ftpserver.Server) {
		whole := srv.Authenticate
		srv.Authenticate = func(ctx context.Context, l ftpserver.Login) (ftpserver.Account, error) {
			a, err := whole(ctx, l)
			entered++
			a.Release = func() { left++ }
			return a, err
		}
	}, func(t *testing.T, s *site) {
		c := s.login()
		c.want("USER guest", 331)
		if entered != 1 || left != 1 {
			t.Errorf("after a second USER: entered %d, left %d", entered, left)
		}
		c.want("PASS x", 230)
		if err := s.srv.Close(); err != nil {
			t.Error(err)
		}
		if entered != 2 || left != 2 {
			t.Errorf("after the end: entered %d, left %d", entered, left)
		}
	})
}

// TestLogKeepsSecrets types a password in every place where one is typed by
// mistake; the log has none of them.
func TestLogKeepsSecrets(t *testing.T) {
	var log lockedBuffer
	bubble(t, breaking(&log, brokenTree{}), func(t *testing.T, s *site) {
		c := s.dial()
		c.want("USER hunter2", 331)
		c.want("PASS hunter2", 530)
		c.want("PASS hunter2", 503)
		c.want("pass hunter2", 503)
		c.want("ACCT hunter2", 202)
		c.want("USER anna", 331)
		c.want("PASS secret", 230)
		c.want("PWD", 257)
		c.want("QUIT", 221)
		c.eof()
	})
	got := log.String()
	for _, secret := range []string{"hunter2", "PASS secret", `PASS \"secret`} {
		if strings.Contains(got, secret) {
			t.Errorf("the log has %q: %s", secret, got)
		}
	}
	if !strings.Contains(got, "user=anna") || !strings.Contains(got, "command=PWD") {
		t.Errorf("the log lacks what it should have: %s", got)
	}
}
