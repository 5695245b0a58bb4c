package ftpserver_test

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpserver"
)

// TestUnique: STOU makes a name, says it as RFC 1123 wants, and never one twice.
func TestUnique(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		c := s.login()
		c.want("MKD d", 257)
		seen := map[string]bool{}
		for _, command := range []string{"STOU", "STOU", "stou orders.xml", "STOU d/x", "STOU d/x"} {
			data := c.epsv()
			text := c.want(command, 150).Text()
			name, ok := strings.CutPrefix(text, "FILE: /")
			if !ok || seen[name] {
				t.Fatalf("%s: got %q, want FILE: and a new name", command, text)
			}
			seen[name] = true
			if _, err := io.WriteString(data, command); err != nil {
				t.Fatal(err)
			}
			if err := data.Close(); err != nil {
				t.Fatal(err)
			}
			c.want("", 226)
			if got := s.read(name); got != command {
				t.Errorf("%s: got %q", name, got)
			}
			if _, arg, ok := strings.Cut(command, " "); ok && !strings.HasPrefix(name, arg+".") {
				t.Errorf("%s: got %q, want it to begin with what was asked for", command, name)
			}
		}
	})
}

// TestPermissions sets them by SITE CHMOD and SITE UMASK.
func TestPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no permissions in that form")
	}
	bubble(t, nil, func(t *testing.T, s *site) {
		s.write("old", "x")
		c := s.login()
		mode := func(name string, want os.FileMode) {
			t.Helper()
			if info, err := os.Stat(filepath.Join(s.dir, name)); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: got %v, %v, want %v", name, info.Mode().Perm(), err, want)
			}
		}
		c.want("SITE CHMOD 604 old", 200)
		mode("old", 0o604)
		c.want("SITE UMASK 026", 200)
		c.put("STOR new", "x")
		mode("new", 0o640)
		c.put("STOR old", "y")
		mode("old", 0o604) // a file that is replaced keeps its own
		c.put("APPE old", "y")
		mode("old", 0o604)
		c.want("MKD d", 257)
		mode("d", 0o751)
		c.want("REIN", 220)
		if got := c.want("USER anna", 331).Code; got != 331 {
			t.Fatal(got)
		}
		c.want("PASS secret", 230)
		if got := c.want("SITE UMASK", 200).Text(); got != "The site's own permissions hold" {
			t.Errorf("after REIN: got %q", got)
		}
	})
}

// TestRoom: AVBL and ALLO tell of the room that there really is.
func TestRoom(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		c := s.login()
		n, err := strconv.ParseUint(c.want("AVBL", 213).Text(), 10, 63)
		if err != nil || n == 0 {
			t.Fatalf("AVBL: got %d, %v", n, err)
		}
		c.want("ALLO 1", 200)
		if got := c.want("ALLO "+strconv.FormatUint(n+1<<50, 10), 452).Text(); !strings.HasPrefix(got, "There is room for ") {
			t.Errorf("ALLO of more than there is: got %q", got)
		}
	})
	// A disk that does not tell holds nobody up.
	bubble(t, breaking(new(lockedBuffer), brokenTree{free: fault.New(fault.Unsupported, "this disk does not tell")}), func(t *testing.T, s *site) {
		c := s.login()
		c.want("ALLO 1000000000000000", 202)
		if got := c.want("AVBL", 550).Text(); got != "This disk does not tell" {
			t.Errorf("AVBL: got %q", got)
		}
	})
}

// TestSilence: SITE IDLE shortens the time that a session may be silent.
func TestSilence(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		c := s.login()
		c.want("SITE IDLE 20", 200)
		began := time.Now()
		if got := c.want("", 421).Text(); got != "No command for 20s, closing the connection" || time.Since(began) != 20*time.Second {
			t.Errorf("got %q after %s", got, time.Since(began))
		}
		c.eof()
	})
}

// TestAnew: USER and REIN during a transfer wait for its end, and then forget
// everything but the connection.
func TestAnew(t *testing.T) {
	for _, command := range []string{"USER guest", "REIN"} {
		bubble(t, nil, func(t *testing.T, s *site) {
			s.write("d/f", "x")
			c := s.login()
			for _, w := range []string{"CWD d 250", "OPTS MLST size; 200", "RNFR f 350"} {
				c.word(w)
			}
			data := c.epsv()
			c.want("STOR g", 150)
			c.send(command + "\r\n")
			if command == "REIN" {
				c.send("USER guest\r\n")
			}
			c.send("PASS x\r\n")
			synctest.Wait()
			if _, err := io.WriteString(data, "whole"); err != nil {
				t.Fatal(err)
			}
			if err := data.Close(); err != nil {
				t.Fatal(err)
			}
			c.want("", 226)
			if command == "REIN" {
				c.want("", 220)
			}
			c.want("", 331)
			c.want("", 230)
			if got := s.read("d/g"); got != "whole" {
				t.Errorf("%s: the upload under way: got %q", command, got)
			}
			c.want("RNTO h", 550) // a guest may not
			if got := c.want("PWD", 257).Text(); !strings.HasPrefix(got, `"/" `) {
				t.Errorf("%s: PWD: got %q", command, got)
			}
			if got := c.want("FEAT", 211).Text(); !strings.Contains(got, "MLST type*;size*;modify*;perm*;") {
				t.Errorf("%s: FEAT: got %q", command, got)
			}
			c.want("SIZE d/f", 550) // TYPE A again
			c.want("NLST", 425)
		})
	}
}

// registered are names of FTP extensions: RFC 5797 section 3's registry, and
// what stands in FEAT of other servers beyond it.
var registered = map[string]string{
	"AUTH": "4217", "EPRT": "2428", "EPSV": "2428", "HOST": "7151", "LANG": "2640", "MDTM": "3659", "MLST": "3659", "PBSZ": "2228", "PROT": "2228",
	"REST": "3659", "SIZE": "3659", "TVFS": "3659", "UTF8": "2640", "AVBL": "draft", "CLNT": "practice", "MFMT": "draft",
}

// TestFeatNames holds each line of FEAT to a name that is registered, and its
// command to the table.
func TestFeatNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		change, _ := secured(t, ftpserver.TLS{})
		s := newSite(t, memory(), change)
		s.door(false, true)
		r := s.dial().want("FEAT", 211)
		shape := regexp.MustCompile(`^[A-Z0-9]{3,8}( \S.*)?$`)
		got := map[string]bool{}
		for _, line := range r.Lines[1 : len(r.Lines)-1] {
			name, _, _ := strings.Cut(line, " ")
			if registered[name] == "" || got[name] || !shape.MatchString(line) {
				t.Errorf("FEAT line %q: want one line for each registered name", line)
			}
			got[name] = true
		}
		for name := range registered {
			if !got[name] {
				t.Errorf("FEAT lacks %s", name)
			}
		}
		if got["MLSD"] {
			t.Error("FEAT lists MLSD, which RFC 3659 section 7.8 has MLST stand for")
		}
	})
}

// TestCase gives every command and argument in lower case.
func TestCase(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		s.write("f", "x")
		c := s.dial()
		for _, w := range []string{
			"user anna 331", "pass secret 230", "feat 211", "syst 215", "opts utf8 on 200", "opts mlst type;size; 200", "type i 200", "type l 8 200", "mode s 200", "stru f 200",
			"pwd 257", "xpwd 257", "epsv 229", "epsv all 200", "rest 0 350", "size f 213", "mdtm f 213", "mfmt 20240101000000 f 213", "mlst f 250", "stat f 213",
			"mkd d 257", "cwd d 250", "cdup 250", "rnfr d 350", "rnto e 250", "rmd e 250", "allo 1 200", "avbl 213", "site umask 022 200", "clnt x 200", "help retr 214", "abor 225", "noop 200",
		} {
			c.word(w)
		}
		if got := c.get("retr f"); got != "x" {
			t.Errorf("retr: got %q", got)
		}
		c.want("quit", 221)
	})
}
