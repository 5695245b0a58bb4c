package ftpserver_test

import (
	"crypto/tls"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpserver"
)

var (
	randomFor  = flag.Duration("random", 0, "how long TestRandomSessions goes on at least")
	randomSeed = flag.Uint64("random.seed", 0, "the seed that TestRandomSessions begins with")
)

// TestRandomSessions has clients do anything in any order, plain and under TLS,
// and holds every reply, and the folder in the end, to a model. Data connections
// come, stay away, stand still and are cut. Each command gets its replies, in
// order; nothing stays behind, be it a part, a goroutine (the bubble sees to that)
// or an open file.
//
//	go test -race -run RandomSessions ./internal/ftp/ftpserver -random 10m
func TestRandomSessions(t *testing.T) {
	began, open := time.Now(), openFiles()
	for seed := *randomSeed; seed < *randomSeed+24 || time.Since(began) < *randomFor; seed++ {
		synctest.Test(t, func(t *testing.T) { randomStory(t, seed) })
		if t.Failed() {
			t.Fatalf("again: -random.seed=%d", seed)
		}
	}
	if after := openFiles(); after > open {
		t.Errorf("%d files are open, %d were at the beginning", after, open)
	}
}

// openFiles counts the open files of this process where the system tells.
func openFiles() int {
	entries, _ := os.ReadDir("/proc/self/fd") // none elsewhere
	return len(entries)
}

// actor is one client and what it should know of its session.
type actor struct {
	*client
	t    testing.TB
	rng  *rand.Rand
	fs   *modelFS
	conf *tls.Config // nil: plain
	log  []string    // the latest commands, for when it fails

	offered  string // by USER
	user     string // logged in
	cwd      string
	ascii    bool
	rest     int64
	from     string // RNFR
	extended bool   // EPSV ALL
	waiting  bool   // a passive port was asked for
	data     net.Conn
	port     uint16
}

func randomStory(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // to be repeated, not to be secret
	change, conf := secured(t, ftpserver.TLS{Resumption: ftpserver.ResumptionRequire})
	if seed%2 == 0 {
		change, conf = nil, nil
	}
	s := newSite(t, memory(), func(srv *ftpserver.Server) {
		if change != nil {
			change(srv)
		}
		srv.Limits.LoginAttempts = 1 << 20
		srv.Timeouts.Login, srv.Timeouts.Idle = 24*time.Hour, 24*time.Hour // one waits while the other's transfers stand still
	})
	fs := newModelFS()
	var actors []*actor
	for range 2 {
		a := &actor{t: t, rng: rng, fs: fs, conf: conf}
		a.begin(s)
		actors = append(actors, a)
	}
	for range 50 {
		a := actors[rng.IntN(len(actors))]
		a.act(s)
		if t.Failed() {
			t.Logf("the latest commands: %q", a.log[max(0, len(a.log)-12):])
			return
		}
	}
	for _, a := range actors {
		a.say("QUIT", 221)
		a.eof()
	}
	synctest.Wait()
	if n := len(s.srv.Sessions()); n != 0 {
		t.Errorf("%d sessions left", n)
	}
	fs.compare(t, s.dir)
}

// begin makes a new session, logged in as anna.
func (a *actor) begin(s *site) {
	a.t.Helper()
	if a.conf != nil {
		a.client = s.loginTLS(a.conf)
	} else {
		a.client = s.login()
	}
	*a = actor{client: a.client, t: a.t, rng: a.rng, fs: a.fs, conf: a.conf, log: a.log, user: "anna", cwd: "/"}
}

// say sends a command and wants one of the codes.
func (a *actor) say(line string, codes ...ftp.Code) ftp.Reply {
	a.t.Helper()
	a.log = append(a.log, line)
	if verb, _, _ := strings.Cut(line, " "); verb != "RNTO" {
		a.from = ""
	}
	a.send(line + "\r\n")
	return a.hear(line, codes...)
}

func (a *actor) hear(line string, codes ...ftp.Code) ftp.Reply {
	a.t.Helper()
	r := a.reply()
	if !slices.Contains(codes, r.Code) {
		a.t.Fatalf("%s: got %d %q, want one of %v; the latest commands: %q", line, r.Code, r.Text(), codes, a.log[max(0, len(a.log)-12):])
	}
	return r
}

// either is the code for whether something should work.
func either(ok bool, yes, no ftp.Code) ftp.Code {
	if ok {
		return yes
	}
	return no
}

// name picks a path and returns it as written and as it is meant.
func (a *actor) name() (arg, name string) {
	arg = []string{"a", "b", "d", "e", "d/a", "d/e", "e/b", "/a", "/d", "/d/e/a", "../a", "../../d", "none/x", "./b", "d/../a", "..", "/"}[a.rng.IntN(17)]
	name, err := ftp.JoinPath(a.cwd, arg)
	if err != nil {
		a.t.Fatal(err)
	}
	return arg, name
}

// act does one thing.
func (a *actor) act(s *site) {
	switch n := a.rng.IntN(100); {
	case a.user == "" && n < 80:
		a.login()
	case a.user == "":
		a.say([]string{"PWD", "CWD a", "EPSV", "RETR a", "STOR a", "ABOR", "REST 1", "LIST", "RNTO a"}[a.rng.IntN(9)], 530)
	case n < 6:
		a.login()
	case n < 8:
		a.say("REIN", 220)
		*a = actor{client: a.client, t: a.t, rng: a.rng, fs: a.fs, conf: a.conf, log: a.log}
	case n < 20:
		a.parameters()
	case n < 40:
		a.ask()
	case n < 62:
		a.change()
	case n < 97:
		a.transfer(s)
	case a.user == "anna":
		a.drop()
		_ = a.conn.Close()
		synctest.Wait()
		a.begin(s)
	}
	if a.from == "" {
		a.say("SYST", 215) // so that no reply was too many
	}
}

func (a *actor) login() {
	switch a.rng.IntN(5) {
	case 0:
		if a.user == "" && a.offered == "" {
			a.say("PASS secret", 503)
			return
		}
		fallthrough
	case 1:
		a.enter("anna", "wrong")
	case 2:
		a.enter("guest", "any")
	default:
		a.enter("anna", "secret")
	}
}

func (a *actor) enter(user, password string) {
	a.say("USER "+user, 331)
	if a.user != "" {
		a.drop()
	}
	a.user, a.cwd, a.ascii, a.rest = "", "/", true, 0
	good := user == "guest" || password == "secret"
	a.say("PASS "+password, either(good, 230, 530))
	if good {
		a.user = user
		a.say("PASS secret", 503)
	}
}

// drop forgets a data connection that the server has given up, too.
func (a *actor) drop() {
	a.waiting = false
	if a.data != nil {
		_ = a.data.Close()
		a.data = nil
	}
}

func (a *actor) parameters() {
	switch a.rng.IntN(6) {
	case 0:
		a.ascii = true
		a.say("TYPE A", 200)
	case 1:
		a.ascii = false
		a.say("TYPE I", 200)
	case 2:
		a.rest = int64(a.rng.IntN(8))
		a.say(fmt.Sprintf("REST %d", a.rest), 350)
	case 3:
		a.extended = a.extended || a.rng.IntN(4) == 0
		if a.extended {
			a.say("EPSV ALL", 200)
		}
	case 4:
		a.say("PORT 127,0,0,1,0,80", either(a.extended, 503, 504))
	default:
		a.say([]string{"MODE B", "STRU R", "TYPE E", "OPTS UTF8 OFF"}[a.rng.IntN(4)], 504)
	}
}

// ask looks at something.
func (a *actor) ask() {
	arg, name := a.name()
	there := a.fs.any(name)
	switch a.rng.IntN(9) {
	case 0:
		if got, err := ftp.ParseQuotedPath(a.say("PWD", 257).Text()); err != nil || got != a.cwd {
			a.t.Errorf("PWD: got %q, %v, want %q", got, err, a.cwd)
		}
	case 1:
		a.say("CWD "+arg, either(a.fs.dir(name), 250, 550))
		if a.fs.dir(name) {
			a.cwd = name
		}
	case 2:
		up := path.Dir(a.cwd)
		a.say("CDUP", either(a.fs.dir(up), 250, 550))
		if a.fs.dir(up) {
			a.cwd = up
		}
	case 3:
		ok := a.fs.file(name) && !a.ascii
		if r := a.say("SIZE "+arg, either(ok, 213, 550)); ok && r.Text() != strconv.Itoa(len(a.fs.files[name])) {
			a.t.Errorf("SIZE %s: got %s, want %d", arg, r.Text(), len(a.fs.files[name]))
		}
	case 4:
		a.say("MDTM "+arg, either(there, 213, 550))
	case 5:
		a.say("MLST "+arg, either(there, 250, 550))
	case 6:
		a.say("STAT "+arg, either(a.fs.dir(name), 212, either(there, 213, 550)))
	case 7:
		a.say("ABOR", 225)
		a.drop()
	default:
		a.say([]string{"XYZZY", "GET a", "PWDX"}[a.rng.IntN(3)], 500)
	}
}

// change changes something, or is refused if the account is read-only.
func (a *actor) change() {
	arg, name := a.name()
	may := a.user == "anna"
	switch a.rng.IntN(6) {
	case 0, 1:
		ok := may && a.fs.free(name)
		a.say("MKD "+arg, either(ok, 257, 550))
		if ok {
			a.fs.dirs[name] = true
		}
	case 2:
		ok := may && a.fs.dir(name) && name != "/" && len(a.fs.below(name)) == 0
		a.say("RMD "+arg, either(ok, 250, 550))
		if ok {
			delete(a.fs.dirs, name)
		}
	case 3:
		ok := may && a.fs.file(name)
		a.say("DELE "+arg, either(ok, 250, 550))
		if ok {
			delete(a.fs.files, name)
		}
	case 4:
		ok := may && a.fs.any(name) && name != "/"
		a.say("MFMT 20240101000000 "+arg, either(ok, 213, 550))
	default:
		a.renames(arg, name)
	}
}

func (a *actor) renames(arg, name string) {
	if a.user != "anna" {
		a.say("RNFR "+arg, 550)
		a.say("RNTO "+arg, 550)
		return
	}
	ok := a.fs.any(name)
	a.say("RNFR "+arg, either(ok, 350, 550))
	to, toName := a.name()
	if a.rng.IntN(5) == 0 {
		a.say("NOOP", 200)
		ok = false
	}
	switch {
	case !ok:
		a.say("RNTO "+to, 503)
	case a.fs.rename(name, toName):
		a.say("RNTO "+to, 250)
	default:
		a.say("RNTO "+to, 550, 553)
	}
}

// passive asks for a passive port, and connects to it now or later.
func (a *actor) passive() {
	if a.rng.IntN(3) == 0 {
		r := a.say("PASV", either(a.extended, 503, 227))
		if a.extended {
			return // what was asked for before is still there
		}
		ap, err := ftp.ParsePasvReply(r)
		if err != nil {
			a.t.Fatal(err)
		}
		a.port = ap.Port()
	} else {
		port, err := ftp.ParseEpsvReply(a.say("EPSV", 229))
		if err != nil {
			a.t.Fatal(err)
		}
		a.port = port
	}
	a.drop() // as the server has
	a.waiting = true
	if a.rng.IntN(2) == 0 {
		a.data = a.dialData(a.port)
	}
}

// connect returns the data connection, protected if the session's are.
func (a *actor) connect() net.Conn {
	if a.data == nil {
		a.data = a.dialData(a.port)
	}
	if a.conf == nil {
		return a.data
	}
	return tls.Client(a.data, a.tls)
}
