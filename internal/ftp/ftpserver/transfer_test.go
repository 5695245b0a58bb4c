package ftpserver_test

import (
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/netx"
)

func TestTransfers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		c := s.login()
		for _, content := range []string{"", "x", strings.Repeat("0123456789", 100_000)} {
			c.put("STOR f", content)
			if got := s.read("f"); got != content {
				t.Errorf("uploaded: got %d bytes, want %d", len(got), len(content))
			}
			if got := c.get("RETR f"); got != content {
				t.Errorf("downloaded: got %d bytes, want %d", len(got), len(content))
			}
			if got := c.want("SIZE f", 213).Text(); got != strconv.Itoa(len(content)) {
				t.Errorf("SIZE: got %s, want %d", got, len(content))
			}
		}
		c.put("STOR f", "hello world")
		c.put("APPE f", "!")
		c.want("REST 6", 350)
		if got := c.get("RETR f"); got != "world!" {
			t.Errorf("after REST: got %q", got)
		}
		if got := c.get("RETR f"); got != "hello world!" {
			t.Errorf("REST is for one transfer: got %q", got)
		}
		c.want("REST 6", 350)
		c.put("STOR f", "there")
		if got := s.read("f"); got != "hello there!" {
			t.Errorf("upload from byte 6: got %q", got)
		}
		c.want("REST 12", 350)
		if got := c.get("RETR f"); got != "" {
			t.Errorf("from the end: got %q", got)
		}
		for _, command := range []string{"RETR f", "STOR f"} {
			c.want("REST 13", 350)
			c.want(command, 554)
		}
		c.want("MFMT 20240528091500 f", 213)
		if got := c.want("MDTM f", 213).Text(); got != "20240528091500" {
			t.Errorf("MDTM: got %s", got)
		}
		c.want("RNFR f", 350)
		c.want("RNTO g h", 250)
		if got := c.get("RETR g h"); got != "hello there!" {
			t.Errorf("renamed: got %q", got)
		}
		c.want("DELE g h", 250)
		if got := s.names(""); got != "" {
			t.Errorf("left behind: %q", got)
		}
	})
}

// TestPublished: nothing is to be seen of an upload before its 226, and all of it
// then.
func TestPublished(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		s.write("f", "old")
		c, other := s.login(), s.login()
		data := c.epsv()
		c.want("STOR f", 150)
		if _, err := io.WriteString(data, "new"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := other.get("RETR f"); got != "old" {
			t.Errorf("during the upload: got %q", got)
		}
		if got := other.get("NLST"); got != "f\r\n" {
			t.Errorf("listed during the upload: %q", got)
		}
		if err := data.Close(); err != nil {
			t.Fatal(err)
		}
		c.want("", 226)
		if got := other.get("RETR f"); got != "new" {
			t.Errorf("after 226: got %q", got)
		}
	})
}

// TestCut breaks uploads off in every way: 426, the old file, no part.
func TestCut(t *testing.T) {
	for name, cut := range map[string]func(c *client, data net.Conn){
		"reset":   func(_ *client, data net.Conn) { _ = netx.Reset(data) },
		"abort":   func(c *client, _ net.Conn) { c.send("ABOR\r\n") },
		"control": func(c *client, _ net.Conn) { _ = c.conn.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *site) {
				s.write("f", "old")
				c := s.login()
				data := c.epsv()
				c.want("STOR f", 150)
				if _, err := io.WriteString(data, "half"); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				cut(c, data)
				switch name {
				case "reset":
					c.want("", 426)
				case "abort":
					c.want("", 426)
					c.want("", 226)
				}
				synctest.Wait()
				if name != "control" {
					c.want("NOOP", 200)
				} else if n := len(s.srv.Sessions()); n != 0 {
					t.Errorf("%d sessions left", n)
				}
				if got := s.names(""); got != "f" || s.read("f") != "old" {
					t.Errorf("left: %q, content %q", got, s.read("f"))
				}
			})
		})
	}
}

func TestAbort(t *testing.T) {
	// Interrupt and synch as RFC 959 section 4.1.3 has them, with and without the
	// data mark that urgent data may lose.
	for name, prefix := range map[string]string{"bare": "", "telnet": "\xff\xf4\xff\xf2", "mark-lost": "\xff\xf4\xff", "mark-alone": "\xf2"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *site) {
				s.write("f", strings.Repeat("x", 1<<20))
				c := s.login()
				c.want(prefix+"ABOR", 225)
				data := c.epsv()
				c.want("RETR f", 150)
				c.want(prefix+"abor", 426)
				c.want("", 226)
				if _, err := io.Copy(io.Discard, data); err == nil {
					t.Error("a download that was aborted: got a clean end")
				}
				if got := c.get("RETR f"); len(got) != 1<<20 {
					t.Errorf("the next download: got %d bytes", len(got))
				}
				c.want("EPSV", 229)
				c.send("RETR f\r\n") // waits for the data connection
				synctest.Wait()
				c.want("ABOR", 426)
				c.want("", 226)
				c.want("ABOR", 225)
			})
		})
	}
}

// TestDuring sends what may and what may not be looked at during a transfer.
func TestDuring(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		c := s.login()
		data := c.epsv()
		c.want("STOR f", 150)
		if _, err := io.WriteString(data, "four"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := c.want("STAT", 211).Text(); !strings.Contains(got, `STOR "/f" is under way, 4 bytes so far`) && !strings.Contains(got, `STOR "/f" is under way, 0 bytes so far`) {
			t.Errorf("STAT: got %q", got)
		}
		c.send("NOOP\r\nPWD\r\nQUIT\r\nNOOP\r\n")
		synctest.Wait()
		if err := data.Close(); err != nil {
			t.Fatal(err)
		}
		for _, code := range []ftp.Code{226, 200, 257, 221} {
			c.want("", code)
		}
		c.eof()
		if got := s.read("f"); got != "four" {
			t.Errorf("got %q", got)
		}
	})
}

// TestPipelined sends everything at once, transfers included.
func TestPipelined(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		s.write("a", "A")
		s.write("b", "B")
		c := s.dial()
		c.send("USER anna\r\nPASS secret\r\nTYPE I\r\nSIZE a\r\nMKD d\r\nRNFR a\r\nRNTO d/a\r\nEPSV\r\n")
		for _, code := range []ftp.Code{331, 230, 200, 213, 257, 350, 250} {
			c.want("", code)
		}
		port, err := ftp.ParseEpsvReply(c.want("", 229))
		if err != nil {
			t.Fatal(err)
		}
		c.send("RETR d/a\r\nEPSV\r\nRETR b\r\nQUIT\r\n")
		for _, want := range []string{"A", "B"} {
			data := c.dialData(port)
			c.want("", 150)
			if b, err := io.ReadAll(data); err != nil || string(b) != want {
				t.Errorf("got %q, %v, want %q", b, err, want)
			}
			c.want("", 226)
			if want == "A" {
				if port, err = ftp.ParseEpsvReply(c.want("", 229)); err != nil {
					t.Fatal(err)
				}
			}
		}
		c.want("", 221)
		c.eof()
	})
}

// TestText converts line ends both ways, wherever they fall.
func TestText(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		c := s.login()
		c.want("TYPE A", 200)
		long := strings.Repeat(strings.Repeat("x", 1021)+"\n", 100)
		for _, q := range []struct{ file, wire string }{
			{"", ""},
			{"a\nb\n", "a\r\nb\r\n"},
			{"\n\n", "\r\n\r\n"},
			{"no end", "no end"},
			{"a\rb", "a\rb"},
			{"end\r", "end\r"},
			{long, strings.ReplaceAll(long, "\n", "\r\n")},
		} {
			s.write("f", q.file)
			if got := c.get("RETR f"); got != q.wire {
				t.Errorf("download of %.20q: got %d bytes %.40q, want %d", q.file, len(got), got, len(q.wire))
			}
			c.put("STOR g", q.wire)
			if got := s.read("g"); got != q.file {
				t.Errorf("upload of %.20q: got %d bytes %.40q, want %d", q.wire, len(got), got, len(q.file))
			}
		}
		s.write("f", "dos\r\nfile\r\n")
		if got := c.get("RETR f"); got != "dos\r\nfile\r\n" {
			t.Errorf("a file with CR LF of its own: got %q", got)
		}
		c.put("APPE g2", "a\r\n")
		c.put("APPE g2", "b\r\n")
		if got := s.read("g2"); got != "a\nb\n" {
			t.Errorf("appended: got %q", got)
		}
		c.want("SIZE f", 550)
		c.want("REST 3", 350)
		c.want("RETR f", 504)
	})
}

// TestActive dials the client, and nobody else.
func TestActive(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		s.write("f", "x")
		c := s.login()
		l, err := s.net.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ap := netip.MustParseAddrPort(l.Addr().String())
		for _, command := range []string{"PORT " + ftp.FormatPort(ap), "EPRT " + ftp.FormatEprt(ap)} {
			c.want(command, 200)
			c.send("RETR f\r\n")
			data, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			c.want("", 150)
			if b, err := io.ReadAll(data); err != nil || string(b) != "x" {
				t.Errorf("got %q, %v", b, err)
			}
			c.want("", 226)
			c.want("RETR f", 425) // once only
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		c.want("PORT "+ftp.FormatPort(ap), 200)
		if got := c.want("RETR f", 425).Text(); !strings.Contains(got, "passive mode") {
			t.Errorf("nobody listens: got %q, want what else to try", got)
		}
	})
}

func TestReadOnly(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		s.write("f", "x")
		c := s.dial()
		c.want("USER guest", 331)
		c.want("PASS me@example.com", 230)
		for _, cmd := range ftpserver.Commands() {
			if cmd.Writes {
				if got := c.want(cmd.Verb+" f", 550).Text(); !strings.HasPrefix(got, "Read-only") {
					t.Errorf("%s: got %q", cmd.Verb, got)
				}
			}
		}
		if got := c.want("MLST f", 250).Text(); !strings.Contains(got, "perm=r;") {
			t.Errorf("MLST: got %q", got)
		}
		if got := c.get("RETR f"); got != "x" {
			t.Errorf("RETR: got %q", got)
		}
		if got := s.names(""); got != "f" || s.read("f") != "x" {
			t.Errorf("changed: %q", got)
		}
	})
}

// TestTold compares what OnTransfer was told with what was done.
func TestTold(t *testing.T) {
	var told []ftpserver.Transfer
	bubble(t, func(srv *ftpserver.Server) {
		srv.OnTransfer = func(x ftpserver.Transfer) { told = append(told, x) }
	}, func(t *testing.T, s *site) {
		c := s.login()
		c.put("STOR f", "four")
		c.get("RETR f")
		c.get("LIST")
		data := c.epsv()
		c.want("STOR g", 150)
		_ = netx.Reset(data)
		c.want("", 426)
		if len(told) != 3 {
			t.Fatalf("told of %d transfers, want 3", len(told))
		}
		for i, want := range []ftpserver.Transfer{{Verb: "STOR", Path: "/f", Bytes: 4}, {Verb: "RETR", Path: "/f", Bytes: 4}, {Verb: "STOR", Path: "/g"}} {
			got := told[i]
			if got.Verb != want.Verb || got.Path != want.Path || got.Bytes != want.Bytes || got.Account != "anna" || (got.Err != nil) != (i == 2) {
				t.Errorf("told %+v, want %+v", got, want)
			}
		}
	})
}
