package ftpserver_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"sallyport.dev/internal/filetree"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/netx"
)

// codeOf sends a line to a fresh session, in the state that login says, and
// returns the first reply's code.
func codeOf(s *site, login bool, line string) ftp.Code {
	s.t.Helper()
	c := s.dial()
	if login {
		c.want("USER anna", 331)
		c.want("PASS secret", 230)
	}
	c.send(line + "\r\n")
	code := c.reply().Code
	_ = c.conn.Close() // the session is not needed any more
	return code
}

// clear leaves nothing in the folder but the files f and F.
func (s *site) clear() {
	s.t.Helper()
	for _, name := range strings.Fields(s.names("")) {
		if err := os.RemoveAll(filepath.Join(s.dir, name)); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, name := range []string{"f", "F"} {
		s.write(name, "")
	}
}

// TestEveryVerbInEveryCase: no command cares for upper or lower case, in its
// verb, its alias or its words.
func TestEveryVerbInEveryCase(t *testing.T) {
	words := map[string][]string{
		"TYPE": {"A N", "L 8", "I", "E"}, "MODE": {"S", "B"}, "STRU": {"F", "R"}, "EPSV": {"ALL"}, "OPTS": {"UTF8 ON", "MLST SIZE;TYPE;"},
		"SITE": {"HELP", "UMASK 022", "CHMOD 600 F", "IDLE"}, "AUTH": {"TLS", "SSL"}, "PROT": {"P", "C"}, "LANG": {"EN-US"}, "ALLO": {"10 R 20"}, "HELP": {"RETR", "SITE"}, "STAT": {""},
	}
	bubble(t, nil, func(t *testing.T, s *site) {
		for _, cmd := range ftpserver.Commands() {
			for _, verb := range []string{cmd.Verb, cmd.Alias} {
				if verb == "" {
					continue
				}
				for _, arg := range append([]string{"", "X"}, words[cmd.Verb]...) {
					line := strings.TrimRight(verb+" "+arg, " ")
					for _, login := range []bool{false, true} {
						s.clear()
						want := codeOf(s, login, line)
						mixed := strings.ToLower(line[:2]) + line[2:]
						for _, other := range []string{strings.ToLower(line), mixed} {
							s.clear()
							if got := codeOf(s, login, other); got != want {
								t.Errorf("%q (logged in: %v): got %d, want %d as for %q", other, login, got, want, line)
							}
						}
						if want == 500 {
							t.Errorf("%q is in the table and answered as unknown", line)
						}
					}
				}
			}
		}
	})
}

// TestEveryArgumentShape holds each row of the table to RFC 959 section 4.2: 501
// for an argument where none is taken, and for one that is missing; 530 before
// login where one is needed.
func TestEveryArgumentShape(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		for _, cmd := range ftpserver.Commands() {
			required := strings.Contains(cmd.Syntax, " ") && !strings.Contains(cmd.Syntax, "[")
			switch {
			case !cmd.Served:
				for _, login := range []bool{false, true} {
					if code := codeOf(s, login, cmd.Verb+" x"); code != 502 && code != 534 {
						t.Errorf("%s is not served: got %d", cmd.Verb, code)
					}
				}
			case cmd.Syntax == cmd.Verb:
				if code := codeOf(s, true, cmd.Verb+" x"); code != 501 {
					t.Errorf("%s with an argument: got %d, want 501", cmd.Verb, code)
				}
			case required:
				for _, line := range []string{cmd.Verb, cmd.Verb + " "} {
					if code := codeOf(s, true, line); code != 501 {
						t.Errorf("%q without its argument: got %d, want 501", line, code)
					}
				}
			}
			if cmd.Served && cmd.Login {
				if code := codeOf(s, false, cmd.Verb+" x"); code != 530 {
					t.Errorf("%s before login: got %d, want 530", cmd.Verb, code)
				}
			}
		}
	})
}

// TestRefusedBeforeData: what cannot be served is refused before a data
// connection is opened or taken. The one that was asked for serves what comes
// next.
func TestRefusedBeforeData(t *testing.T) {
	refusals := []string{
		"LIST none 550", "NLST none 550", "MLSD none 550", "MLSD f 501", "RETR none 550", "RETR d 550", "RETR / 550",
		"STOR none/x 550", "STOR d 550", "APPE none/x 550", "APPE d 550", "STOU none/x 550", "LIST none/* 550", "NLST [ 501", "STAT none 550", "MLST none 550",
	}
	bubble(t, nil, func(t *testing.T, s *site) {
		s.write("f", "x")
		s.write("d/e", "")
		c := s.login()
		data := c.epsv()
		for _, w := range refusals {
			c.word(w)
		}
		c.want("REST 2", 350)
		c.want("RETR f", 554)
		c.want("RETR f", 150)
		if b, err := io.ReadAll(data); err != nil || string(b) != "x" {
			t.Errorf("over the connection that was there all the while: got %q, %v", b, err)
		}
		c.want("", 226)
	})
	var dialled []string
	n := &memnet.Network{}
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, n, nil)
		s.write("f", "x")
		s.write("d/e", "")
		c := s.login()
		n.OnDial = func(addr string) error { dialled = append(dialled, addr); return nil }
		c.want("PORT 127,0,0,1,100,1", 200)
		for _, w := range refusals {
			c.word(w)
		}
		if len(dialled) != 0 {
			t.Errorf("active mode: the server dialled %q for what it refused", dialled)
		}
		c.want("RETR f", 425)
		if len(dialled) != 1 {
			t.Errorf("active mode: the server dialled %q, want the address that PORT gave", dialled)
		}
	})
}

// steps notes in which order things happen.
type steps struct {
	mu  sync.Mutex // guards the following
	all []string
}

func (s *steps) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, fmt.Sprintf(format, args...))
}

// watched is a network whose data connections note that they are closed, and
// whose control connections note the replies that end a transfer.
type watched struct {
	*memnet.Network
	steps *steps
}

func (w watched) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	l, err := w.Network.Listen(ctx, network, addr)
	return watchedListener{l, w.steps}, err
}

type watchedListener struct {
	net.Listener
	steps *steps
}

func (l watchedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return watchedConn{c, l.steps}, nil
}

type watchedConn struct {
	net.Conn
	steps *steps
}

func (c watchedConn) Write(p []byte) (int, error) {
	if s := string(p); strings.HasPrefix(s, "226 ") || strings.HasPrefix(s, "150 ") || strings.HasPrefix(s, "4") {
		c.steps.note("%.3s", s)
	}
	return c.Conn.Write(p)
}

func (c watchedConn) Close() error { c.steps.note("closed"); return c.Conn.Close() }

func (c watchedConn) Reset() error { c.steps.note("reset"); return netx.Reset(c.Conn) }

// watchedTree notes when an upload is published.
type watchedTree struct {
	ftpserver.Tree
	steps *steps
}

func (w watchedTree) Create(name string) (ftpserver.Upload, error) {
	u, err := w.Tree.Create(name)
	return watchedUpload{u, w.steps}, err
}

func (w watchedTree) Resume(name string, offset int64) (ftpserver.Upload, error) {
	u, err := w.Tree.Resume(name, offset)
	return watchedUpload{u, w.steps}, err
}

type watchedUpload struct {
	ftpserver.Upload
	steps *steps
}

func (w watchedUpload) Commit() error {
	err := w.Upload.Commit()
	w.steps.note("published")
	return err
}

func (w watchedUpload) Abort() error {
	err := w.Upload.Abort()
	w.steps.note("dropped")
	return err
}

// TestEndInOrder: the data connection is closed, then the file, and only then 226
// is said.
func TestEndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log steps
		n := watched{memory(), &log}
		s := newSite(t, nil, func(srv *ftpserver.Server) {
			srv.Network = n
			whole := srv.Authenticate
			srv.Authenticate = func(ctx context.Context, l ftpserver.Login) (ftpserver.Account, error) {
				a, err := whole(ctx, l)
				if err == nil {
					a.Tree = watchedTree{a.Tree, &log}
				}
				return a, err
			}
		})
		s.net = n
		l, err := n.Network.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.serve(watchedListener{l, &log})
		s.net = n.Network
		c := s.login()
		expect := func(what string, want ...string) {
			t.Helper()
			log.mu.Lock()
			defer log.mu.Unlock()
			if !slices.Equal(log.all, want) {
				t.Errorf("%s: got %q, want %q", what, log.all, want)
			}
			log.all = nil
		}
		for _, command := range []string{"STOR f", "APPE f", "STOU"} {
			if command == "STOU" {
				data := c.epsv()
				c.want(command, 150)
				_ = data.Close()
				c.want("", 226)
			} else {
				c.put(command, "x")
			}
			expect(command, "150", "closed", "published", "226")
		}
		for _, command := range []string{"RETR f", "LIST", "NLST", "MLSD"} {
			c.get(command)
			expect(command, "150", "closed", "226")
		}
		data := c.epsv()
		c.want("STOR g", 150)
		_ = netx.Reset(data)
		c.want("", 426)
		expect("an upload that was cut", "150", "reset", "dropped", "426")
	})
}

// TestThousandsPipelined sends more commands at once than any buffer holds, those
// that change something among them; replies come in order, one for each.
func TestThousandsPipelined(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		c := s.login()
		const n = 1000
		var all strings.Builder
		for i := range n {
			fmt.Fprintf(&all, "MKD %d\r\nCWD %d\r\nPWD\r\nCDUP\r\nnoop\r\nRMD %d\r\nnonsense nonsense\r\n", i, i, i)
		}
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.WriteString(c.conn, all.String()) }) // an error shows as a reply that is missing
		for i := range n {
			for at, code := range []ftp.Code{257, 250, 257, 250, 200, 250, 500} {
				r := c.want("", code)
				if at == 2 && !strings.HasPrefix(r.Text(), fmt.Sprintf(`"/%d" `, i)) {
					t.Fatalf("the %d. PWD: got %q", i, r.Text())
				}
			}
		}
		wg.Wait()
		c.want("QUIT", 221)
		c.eof()
		if got := s.names(""); got != "" {
			t.Errorf("left: %q", got)
		}
	})
}

// TestNamesOfEverySort: names are bytes, UTF-8 or not, with spaces and quotes
// where they are (RFC 2640 section 3, RFC 959 appendix II).
func TestNamesOfEverySort(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		c := s.login()
		for _, name := range []string{
			"Grüße-数.xml", "e\u0301", "latin-\xfc", " leading", "trailing ", "two  spaces", `q"uo""te"`, "'", "*?[x]", "#%&;=", "-la", "~", "\x7f\x01\t", "\u202egnp.exe",
			"227 Entering Passive Mode (127,0,0,1,200,200)", "a\xff\xffb", strings.Repeat("ü", 127),
		} {
			wire := strings.ReplaceAll(name, "\xff", "\xff\xff") // Telnet's way
			want := ftp.QuotePath("/" + name)
			if got := c.want("MKD "+wire, 257).Text(); got != want+" created" {
				t.Errorf("MKD %q: got %q, want %q", name, got, want)
			}
			if path, err := ftp.ParseQuotedPath(c.want("MKD /"+wire+"/in", 257).Text()); err != nil || path != "/"+name+"/in" {
				t.Errorf("MKD within: got %q, %v", path, err)
			}
			c.want("CWD "+wire, 250)
			if path, err := ftp.ParseQuotedPath(c.want("PWD", 257).Text()); err != nil || path != "/"+name {
				t.Errorf("PWD: got %q, %v, want %q", path, err, "/"+name)
			}
			c.put("STOR "+wire, name)
			if got := c.get("RETR /" + wire + "/" + wire); got != name {
				t.Errorf("RETR of %q: got %q", name, got)
			}
			if got := lines(c.get("NLST /" + wire)); !slices.Contains(got, "/"+name+"/"+name) && name[0] != '-' {
				t.Errorf("NLST: got %q, want %q among them", got, "/"+name+"/"+name)
			}
			var listed []string
			for _, l := range lines(c.get("MLSD")) {
				e, err := ftp.ParseMLSx(l)
				if err != nil {
					t.Errorf("MLSD: %v", err)
				}
				listed = append(listed, e.Name)
			}
			if want := []string{name, "in"}; !slices.Equal(slices.Sorted(slices.Values(listed)), slices.Sorted(slices.Values(want))) {
				t.Errorf("MLSD: got %q, want %q", listed, want)
			}
			for _, w := range []string{"SIZE " + wire + " 213", "DELE " + wire + " 250", "RMD in 250", "CDUP 250", "RNFR " + wire + " 350", "RNTO plain 250", "RMD plain 250"} {
				c.word(w)
			}
		}
		if got := s.names(""); got != "" {
			t.Errorf("left: %q", got)
		}
	})
}

// TestTVFS: paths are those of RFC 3659 section 6, whichever way they are written.
func TestTVFS(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		s.write("a/b/f", "fine")
		c := s.login()
		for _, path := range []string{
			"a/b/f", "/a/b/f", "//a///b//f", "./a/./b/./f", "a/../a/b/f", "/../../a/b/f", "a/none/../b/f", "../../../../a/b/f", "a/b/../b/f", "a/b/f/",
		} {
			if got := c.get("RETR " + path); got != "fine" {
				t.Errorf("RETR %s: got %q", path, got)
			}
			c.want("SIZE "+path, 213)
			if r := c.want("MLST "+path, 250); len(r.Lines) != 3 || !strings.HasSuffix(r.Lines[1], "; /a/b/f") {
				t.Errorf("MLST %s: got %q", path, r.Lines)
			}
		}
		for cwd, want := range map[string]string{"/a/b/..": "/a", "a/./b": "/a/b", "..": "/", "/": "/", "///a": "/a", "/a/b/../../..": "/"} {
			c.want("CWD /", 250)
			c.want("CWD "+cwd, 250)
			if got, err := ftp.ParseQuotedPath(c.want("PWD", 257).Text()); err != nil || got != want {
				t.Errorf("CWD %s: got %q, %v, want %q", cwd, got, err, want)
			}
		}
	})
}

// TestExtendedOnly: EPSV ALL holds until REIN, and refuses the rest (RFC 2428
// section 4); 522 names the protocol that the control connection speaks.
func TestExtendedOnly(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		s.write("f", "x")
		c := s.login()
		for _, w := range []string{"EPSV all 200", "PASV 503", "PORT 127,0,0,1,200,200 503", "EPRT |1|127.0.0.1|51400| 503", "EPSV 1 229", "USER anna 331", "PASS secret 230", "PASV 503", "TYPE I 200"} {
			c.word(w)
		}
		if got := c.get("RETR f"); got != "x" {
			t.Errorf("EPSV after EPSV ALL: got %q", got)
		}
		for _, w := range []string{"REIN 220", "USER anna 331", "PASS secret 230", "PASV 227"} {
			c.word(w)
		}
		for _, command := range []string{"EPSV 2", "EPSV 9", "EPRT |2|::1|50000|", "EPRT |7|x|50000|"} {
			if got := c.want(command, 522).Text(); !strings.HasSuffix(got, "(1)") {
				t.Errorf("%s over IPv4: got %q, want (1)", command, got)
			}
		}
	})
	bubble(t, nil, func(t *testing.T, s *site) {
		l, err := s.net.Listen(t.Context(), "tcp", "[::1]:0")
		if err != nil {
			t.Fatal(err)
		}
		s.serve(l)
		n, _ := s.net.(*memnet.Network)
		n.Source = netip.MustParseAddr("::1")
		c := s.login()
		for _, command := range []string{"EPSV 1", "EPSV 9", "EPRT |1|127.0.0.1|50000|", "EPRT |7|x|50000|", "PASV", "PORT 127,0,0,1,200,200"} {
			if got := c.want(command, 522).Text(); !strings.HasSuffix(got, "(2)") {
				t.Errorf("%s over IPv6: got %q, want (2)", command, got)
			}
		}
	})
}

// TestHiddenPartsUnreachable: an upload under way can be neither seen, read,
// taken nor spoilt by its hidden name.
func TestHiddenPartsUnreachable(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		c, other := s.login(), s.login()
		data := c.epsv()
		c.want("STOR f", 150)
		synctest.Wait()
		part := s.names("")
		if !filetree.IsPart(part) {
			t.Fatalf("during an upload: got %q, want a part", part)
		}
		for _, w := range []string{
			"RETR %s 550", "STOR %s 550", "APPE %s 550", "DELE %s 550", "RNFR %s 550", "SIZE %s 550", "MDTM %s 550", "MLST %s 550", "STAT %s 550", "LIST %s 550", "NLST %s 550",
			"CWD %s 550", "MKD %s 550", "RMD %s 550", "MFMT 20240101000000 %s 550", "SITE CHMOD 777 %s 550", "RETR ./%s 550", "RETR x/../%s 550",
		} {
			other.word(fmt.Sprintf(w, part))
		}
		for _, command := range []string{"LIST", "NLST", "MLSD", "NLST .*", "LIST -a"} {
			if got := other.get(command); got != "" {
				t.Errorf("%s: got %q", command, got)
			}
		}
		other.want("MKD x", 257)
		other.want("RNFR x", 350)
		other.want("RNTO "+part, 550)
		_ = data.Close()
		c.want("", 226)
		if got := s.names(""); got != "f x" {
			t.Errorf("left: %q", got)
		}
	})
}
