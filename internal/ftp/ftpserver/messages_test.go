package ftpserver_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/memnet"
)

// TestMessages fills variables in, in replies of many lines that are formed right
// whatever stands in them.
func TestMessages(t *testing.T) {
	bubble(t, func(srv *ftpserver.Server) {
		srv.Messages = ftpserver.Messages{
			Banner:   []string{"220 is no end", "Site %SiteName%, user %UserName%."},
			Greeting: []string{"Welcome %UserName% to %SiteName%,", "session %SessionID%, 100 %"},
			Exit:     []string{"You had %BytesReceived% and sent %BytesSent% bytes", "221 Bye"},
			Full:     []string{"%SiteName% is full"},
			SiteName: "softwares",
		}
		srv.Limits.Sessions = 1
	}, func(t *testing.T, s *site) {
		s.write("f", "12345")
		c := s.connect(s.addr)
		if got := c.want("", 220).Text(); got != "220 is no end\nSite softwares, user ." {
			t.Errorf("banner: got %q", got)
		}
		if got := s.connect(s.addr).want("", 421).Text(); got != "softwares is full\nToo many sessions: 1 at once is the most, try again later" {
			t.Errorf("full: got %q", got)
		}
		c.want("USER anna", 331)
		if got := c.want("PASS secret", 230).Text(); got != "Welcome anna to softwares,\nsession 1, 100 %\nLogged in" {
			t.Errorf("greeting: got %q", got)
		}
		c.want("TYPE I", 200)
		c.get("RETR f")
		c.put("STOR g", "123")
		if got := c.want("QUIT", 221).Text(); got != "You had 5 and sent 3 bytes\n221 Bye" {
			t.Errorf("exit: got %q", got)
		}
		c.eof()
	})
}

// TestFolderMessage shows a folder's file to whoever enters it, bounded, and no
// other file in its place.
func TestFolderMessage(t *testing.T) {
	bubble(t, func(srv *ftpserver.Server) {
		srv.Messages = ftpserver.Messages{FolderFile: ".message", SiteName: "softwares"}
	}, func(t *testing.T, s *site) {
		s.write("plain/f", "x")
		s.write("greeted/.message", "This is %SiteName%.\r\n\n250 not the end\n")
		s.write("long/.message", strings.Repeat("x", 1<<20))
		s.write("many/.message", strings.Repeat("x\n", 1000))
		s.write("binary/.message", "a\x00b\xffc")
		s.write("folder/.message/f", "x")
		if err := os.MkdirAll(filepath.Join(s.dir, "out"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/etc/passwd", filepath.Join(s.dir, "out", ".message")); err != nil {
			t.Fatal(err)
		}
		c := s.login()
		if got := c.want("CWD greeted", 250).Text(); got != "This is softwares.\n\n250 not the end\nDirectory changed to \"/greeted\"" {
			t.Errorf("got %q", got)
		}
		if got := c.want("CWD .", 250).Text(); got != `Directory changed to "/greeted"` {
			t.Errorf("the same again: got %q", got)
		}
		if got := c.want("CWD ../long", 250).Text(); len(got) > 5000 {
			t.Errorf("a long one: got %d bytes", len(got))
		}
		if got := c.want("CWD ../many", 250).Lines; len(got) > 42 {
			t.Errorf("one of many lines: got %d", len(got))
		}
		if got := c.want("CWD ../binary", 250).Lines; !slices.Equal(got, []string{"a?b?c", `Directory changed to "/binary"`}) {
			t.Errorf("binary: got %q", got)
		}
		for _, other := range []string{"plain", "folder", "out"} {
			if got := c.want("CWD ../"+other, 250).Text(); got != `Directory changed to "/`+other+`"` {
				t.Errorf("%s: got %q", other, got)
			}
		}
	})
}

// TestUserLimit counts the sessions of one account, wherever they come from.
func TestUserLimit(t *testing.T) {
	n := &memnet.Network{}
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, n, func(srv *ftpserver.Server) { srv.Limits.SessionsPerUser = 2 })
		a := s.login()
		n.Source = netip.MustParseAddr("10.0.0.2")
		b := s.login()
		n.Source = netip.MustParseAddr("10.0.0.3")
		c := s.dial()
		c.want("USER anna", 331)
		if got := c.want("PASS secret", 530).Text(); got != "Too many sessions of this user: 2 at once is the most, try again later" {
			t.Errorf("got %q", got)
		}
		c.want("USER guest", 331)
		c.want("PASS x", 230)
		b.want("USER guest", 331) // leaves anna
		c.want("USER anna", 331)
		c.want("PASS secret", 230)
		a.want("QUIT", 221)
		a.eof()
		synctest.Wait()
		b.want("PASS x", 230)
		b.want("USER anna", 331)
		b.want("PASS secret", 230)
	})
}
