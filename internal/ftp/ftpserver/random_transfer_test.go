package ftpserver_test

import (
	"crypto/tls"
	"io"
	"net"
	"path"
	"strings"
	"testing/synctest"

	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/netx"
)

// plan is a transfer that will be tried, and what should come of it.
type plan struct {
	verb, arg, name string
	refused         ftp.Code // 0: it begins, given a data connection
	offset          int64
	inPlace         bool // an upload into a file that is there
	upload, file    bool
}

// plan picks a transfer and says what the server should make of it.
func (a *actor) plan() plan {
	arg, name := a.name()
	p := plan{verb: []string{"RETR", "RETR", "STOR", "STOR", "STOR", "APPE", "LIST", "NLST", "MLSD"}[a.rng.IntN(9)], arg: arg, name: name}
	p.upload, p.file = p.verb == "STOR" || p.verb == "APPE", p.verb != "LIST" && p.verb != "NLST" && p.verb != "MLSD"
	if p.upload && a.user != "anna" {
		p.refused = 550 // and REST is still there
		return p
	}
	size := int64(len(a.fs.files[name]))
	if p.file {
		p.offset, a.rest = a.rest, 0
		if p.verb == "APPE" {
			p.offset = 0
		}
	}
	p.inPlace = p.verb == "APPE" && a.fs.file(name) || p.verb == "STOR" && p.offset > 0
	switch {
	case !p.file:
		switch {
		case !a.fs.any(name):
			p.refused = 550
		case p.verb == "MLSD" && a.fs.file(name):
			p.refused = 501
		}
	case p.offset > 0 && a.ascii:
		p.refused = 504
	case p.verb == "RETR" && !a.fs.file(name), p.inPlace && !a.fs.file(name):
		p.refused = 550
	case p.upload && !a.fs.file(name) && !a.fs.free(name):
		p.refused = 550
	case p.offset > size:
		p.refused = 554
	}
	if p.verb == "APPE" {
		p.offset = size
	}
	return p
}

func (a *actor) transfer(s *site) {
	if a.rng.IntN(8) > 0 {
		a.passive()
	}
	p := a.plan()
	line := p.verb + " " + p.arg
	if p.refused != 0 {
		a.say(line, p.refused) // and the data connection is there still
		return
	}
	a.rest = 0
	if !a.waiting {
		a.say(line, 425)
		return
	}
	defer a.drop()
	if a.data == nil && a.rng.IntN(6) == 0 {
		a.say(line, 425) // nobody comes
		return
	}
	switch a.rng.IntN(8) {
	case 0:
		a.breaksOff(p, line)
	case 1:
		a.aborts(p, line)
	case 2:
		a.standsStill(p, line)
	case 3:
		a.vanishes(p, line, s)
	default:
		a.completes(p, line)
	}
}

// open sends the command and reads 150, with the data connection before or after.
func (a *actor) open(line string) net.Conn {
	a.log = append(a.log, line)
	a.from = ""
	a.send(line + "\r\n")
	data := a.connect()
	a.hear(line, 150)
	if secured, ok := data.(*tls.Conn); ok {
		if err := secured.Handshake(); err != nil {
			a.t.Fatalf("%s: %v", line, err)
		}
	}
	return data
}

// content is bytes for an upload, on the wire.
func (a *actor) content() string {
	var b strings.Builder
	for range a.rng.IntN(6) {
		b.WriteString([]string{"x", "word ", "\r\n", "0123456789", strings.Repeat("long", 300), "\r"}[a.rng.IntN(6)])
	}
	return b.String()
}

// toDisk and fromDisk are what TYPE A does to line ends here.
func (a *actor) toDisk(wire string) string {
	if a.ascii {
		return strings.ReplaceAll(wire, "\r\n", "\n")
	}
	return wire
}

func (a *actor) fromDisk(content string) string {
	if a.ascii {
		return strings.ReplaceAll(strings.ReplaceAll(content, "\r\n", "\n"), "\n", "\r\n")
	}
	return content
}

// completes carries a transfer out, now and then with commands behind it that
// have to wait.
func (a *actor) completes(p plan, line string) {
	data := a.open(line)
	behind := a.rng.IntN(3) == 0
	if behind {
		a.send("NOOP\r\nPWD\r\n")
	}
	if p.upload {
		content := a.content()
		if _, err := io.WriteString(data, content); err != nil {
			a.t.Fatal(err)
		}
		_ = data.Close()
		a.hear(line, 226)
		a.uploaded(p, a.toDisk(content))
	} else {
		b, err := io.ReadAll(data)
		if err != nil {
			a.t.Fatalf("%s: %v", line, err)
		}
		_ = data.Close()
		a.hear(line, 226)
		a.downloaded(p, string(b))
	}
	if behind {
		a.hear("NOOP behind "+line, 200)
		a.hear("PWD behind "+line, 257)
	}
}

func (a *actor) uploaded(p plan, content string) {
	if p.inPlace {
		content = written(a.fs.files[p.name], int(p.offset), content)
	}
	a.fs.files[p.name] = content
}

func (a *actor) downloaded(p plan, got string) {
	switch {
	case p.verb == "RETR":
		if want := a.fromDisk(a.fs.files[p.name][p.offset:]); got != want {
			a.t.Errorf("RETR %s: got %.60q, want %.60q", p.arg, got, want)
		}
	case a.fs.file(p.name):
		if len(lines(got)) != 1 {
			a.t.Errorf("%s %s: got %q, want one line", p.verb, p.arg, got)
		}
	default:
		if want := a.fs.children(p.name); len(lines(got)) != want {
			a.t.Errorf("%s %s: got %q, want %d lines", p.verb, p.arg, got, want)
		}
	}
}

// half begins an upload and lets some of it arrive. What an upload in place has
// written stays, so it sends nothing then.
func (a *actor) half(p plan, data net.Conn) {
	if p.upload && !p.inPlace {
		if _, err := io.WriteString(data, "half"); err != nil {
			a.t.Fatal(err)
		}
	}
	if a.rng.IntN(2) == 0 {
		synctest.Wait()
	}
}

// breaksOff cuts the data connection. A small download may be through by then.
func (a *actor) breaksOff(p plan, line string) {
	data := a.open(line)
	a.half(p, data)
	_ = netx.Reset(a.data)
	if p.upload {
		a.hear(line, 426)
	} else {
		a.hear(line, 426, 226)
	}
}

// aborts ends a transfer by ABOR, which comes too late for a small download.
func (a *actor) aborts(p plan, line string) {
	data := a.open(line)
	a.half(p, data)
	prefix := []string{"", "\xff\xf4\xff\xf2", "\xff\xf4\xff", "\xf2"}[a.rng.IntN(4)]
	a.send(prefix + "ABOR\r\n")
	code := a.hear(line, 426, 226).Code
	if p.upload && code == 226 {
		a.t.Errorf("%s: got 226 for an upload that had no end", line)
	}
	a.hear("ABOR after "+line, either(code == 426, 226, 225), 226)
}

// standsStill leaves a data connection alone. A small download ends all the same,
// once it is read.
func (a *actor) standsStill(p plan, line string) {
	if !p.upload {
		a.completes(p, line)
		return
	}
	a.half(p, a.open(line))
	a.hear(line, 426)
}

// vanishes cuts the control connection during a transfer, and comes again.
func (a *actor) vanishes(p plan, line string, s *site) {
	if !p.upload {
		a.completes(p, line)
		return
	}
	a.half(p, a.open(line))
	_ = netx.Reset(a.raw())
	synctest.Wait()
	if a.fs.dir(path.Dir(p.name)) && strings.Contains(s.names(path.Dir(p.name)), ".part") {
		a.t.Errorf("%s: a part stays behind", line)
	}
	a.begin(s)
}

// raw is the control connection beneath TLS.
func (a *actor) raw() net.Conn {
	if secured, ok := a.conn.(*tls.Conn); ok {
		return secured.NetConn()
	}
	return a.conn
}
