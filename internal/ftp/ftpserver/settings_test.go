package ftpserver_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpserver"
)

// TestApply changes the settings of a server that serves: sessions to come have
// them, one that runs keeps its own, and passive ports move once nobody waits.
func TestApply(t *testing.T) {
	bubble(t, ranged, func(t *testing.T, s *site) {
		s.write("f", "x")
		old := s.login()
		port := old.port()
		set := s.srv.Settings
		set.Name = "Renewed"
		set.Passive = ftpserver.Passive{Low: 6000, High: 6001}
		ask := set.Authenticate
		set.Authenticate = func(ctx context.Context, l ftpserver.Login) (ftpserver.Account, error) {
			if l.User == "anna" {
				return ftpserver.Account{}, fault.New(fault.Unauthenticated, "anna has left")
			}
			return ask(ctx, l)
		}
		set.Limits.Sessions = 2
		if err := s.srv.Apply(set); err != nil {
			t.Fatal(err)
		}

		fresh := s.connect(s.addr)
		if got := fresh.want("", 220).Text(); got != "Renewed FTP server ready" {
			t.Errorf("banner of a session to come: got %q", got)
		}
		fresh.want("USER anna", 331)
		fresh.want("PASS secret", 530)
		fresh.want("USER guest", 331)
		fresh.want("PASS x", 230)
		if p := fresh.port(); p != 6000 {
			t.Errorf("a session to come got port %d, want 6000", p)
		}
		s.connect(s.addr).want("", 421) // those that run count

		data := old.dialData(port) // promised before
		old.want("RETR f", 150)
		if b, err := io.ReadAll(data); err != nil || string(b) != "x" {
			t.Errorf("at the old port: got %q, %v", b, err)
		}
		old.want("", 226)
		synctest.Wait()
		if conn, err := s.net.Dial(t.Context(), "tcp", "127.0.0.1:5000"); err == nil {
			_ = conn.Close()
			t.Error("the old port is open, and nobody waits there")
		}
		old.want("USER anna", 331)
		old.want("PASS secret", 230)
		if p := old.port(); p != 6001 && p != 6000 {
			t.Errorf("the session that runs got port %d of the old range", p)
		}

		set.Passive = ftpserver.Passive{Low: 7000}
		if err := s.srv.Apply(set); fault.KindOf(err) != fault.Invalid {
			t.Errorf("settings that cannot work: got %v, want Invalid", err)
		}
		if p := fresh.port(); p != 6000 && p != 6001 {
			t.Errorf("refused settings took effect: port %d", p)
		}
	})
}
