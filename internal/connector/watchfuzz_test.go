package connector

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzWatcherEcho has a server that understands nothing and repeats what the client
// says, in every way that servers were caught at (CERT VU#328867, VU#288905). It
// never answers PASV with 227, so nothing may ever open.
func FuzzWatcherEcho(f *testing.F) {
	f.Add([]byte("USER a\r\nNLST 227 Entering Passive Mode (10,0,0,5,156,186)\r\n"), uint8(0), uint8(3))
	f.Add([]byte("PASV\r\n227 (10,0,0,5,156,186)\r\n"), uint8(1), uint8(200))
	f.Add([]byte("STAT x\r\nPASV\r\nEPSV\r\n229 (|||40122|)\r\n"), uint8(2), uint8(1))
	f.Add([]byte("NOOP\r\n\xff\xf4PASV\r\n\r\n227 (1,2,3,4,5,6)\r\n"), uint8(3), uint8(9))
	f.Fuzz(func(t *testing.T, client []byte, style, cut uint8) {
		c := newTalk()
		if _, err := c.Server([]byte("220 ready\r\n")); err != nil {
			t.Fatal(err)
		}
		var server []byte // what the server has not seen the end of
		for len(client) > 0 {
			n := min(int(cut)%17+1, len(client))
			out, err := c.Client(client[:n])
			client = client[n:]
			server = append(server, out...)
			for {
				i := bytes.Index(server, []byte("\r\n"))
				if i < 0 {
					break
				}
				line := string(server[:i])
				server = server[i+2:]
				answer := map[uint8]string{
					0: "500 " + line + "\r\n",
					1: "500-" + line + "\r\n" + line + "\r\n500 what?\r\n",
					2: "200-\r\n " + line + "\r\n200 " + line + "\r\n",
					3: "331 " + line + "\r\n",
				}[style%4]
				for len(answer) > 0 {
					n := min(int(cut)%5+1, len(answer))
					if _, err := c.Server([]byte(answer[:n])); err != nil {
						return
					}
					answer = answer[n:]
				}
			}
			if err != nil {
				break
			}
		}
		if len(c.opened) > 0 {
			t.Fatalf("opened %q", c.opened)
		}
	})
}

// FuzzWatcherModel plays lines of both sides against the watcher and against a
// model of it that is written in another way: over whole lines, with a transcript
// and no states. What opens, and what comes out, must be the same, however the
// bytes are cut.
func FuzzWatcherModel(f *testing.F) {
	f.Add("S220 ready\nCPASV\nS227 (10,0,0,5,156,186)\nCEPSV\nCNOOP\nS229 (|||40122|)\nS200 ok\n", uint8(3))
	f.Add("CPASV\nS220-a\nS227 (1,2,3,4,5,6)\nS220 b\nS150 x\nS227 (1,2,3,4,5,6)\nS227 (1,2,3,4,5,6)\n", uint8(0))
	f.Add("S220 ready\nCPORT 1\nCPASV\nS200-x\nS200 y\nS227-\nS227 (1,2,3,4,5,6)\nCAUTH TLS\nS421 z\n", uint8(1))
	f.Add("S220 ready\nCEPSV ALL\nCPASV\nS200 ok\nS227 (1,2,3,4,5,6)\nCPASV\nS200 ok\nCEPSV\nS229 (|||1|)\n", uint8(7))
	f.Add("S220 ready\nS227-x\nCPASV\nS227 (10,0,0,5,156,186)\nCPASV\nS227 (10,0,0,5,156,186)\n", uint8(7))
	f.Add("S421 no\nCEPSV\nS229 (|||40122|)\nSjunk\nCNOOP\n", uint8(2))
	f.Fuzz(func(t *testing.T, script string, cut uint8) {
		var lines []string
		for line := range strings.SplitSeq(script, "\n") {
			if len(lines) < 64 && len(line) > 1 && len(line) < 200 && (line[0] == 'C' || line[0] == 'S') && !strings.ContainsAny(line, "\r\x00~") && strings.IndexByte(line, 0xff) < 0 {
				lines = append(lines, line[:1]+" "+line[1:])
			}
		}
		c := newTalk()
		toServer, toClient, err := c.play(int(cut), lines...)
		if err != nil {
			return
		}
		m := &model{}
		for _, line := range lines {
			m.line(line[0], line[2:])
		}
		m.end()
		if diff := cmp.Diff(m.opened, c.opened); diff != "" {
			t.Errorf("opened (-model +watcher):\n%s", diff)
		}
		if m.toServer != toServer || m.toClient != toClient {
			t.Errorf("got %q and %q,\nwant %q and %q", toServer, toClient, m.toServer, m.toClient)
		}
		if (m.hole != "") != (c.hole != "") {
			t.Errorf("got %q open, model %q", c.hole, m.hole)
		}
	})
}

// model is the oracle: it keeps every command, and the number of those answered.
type model struct {
	commands  []string // "" for the greeting; "!" and the answer for refused ones
	answered  int
	reply     []string // lines of the reply under way
	to        string   // what that reply answers, "-" for nothing
	broken    bool
	allLocked bool
	hole      string
	opened    []string

	toServer, toClient string
}

var (
	verbShape  = regexp.MustCompile(`^[\xf0-\xff]*([A-Za-z][A-Za-z0-9]{0,15})( (.*))?$`)
	replyShape = regexp.MustCompile(`^([1-5][0-9][0-9])([ -].*)?$`)
	sixShape   = regexp.MustCompile(`[0-9,]+`)
	epsvShape  = regexp.MustCompile(`\(([!-/:-~])(.)(.)([0-9]{1,5})(.)\)`)
)

func (m *model) line(who byte, line string) {
	if len(m.commands) == 0 {
		m.commands = []string{""}
	}
	if who == 'C' {
		m.command(line)
	} else {
		m.answer(line)
	}
}

func (m *model) command(line string) {
	g := verbShape.FindStringSubmatch(line)
	refuse := ""
	switch {
	case g == nil:
		refuse = answerMalformed
	case strings.EqualFold(g[1], "PORT"), strings.EqualFold(g[1], "EPRT"), strings.EqualFold(g[1], "LPRT"):
		refuse = answerActive
	case strings.EqualFold(g[1], "AUTH"):
		refuse = answerAuth
	case strings.EqualFold(g[1], "PASV") && m.allLocked:
		refuse = answerEpsvAll
	}
	if refuse != "" {
		m.commands = append(m.commands, "!"+refuse)
		m.toServer += "NOOP\r\n"
		return
	}
	what := strings.ToUpper(g[1])
	if what == "EPSV" && strings.EqualFold(g[3], "ALL") {
		what = "EPSV ALL"
	}
	m.commands = append(m.commands, what)
	m.toServer += line + "\r\n"
}

func (m *model) answer(line string) {
	if len(m.reply) == 0 {
		m.to = "-"
		if m.answered < len(m.commands) {
			m.to = m.commands[m.answered]
		}
		if !replyShape.MatchString(line) {
			m.broken, m.hole = true, ""
			m.toClient += line + "\r\n"
			return
		}
	}
	m.reply = append(m.reply, line)
	code := m.reply[0][:3]
	many := len(m.reply[0]) > 3 && m.reply[0][3] == '-'
	if many && (len(m.reply) == 1 || !strings.HasPrefix(line, code+" ")) {
		return
	}
	refusal := m.end()
	if code[0] != '1' {
		m.toClient += refusal
	}
	if code[0] == '1' {
		return
	}
	if m.to != "-" {
		m.answered++
	}
	m.conclude(code, line)
}

// end passes the lines of the reply on, or returns what stands in for them.
func (m *model) end() (refusal string) {
	lines := m.reply
	m.reply = nil
	if refusal, ok := strings.CutPrefix(m.to, "!"); ok && len(lines) > 0 && lines[0][:3] != "421" {
		return refusal
	}
	for _, line := range lines {
		m.toClient += line + "\r\n"
	}
	return ""
}

// conclude draws the consequences of a whole reply.
func (m *model) conclude(code, last string) {
	matched := m.to == "PASV" && code == "227" || m.to == "EPSV" && code == "229"
	asked := m.to == "PASV" || m.to == "EPSV"
	if asked || m.to == "-" && code != "421" {
		m.hole = ""
	}
	if (code == "227" || code == "229" || asked && code[0] == '2') && !matched {
		m.broken, m.hole = true, ""
	}
	if m.to == "" && code[0] != '2' {
		m.broken = true
	}
	if m.to == "EPSV ALL" && code[0] == '2' && code != "227" && code != "229" {
		m.allLocked = true
	}
	if !matched || m.broken || m.allLocked && code == "227" {
		return
	}
	hole := sixHole(last[min(4, len(last)):])
	if code == "229" {
		hole = epsvHole(last)
	}
	if hole != "" {
		m.hole = hole
		m.opened = append(m.opened, hole)
	}
}

func allowed(port int) bool {
	_, denied := deniedPorts[uint16(port)]
	return port >= 1024 && port <= 65535 && !denied
}

func sixHole(text string) string {
	for _, run := range sixShape.FindAllString(text, -1) {
		run = strings.Trim(run, ",")
		if strings.Count(run, ",") < 5 {
			continue
		}
		var n [6]int
		parts := strings.Split(run, ",")
		if len(parts) != 6 {
			return ""
		}
		for i, p := range parts {
			if _, err := fmt.Sscanf(p, "%d", &n[i]); err != nil || len(p) > 3 || n[i] > 255 {
				return ""
			}
		}
		if port := n[4]*256 + n[5]; allowed(port) {
			return fmt.Sprintf("%d at %d.%d.%d.%d", port, n[0], n[1], n[2], n[3])
		}
		return ""
	}
	return ""
}

func epsvHole(text string) string {
	for i := range len(text) {
		g := epsvShape.FindStringSubmatchIndex(text[i:])
		if g == nil || g[0] != 0 {
			continue
		}
		part := func(n int) string { return text[i+g[2*n] : i+g[2*n+1]] }
		var port int
		if _, err := fmt.Sscanf(part(4), "%d", &port); err != nil || part(1) != part(2) || part(1) != part(3) || part(1) != part(5) || port == 0 || port > 65535 {
			continue
		}
		if allowed(port) {
			return fmt.Sprint(port)
		}
		return ""
	}
	return ""
}
