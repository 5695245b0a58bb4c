package ftpserver_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/testkit"
)

// walled is a site over the folder home of a new folder, with a file outside that
// nobody may read or change. check wants the outside as it was.
func walled(t testing.TB, n *memnet.Network, files ...string) (s *site, check func()) {
	t.Helper()
	top := t.TempDir()
	testkit.MakeFS(t, top, append([]string{"home/f=fine", "outside/f=secret", "outside/d/"}, files...))
	srv, tree, err := newServer(filepath.Join(top, "home"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	s = newSite(t, n, func(own *ftpserver.Server) { own.Authenticate = srv.Authenticate })
	s.dir = filepath.Join(top, "home")
	return s, func() {
		t.Helper()
		if b, err := os.ReadFile(filepath.Join(top, "outside", "f")); err != nil || string(b) != "secret" {
			t.Errorf("the file outside: got %q, %v", b, err)
		}
		for folder, want := range map[string]int{"": 2, "outside": 2, "outside/d": 0} {
			if entries, err := os.ReadDir(filepath.Join(top, folder)); err != nil || len(entries) != want {
				t.Errorf("outside, in %q: got %v, %v, want %d entries", folder, entries, err, want)
			}
		}
	}
}

// pathCommands are the commands that take a path, with what stands before it.
var pathCommands = []string{
	"CWD", "RETR", "STOR", "APPE", "STOU", "LIST", "NLST", "MLSD", "MLST", "SIZE", "MDTM", "STAT", "AVBL", "MKD", "RMD", "DELE", "RNFR",
	"MFMT 20240101000000", "SITE CHMOD 777", "SITE UTIME 20240101000000", "RNFR f\r\nRNTO",
}

// intrude runs a command with a data connection that both writes and reads, and
// returns what it read.
func (c *client) intrude(command string) string {
	c.t.Helper()
	data := c.epsv()
	_, _ = io.WriteString(data, "intruder") // nobody may have an ear for it
	_, _ = netx.CloseWrite(data)
	c.send(command + "\r\nSYST\r\n")
	for c.reply().Code != 215 { // which SYST alone is answered with
	}
	c.want("ABOR", 225) // resets the data connection, if the command did not take it
	b, _ := io.ReadAll(data)
	return string(b)
}

// TestTraversal: no spelling of "above" leads out of the folder, in any command.
func TestTraversal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, check := walled(t, memory())
		for _, path := range []string{
			"../outside/f", "/../outside/f", "a/../../outside/f", "./../outside/f", "..//outside//f", "../../../../../../outside/f", "/./../outside/d", "f/../../outside/new",
			`..\outside\f`, `\..\outside\f`, "..%2foutside%2ff", "%2e%2e/outside/f", "..%c0%afoutside/f", "..\xc0\xafoutside/f", "\u002e\u002e/outside/f", "..;/outside/f", "... /../outside/f", "~/../outside/f",
			"/" + strings.Repeat("../", 1000) + "outside/f", filepath.Join(filepath.Dir(s.dir), "outside", "f"), "file://" + filepath.Join(filepath.Dir(s.dir), "outside", "f"),
		} {
			c := s.login()
			for _, command := range pathCommands {
				c.want("CWD /", 250)
				if got := c.intrude(command + " " + path); strings.Contains(got, "secret") {
					t.Errorf("%s %q read what is outside", command, path)
				}
			}
			if got, err := ftp.ParseQuotedPath(c.want("PWD", 257).Text()); err != nil || !strings.HasPrefix(got, "/") || strings.Contains(got, "..") && !strings.ContainsAny(got, `\%;.`) {
				t.Errorf("PWD: got %q, %v", got, err)
			}
			c.want("QUIT", 221)
			check()
		}
	})
}

// TestFolderSwapped turns a folder into a link that leads out, and back, while a
// client does everything to it that a client can.
func TestFolderSwapped(t *testing.T) {
	s, check := walled(t, memory(), "home/swap/f=fine", "home/keep/")
	swap, aside := filepath.Join(s.dir, "swap"), filepath.Join(s.dir, "aside")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			// The folder may have been moved or filled meanwhile: that is the game.
			_ = os.Rename(swap, aside)
			_ = os.Symlink("../outside", swap)
			_ = os.Remove(swap)
			_ = os.Rename(aside, swap)
		}
	})
	c := s.login()
	for i := range 25 {
		for _, command := range []string{
			"RETR swap/f", "STOR swap/f", "STOR swap/new", "APPE swap/f", "STOU swap/u", "LIST swap", "NLST swap/*", "MLSD swap", "MLST swap/f", "STAT swap", "DELE swap/new", "MKD swap/d", "RMD swap/d",
			"MFMT 20240101000000 swap/f", "SITE CHMOD 604 swap/f", "CWD swap", "RETR f", "STOR f2", "CWD /",
		} {
			if got := c.intrude(command); strings.Contains(got, "secret") {
				t.Fatalf("round %d: %s read what is outside: %q", i, command, got)
			}
		}
	}
	close(stop)
	wg.Wait()
	check()
}

// TestNoBounce: data connections go to the client's own address and to no port
// below 1024, whichever way another is asked for; nothing is dialled for those.
func TestNoBounce(t *testing.T) {
	n := &memnet.Network{}
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, n, nil)
		s.write("f", "x")
		c := s.login()
		var dialled []string
		n.OnDial = func(addr string) error { dialled = append(dialled, addr); return errors.New("nobody there") }
		for _, w := range []string{
			"PORT 10,0,0,1,31,144 504", "PORT 127,0,0,2,31,144 504", "PORT 127,0,0,1,0,21 504", "PORT 127,0,0,1,3,255 504", "PORT 127,0,0,1,0,0 501", "PORT 255,255,255,255,31,144 504",
			"PORT 0,0,0,0,0,25 504", "PORT 0127,0,0,1,31,144 501", "PORT 127,0,0,1,031,0144 501", "PORT 127,0,0,1,31,256 501", "PORT -1,0,0,1,31,144 501", "PORT 127.0.0.1,31,144 501", "PORT 127,0,0,1,31,144,1 501",
			"EPRT |1|10.0.0.1|8080| 504", "EPRT |1|127.0.0.1|22| 504", "EPRT |1|127.0.0.1|65536| 501", "EPRT |1|127.0.0.1|0| 501", "EPRT |1|localhost|8080| 501", "EPRT |1|127.1|8080| 501", "EPRT |1|0x7f000001|8080| 501",
			"EPRT |2|::ffff:10.0.0.1|8080| 504", "EPRT |2|::1|8080| 522", "EPRT |2|fe80::1%lo|8080| 501", "EPRT |1|127.0.0.1|8080|| 501", "EPRT |1|127.0.0.1|8080 501",
		} {
			c.want("PORT 127,0,0,1,200,200", 200) // a refused one does not leave the old address, or does: it is the client's own
			c.word(w)
			c.want("RETR f", 425)
		}
		for _, addr := range dialled {
			if addr != "127.0.0.1:51400" {
				t.Errorf("the server dialled %s", addr)
			}
		}
	})
}

// TestNoForgedReply: a file's name never stands where a client, or a firewall that
// reads along, could take it for a reply (CERT VU#328867).
func TestNoForgedReply(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		const forged = "227 Entering Passive Mode (127,0,0,1,200,200)"
		for _, name := range []string{forged, "\r\n" + forged + "\r\n", "x\r\n221-", "211 End", "x\n213 End"} {
			s.write("d/"+name, "x")
		}
		c := s.login()
		var raw bytes.Buffer
		c.in = ftp.NewReader(io.TeeReader(c.conn, &raw), 0)
		for _, w := range []string{"STAT d 212", "STAT d/" + forged + " 213", "MLST d/" + forged + " 250", "RETR " + forged + " 550", "CWD " + forged + " 550", "STAT none/" + forged + " 550", "HELP " + forged + " 501", forged + " 500"} {
			c.word(w)
		}
		data := c.epsv()
		c.want("RETR d/"+forged, 150)
		_, _ = io.ReadAll(data)
		c.want("", 226)
		c.want("NOOP", 200)
		for _, line := range strings.Split(raw.String(), "\n") {
			if strings.HasPrefix(line, "227") || strings.HasPrefix(line, "221") {
				t.Errorf("a line of its own: %q", line)
			}
		}
	})
}

// TestRepliesBounded: no reply is longer than clients may be expected to read,
// whatever names there are.
func TestRepliesBounded(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		for i := range 600 {
			s.write(fmt.Sprintf("d/%04d%s", i, strings.Repeat("x", 250)), "")
		}
		c := s.login()
		r := c.want("STAT d", 212) // ftp.Reader takes 64 KiB and 512 lines
		if last := r.Lines[len(r.Lines)-1]; last != "There are more; use LIST" || len(r.Lines) < 100 {
			t.Errorf("STAT: got %d lines, the last %q", len(r.Lines), last)
		}
		long := strings.Repeat("\x01", 2000)
		for _, command := range []string{"RETR", "CWD", "STOR none/", "MKD none/", "SIZE", "STAT", "LIST", "RNFR", "DELE", "SITE CHMOD 700", "SITE", "OPTS", "HELP", "LANG", "PORT", "EPRT", "EPSV", "REST", "TYPE", "HOST", "AUTH", "MFMT 20240101000000", "ALLO", "CLNT", "ACCT"} {
			c.send(command + " " + long + "\r\n")
			if r := c.reply(); len(r.Text()) > 1100 {
				t.Errorf("%s: got a reply of %d bytes", command, len(r.Text()))
			}
		}
	})
}

// TestPathologicalPatterns: a pattern costs what its length and the folder's size
// say and no more, one that is too long is refused, and a listing that finds
// nothing can be aborted and ends with its session.
func TestPathologicalPatterns(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		for i := range 60 {
			s.write(fmt.Sprintf("d/%s%03d", strings.Repeat("a", 240), i), "")
		}
		c := s.login()
		for _, pattern := range []string{
			strings.Repeat("*a", 126) + "b", strings.Repeat("*", 254) + "b", strings.Repeat("?*", 126) + "b", "*[" + strings.Repeat("b", 250) + "]", strings.Repeat("a*", 100) + "[z]", strings.Repeat("[a-z]*", 40) + "!",
		} {
			for _, command := range []string{"NLST d/", "LIST d/"} {
				if got := c.get(command + pattern); got != "" {
					t.Errorf("%s%.20s…: got %.40q", command, pattern, got)
				}
			}
		}
		for _, w := range []string{
			"NLST " + strings.Repeat("*a", 128) + " 501", "LIST *[" + strings.Repeat("b", 4000) + "] 501", "NLST [ 501", "NLST [a 501", `NLST [\ 501`, "NLST [a-] 501", "NLST [-z] 501",
			"NLST */*/*/* 550", "LIST */x 550", "NLST " + strings.Repeat("*/", 2000) + " 550", "LIST {a,b}{c,d}{e,f} 550", "STAT d/* 550",
		} {
			c.word(w)
		}
	})
}

// TestPatternAborted ends a listing that no name matches, of a folder without end.
func TestPatternAborted(t *testing.T) {
	for _, how := range []string{"ABOR", "cut", "close"} {
		bubble(t, func(srv *ftpserver.Server) { endless(srv) }, func(t *testing.T, s *site) {
			c := s.login()
			c.epsv()
			c.want("NLST none*", 150)
			switch how {
			case "ABOR":
				c.want("ABOR", 426)
				c.want("", 226)
				c.want("NOOP", 200)
			case "cut":
				_ = netx.Reset(c.conn)
				synctest.Wait()
				if n := len(s.srv.Sessions()); n != 0 {
					t.Errorf("%d sessions left", n)
				}
			case "close":
				if err := s.srv.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestDeepFolders goes down as far as paths reach, with the longest names there are.
func TestDeepFolders(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		c := s.login()
		c.in = ftp.NewReader(c.conn, 2*ftp.MaxPath) // the whole path is the answer
		name := strings.Repeat("n", 255)
		depth := 0
		for c.want("CWD /", 250); ; depth++ {
			c.send("MKD " + name + "\r\n")
			if r := c.reply(); r.Code != 257 {
				break
			}
			c.want("CWD "+name, 250)
		}
		if depth != ftp.MaxPath/256 {
			t.Errorf("got %d folders deep, want %d", depth, ftp.MaxPath/256)
		}
		c.want("MKD "+name+"x", 553)
		c.want("STOR f", 553) // the path is as long as it may be
		c.want("CDUP", 250)
		c.put("STOR f", "deep")
		if got := c.get("RETR f"); got != "deep" {
			t.Errorf("got %q", got)
		}
		c.want("DELE f", 250)
		up := strings.Repeat("../", depth)
		for range 50 { // the longest way that a line holds, up and down
			c.want("CWD "+up+strings.Repeat(name+"/../", 10)+name, 250)
			c.want("CDUP", 250)
		}
		for range depth {
			c.want("CWD /"+strings.TrimSuffix(strings.Repeat(name+"/", depth-1), "/"), 250)
			c.want("RMD "+name, 250)
			depth--
		}
		if got := s.names(""); got != "" {
			t.Errorf("left: %.40q", got)
		}
	})
}

// TestPassiveFlood asks for passive ports without end: a session holds one, the
// server no more than it spreads over, and nobody else goes without.
func TestPassiveFlood(t *testing.T) {
	testkit.NoLeaks(t)
	var log lockedBuffer
	opened := &counting{System: netx.System{}}
	s := newSite(t, nil, func(srv *ftpserver.Server) { breaking(&log, brokenTree{})(srv); srv.Network = opened })
	s.write("f", "x")
	c, other := s.login(), s.login()
	for range 500 {
		c.want("PASV", 227)
		c.want("EPSV", 229)
	}
	if n := opened.count(); n > 64 {
		t.Errorf("one session had %d ports opened, want 64 at most", n)
	}
	if got := other.get("RETR f"); got != "x" {
		t.Errorf("another session: got %q", got)
	}
	var many []*client
	for range 100 {
		m := s.login()
		m.want("EPSV", 229)
		many = append(many, m)
	}
	if n := opened.count(); n > 64+101 {
		t.Errorf("100 sessions had %d ports opened, want one each beyond the first 64 at most", n)
	}
	for _, m := range many {
		m.want("QUIT", 221)
	}
	if got := c.get("RETR f"); got != "x" {
		t.Errorf("afterwards: got %q", got)
	}
}

// TestSlowReadersAndWriters: transfers that stand still, and clients that take no
// replies, hold up nobody but themselves, and end by the stall time-out.
func TestSlowReadersAndWriters(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		s.write("big", strings.Repeat("x", 1<<20))
		var slow []*client
		for i := range 30 {
			c := s.login()
			c.epsv() // nobody reads or writes on it
			c.want([]string{"RETR big", fmt.Sprintf("STOR up%d", i), "LIST"}[i%3], 150)
			if i%3 != 2 {
				slow = append(slow, c)
			}
		}
		began := time.Now()
		other := s.login()
		for i := range 5 {
			other.put(fmt.Sprintf("STOR own%d", i), "x")
			if got := other.get("RETR big"); len(got) != 1<<20 {
				t.Fatalf("got %d bytes", len(got))
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("beside them everything took %s of the bubble's clock, want no waiting at all", took)
		}
		for _, c := range slow {
			c.want("", 426)
			c.want("NOOP", 200)
		}
		if took := time.Since(began); took > 4*time.Minute+time.Second {
			t.Errorf("the slow ones ended after %s, want the stall time-out, twice at most", took)
		}
		if got := s.names(""); strings.Contains(got, "up") || strings.Contains(got, ".part") {
			t.Errorf("left: %q", got)
		}
	})
}

// endlessLines runs story with a session before a login, after one, and during a
// transfer, which rest ends.
func endlessLines(t *testing.T, story func(t *testing.T, s *site, c *client, rest func(), bearable time.Duration), run func(t *testing.T, story func(t *testing.T, s *site))) {
	for _, when := range []string{"before-login", "after-login", "during-a-transfer"} {
		t.Run(when, func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				c, rest, bearable := s.dial(), func() {}, time.Minute
				if when != "before-login" {
					c.want("USER anna", 331)
					c.want("PASS secret", 230)
					bearable = 5 * time.Minute
				}
				if when == "during-a-transfer" {
					data := c.epsv()
					c.want("STOR f", 150)
					rest = func() {
						_ = data.Close()
						c.want("", 226)
					}
				}
				story(t, s, c, rest, bearable)
			})
		})
	}
}

// TestEndlessLineCostsNoMemory sends a line of 16 MiB before it ends.
func TestEndlessLineCostsNoMemory(t *testing.T) {
	testkit.NoLeaks(t)
	line := bytes.Repeat([]byte("x"), 1<<20)
	endlessLines(t, func(t *testing.T, _ *site, c *client, rest func(), _ time.Duration) {
		cost := allocated(func() {
			for range 16 {
				if _, err := c.conn.Write(line); err != nil {
					t.Fatal(err)
				}
			}
		})
		if cost > 1<<20 {
			t.Errorf("16 MiB of a line allocated %d KiB", cost>>10)
		}
		rest()
		c.send("\r\n")
		c.want("", 500)
		c.want("NOOP", 200)
	}, func(t *testing.T, story func(t *testing.T, s *site)) { story(t, newSite(t, nil, nil)) })
}

// TestEndlessLineEnds: a line that never ends is borne no longer than silence.
func TestEndlessLineEnds(t *testing.T) {
	drop := strings.Repeat("x", 4096)
	endlessLines(t, func(t *testing.T, s *site, c *client, rest func(), bearable time.Duration) {
		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				if _, err := io.WriteString(c.conn, drop); err != nil {
					return
				}
				later(time.Second)
			}
		})
		later(30 * time.Second)
		rest() // the time begins anew when a transfer is over
		c.want("", 421)
		c.eof()
		if took := time.Since(began); took > bearable+30*time.Second {
			t.Errorf("a line without an end was borne for %s, want %s", took, bearable)
		}
		wg.Wait()
		if n := len(s.srv.Sessions()); n != 0 {
			t.Errorf("%d sessions left", n)
		}
	}, func(t *testing.T, story func(t *testing.T, s *site)) { bubble(t, nil, story) })
}

// TestTelnetBytes: Telnet's commands in a line are dropped, or the line is refused;
// none of them changes what another command says.
func TestTelnetBytes(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		c := s.login()
		for _, w := range []string{
			"\xff\xf4\xff\xf2NOOP 200", "\xff\xfb\x01NOOP 200", "\xff\xfd\x03\xff\xfe\x05NOOP 200", "\xff\xf1\xff\xf1\xff\xf1NOOP 200", strings.Repeat("\xff", 4000) + "NOOP 200",
			"\xff\xfa\x01\x00\xff\xf0NOOP 500", "NO\xff\xf4OP 500", "NOOP\xff\xf4 500", "\xff 500", "\xff\xfb 500", "\x00NOOP 500", "MKD a\xff\xffb 257", "CWD a\xff\xffb 250", "NOOP 200",
		} {
			c.word(w)
		}
		if got := s.names(""); got != "a\xffb" {
			t.Errorf("made %q", got)
		}
	})
}

// TestBytesInNames: a NUL, CR or LF in a name makes no other name and no second
// command.
func TestBytesInNames(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		s.write("f", "x")
		c := s.login()
		for _, command := range pathCommands {
			if strings.Contains(command, "\n") {
				continue
			}
			for _, name := range []string{"f\x00", "f\x00.txt", "\x00", "a\rb", "\rDELE f", "f\r"} {
				c.want("EPSV", 229)
				c.send(command + " " + name + "\r\n")
				if r := c.reply(); r.Code < 500 && name != "f\r" {
					t.Errorf("%s %q: got %d %q", command, name, r.Code, r.Text())
				}
				c.want("NOOP", 200)
			}
		}
		// A bare LF ends a line, as many clients have it: what follows is a command of
		// its own, with a reply of its own, and no part of a name.
		c.send("MKD a\nNOOP\r\n")
		c.want("", 257)
		c.want("", 200)
		if got := s.names(""); got != "a f" || s.read("f") != "x" {
			t.Errorf("left: %q", got)
		}
	})
}
