package ftpserver_test

import (
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/filetree"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/testkit"
)

// FuzzSession sends lines of any sort to a session, after a login, and does to
// the data connections that come of it what the first byte says. Whatever
// happens: each reply can be read, the session ends, no part is left behind, and
// outside of the folder nothing was read, made or changed.
func FuzzSession(f *testing.F) { fuzzSession(f, nil, nil) }

// FuzzSessionTLS is FuzzSession with control and data connections protected.
func FuzzSessionTLS(f *testing.F) {
	change, conf := secured(f, ftpserver.TLS{})
	made := time.Now() // the bubbles' clocks stand before the certificate was made
	conf.Time = func() time.Time { return made }
	fuzzSession(f, change, conf)
}

func fuzzSession(f *testing.F, change func(*ftpserver.Server), conf *tls.Config) {
	args := []string{"", " f", " ../outside/f", " out/f", " /", " a b"}
	if conf != nil {
		args = args[3:4] // handshakes take their time
	}
	for i, cmd := range ftpserver.Commands() {
		for _, arg := range args {
			f.Add(byte(i), "EPSV\n"+cmd.Verb+arg+"\nNOOP\n"+cmd.Verb+arg)
		}
	}
	for i, story := range []string{
		"EPSV\nSTOR out/f\nEPSV\nSTOR out\nEPSV\nRETR out/f\nEPSV\nMLSD out",
		"RNFR f\nRNTO out/f\nRNFR out\nRNTO up\nEPSV\nSTOR up/f",
		"EPSV\nREST 1\nRETR f\nEPSV\nREST 1\nSTOR f\nEPSV\nAPPE f\nABOR\nQUIT\nNOOP",
		"TYPE A\nPASV\nSTOR t\nPASV\nRETR t\nPASV\nRETR t\n\xff\xf4\xff\xf2ABOR\nSTAT",
		"MKD d\nCWD d\nEPSV\nSTOR x\nSTAT\nCDUP\nEPSV\nNLST *\nEPSV\nLIST -la d\nRMD d\nDELE d/x\nRMD d",
		"USER anna\nPASS wrong\nUSER anna\nPASS secret\nEPSV ALL\nPASV\nEPSV\nEPSV\nLIST",
		"PORT 127,0,0,1,200,200\nRETR f\nEPRT |1|127.0.0.1|50000|\nLIST\nOPTS MLST type;\nEPSV\nMLSD\nMLST out",
		"MFMT 20240101000000 out/f\nMDTM out/f\nSIZE out/f\nSTAT out\nCWD out\nPWD\nEPSV\nLIST",
		"CCC\nPBSZ 0\nPROT C\nEPSV\nLIST\nPROT P\nEPSV\nRETR f\nREIN\nAUTH TLS\nUSER anna\nPASS secret\nEPSV\nNLST",
		"EPSV\nNLST *[a-z]*\nEPSV\nNLST [\nEPSV\nSTOU ../outside/u\nSITE CHMOD 777 out/f\nSITE UTIME 20240101000000 out/f\nALLO 1 R 2\nAVBL out",
	} {
		f.Add(byte(i), story)
	}
	f.Fuzz(func(t *testing.T, mood byte, story string) {
		if len(story) > 4096 {
			t.Skip("long enough is long enough")
		}
		synctest.Test(t, func(t *testing.T) { runStory(t, mood, story, change, conf) })
	})
}

func runStory(t *testing.T, mood byte, story string, change func(*ftpserver.Server), conf *tls.Config) {
	top := t.TempDir()
	home := filepath.Join(top, "home")
	testkit.MakeFS(t, top, []string{"home/f=fine", "home/sub/", "home/out => ../outside", "outside/f=secret"})
	srv, tree, err := newServer(home)
	if err != nil {
		t.Fatal(err)
	}
	n := &memnet.Network{}
	srv.Network = n
	if change != nil {
		change(srv)
	}
	l, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, srv: srv, dir: home, net: n}
	s.serve(l)
	login := s.login
	if conf != nil {
		login = func() *client { return s.loginTLS(conf) }
	}
	c := login()

	var wg sync.WaitGroup
	wg.Go(func() {
		for _, line := range strings.Split(story, "\n") {
			if _, err := io.WriteString(c.conn, line+"\r\n"); err != nil {
				return // the session has ended itself
			}
		}
		_, _ = netx.CloseWrite(c.conn) // fails if the session has ended
	})
	for {
		r, err := c.in.ReadReply()
		if err != nil {
			if syntax := (*ftp.SyntaxError)(nil); errors.As(err, &syntax) {
				t.Errorf("a reply that cannot be read: %v", err)
			}
			break
		}
		port := uint16(0)
		if p, err := ftp.ParseEpsvReply(r); err == nil {
			port = p
		} else if ap, err := ftp.ParsePasvReply(r); err == nil {
			port = ap.Port()
		}
		if port != 0 {
			data := c.dialData(port)
			if c.tls != nil {
				data = tls.Client(data, c.tls)
			}
			today := mood
			wg.Go(func() { treat(t, data, today) })
			mood = mood*5 + 3
		}
	}
	wg.Wait()
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	if err := tree.Close(); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(top, "outside", "f")); err != nil || string(b) != "secret" {
		t.Errorf("the file outside: got %q, %v", b, err)
	}
	for folder, want := range map[string]int{"": 2, "outside": 1} {
		if entries, err := os.ReadDir(filepath.Join(top, folder)); err != nil || len(entries) != want {
			t.Errorf("outside the folder: got %v, %v", entries, err)
		}
	}
	if err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if filetree.IsPart(d.Name()) {
			t.Errorf("left behind: %s", path)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// treat does to a data connection what mood says.
func treat(t *testing.T, data net.Conn, mood byte) {
	if mood&1 != 0 {
		_, _ = io.WriteString(data, "line\r\nline\n\r") // may be refused
	}
	switch mood >> 1 & 3 {
	case 0:
		_ = netx.Reset(data)
		return
	case 1: // let it be: the session's end or a time-out ends it
	case 2:
		_, _ = netx.CloseWrite(data) // fails on one that was reset
	}
	b, _ := io.ReadAll(data) // as above
	if strings.Contains(string(b), "secret") {
		t.Errorf("read what is outside: %q", b)
	}
	_ = data.Close()
}

// FuzzArguments holds the small grammars of single commands to what they promise.
func FuzzArguments(f *testing.F) {
	for _, arg := range []string{"", "ftp.example.com", "[::1]", "[::1%lo]", "a:21", "-la dir", "- x", "-l", "0777", "777", "1000", "20240101000000", "20240101000000.123", "type;size;", "2", "ALL", "\xff", strings.Repeat("x", 3000)} {
		f.Add(arg)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		if host, ok := ftpserver.HostName(arg); ok && (host == "" || len(host) > 253 || strings.ToLower(host) != host || strings.ContainsAny(host, " /@[]\x00\r\n")) {
			t.Errorf("host %q of %q", host, arg)
		}
		if rest := ftpserver.WithoutOptions(arg); !strings.HasSuffix(arg, rest) {
			t.Errorf("%q without options is %q", arg, rest)
		}
		if mode, ok := ftpserver.Octal(arg); ok && mode > 0o777 {
			t.Errorf("%q is mode %o", arg, mode)
		}
		if got := ftpserver.Shorten(arg); len(got) > 1000 || len(arg) <= 1000 && got != arg {
			t.Errorf("%.40q shortened has %d bytes", arg, len(got))
		}
		if at, err := ftp.ParseTime(arg); err == nil {
			if again, err := ftp.ParseTime(ftp.FormatTime(at)); err != nil || again.Unix() != at.Unix() {
				t.Errorf("%q is %s and then %s, %v", arg, at, again, err)
			}
		}
		if facts := ftp.ParseFacts(arg); ftp.ParseFacts(facts.String()) != facts {
			t.Errorf("facts of %q: %s", arg, facts)
		}
	})
}
