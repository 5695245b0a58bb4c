package ftpserver_test

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/testkit"
)

// TestAtOnce moves small files whose data connection is there before the command, and
// wants their replies, bytes and reports to be those of any other file.
func TestAtOnce(t *testing.T) {
	testkit.NoLeaks(t)
	told := make(chan ftpserver.Transfer, 8)
	s := newSite(t, nil, func(srv *ftpserver.Server) { srv.OnTransfer = func(tr ftpserver.Transfer) { told <- tr } })
	content := strings.Repeat("0123456789", 100)
	s.write("f", content)
	s.write("empty", "")
	c := s.login()
	for _, name := range []string{"f", "empty", "f"} {
		want := content
		if name == "empty" {
			want = ""
		}
		if got := c.get("RETR " + name); got != want {
			t.Errorf("RETR %s: got %d bytes", name, len(got))
		}
		if tr := <-told; tr.Verb != "RETR" || tr.Bytes != int64(len(want)) || tr.Err != nil {
			t.Errorf("told of %+v", tr)
		}
	}
	c.want("REST 990", 350)
	if got := c.get("RETR f"); got != content[990:] {
		t.Errorf("REST: got %q", got)
	}
	<-told
	for _, want := range []string{content, "", content[:10]} {
		c.put("STOR g", want)
		if got := s.read("g"); got != want {
			t.Errorf("STOR: got %d bytes, want %d", len(got), len(want))
		}
		if tr := <-told; tr.Verb != "STOR" || tr.Bytes != int64(len(want)) || tr.Err != nil {
			t.Errorf("told of %+v", tr)
		}
	}
	if names := s.names("."); names != "empty f g" {
		t.Errorf("left behind: %s", names)
	}
}

// TestAtOnceHandsOver has an upload that takes longer than a session waits for: its
// commands are answered meanwhile, and no byte is lost.
func TestAtOnceHandsOver(t *testing.T) {
	testkit.NoLeaks(t)
	s := newSite(t, nil, nil)
	c := s.login()
	data := c.epsv()
	c.want("STOR f", 150)
	for _, part := range []string{"first ", "second ", "third"} {
		if _, err := io.WriteString(data, part); err != nil {
			t.Fatal(err)
		}
		c.want("STAT", 211) // comes only from a session that waits for commands again
	}
	if err := data.Close(); err != nil {
		t.Fatal(err)
	}
	c.want("", 226)
	if got := s.read("f"); got != "first second third" {
		t.Errorf("got %q", got)
	}
	data = c.epsv()
	c.want("STOR f", 150)
	if _, err := io.WriteString(data, "not whole"); err != nil {
		t.Fatal(err)
	}
	c.want("ABOR", 426)
	c.want("", 226)
	if got := s.read("f"); got != "first second third" {
		t.Errorf("an aborted upload: got %q", got)
	}
}

// TestAtOnceKilledClient has clients that are killed while they upload: the system
// ends their connections in order, and the upload is not published all the same.
func TestAtOnceKilledClient(t *testing.T) {
	testkit.NoLeaks(t)
	told := make(chan ftpserver.Transfer, 1)
	s := newSite(t, nil, func(srv *ftpserver.Server) { srv.OnTransfer = func(tr ftpserver.Transfer) { told <- tr } })
	for range 20 {
		c := s.login()
		data := c.epsv()
		c.want("STOR f", ftp.CodeDataOpen)
		if _, err := io.WriteString(data, "not whole"); err != nil {
			t.Fatal(err)
		}
		if err := c.conn.Close(); err != nil {
			t.Fatal(err)
		}
		if err := data.Close(); err != nil {
			t.Fatal(err)
		}
		select {
		case tr := <-told:
			if tr.Err == nil {
				t.Error("the upload of a client that was killed was published")
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the upload does not end")
		}
		if _, err := os.Stat(s.dir + "/f"); err == nil {
			t.Fatal("f is there")
		}
	}
}
