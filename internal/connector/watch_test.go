package connector

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/netx"
)

// talk is a watched conversation whose pinhole is a string.
type talk struct {
	*watcher
	hole    string   // open now
	opened  []string // ever
	refused []string
	log     bytes.Buffer
}

func newTalk() *talk {
	t := &talk{}
	t.watcher = newWatcher(watchHooks{
		announce: func(port uint16, advertised netip.Addr) error {
			t.hole = fmt.Sprint(port)
			if advertised.IsValid() {
				t.hole += " at " + advertised.String()
			}
			t.opened = append(t.opened, t.hole)
			return nil
		},
		refused: func(port uint16, why *fault.Error) { t.refused = append(t.refused, fmt.Sprint(port, " ", why)) },
		cancel:  func() { t.hole = "" },
	}, slog.New(slog.NewTextHandler(&t.log, nil)))
	return t
}

// play feeds lines that begin with "C " to the watcher's client side and with "S "
// to its server side, cut into pieces of at most cut bytes (0: whole), and returns
// what came out at both ends.
func (t *talk) play(cut int, lines ...string) (toServer, toClient string, err error) {
	for _, line := range lines {
		feed, out := t.Client, &toServer
		if line[0] == 'S' {
			feed, out = t.Server, &toClient
		}
		p := []byte(line[2:])
		if !strings.HasSuffix(line, "~") { // "~": not the end of a line
			p = append(p, '\r', '\n')
		} else {
			p = p[:len(p)-1]
		}
		for len(p) > 0 {
			n := len(p)
			if cut > 0 {
				n = min(n, cut)
			}
			got, err := feed(p[:n])
			*out += string(got)
			if err != nil {
				return toServer, toClient, err
			}
			p = p[n:]
		}
	}
	return toServer, toClient, nil
}

const hello = "S 220 ready"

func TestWatcherOpens(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		want  []string
	}{
		{"pasv", []string{hello, "C PASV", "S 227 Entering Passive Mode (10,0,0,5,156,186)."}, []string{"40122 at 10.0.0.5"}},
		{"pasv_lower_case", []string{hello, "C pasv", "S 227 =10,0,0,5,156,186"}, []string{"40122 at 10.0.0.5"}},
		{"epsv", []string{hello, "C EPSV", "S 229 Extended Passive (|||40122|)"}, []string{"40122"}},
		{"epsv_2", []string{hello, "C EPSV 2", "S 229 Extended Passive (|||40122|)"}, []string{"40122"}},
		{"epsv_after_epsv_all", []string{hello, "C EPSV ALL", "S 200 ok", "C EPSV", "S 229 Extended Passive (|||40122|)"}, []string{"40122"}},
		{"wrong_address_is_harmless", []string{hello, "C PASV", "S 227 (0,0,0,0,156,186)"}, []string{"40122 at 0.0.0.0"}},
		{"greeting_in_lines", []string{"S 220-Welcome", "S 227 (1,2,3,4,5,6)", "S 220 ready", "C PASV", "S 227 (10,0,0,5,156,186)"}, []string{"40122 at 10.0.0.5"}},
		{"greeting_twice", []string{"S 120 in a minute", hello, "C PASV", "S 227 (10,0,0,5,156,186)"}, []string{"40122 at 10.0.0.5"}},
		{"epsv_refused_then_pasv", []string{hello, "C EPSV", "S 500 what?", "C PASV", "S 227 (10,0,0,5,156,186)"}, []string{"40122 at 10.0.0.5"}},
		{"pipelined", []string{hello, "C CWD in", "C TYPE I", "C EPSV", "S 250 ok", "S 200 ok", "S 229 (|||40122|)"}, []string{"40122"}},
		{"pipelined_before_the_greeting", []string{"C USER me", "C EPSV", hello, "S 331 password", "S 229 (|||40122|)"}, []string{"40122"}},
		{"preliminary_answers_nothing", []string{hello, "C RETR a", "C EPSV", "S 150 here", "S 226 done", "S 229 (|||40122|)"}, []string{"40122"}},
		{"preliminary_in_lines", []string{hello, "C RETR a", "C EPSV", "S 150-here", "S 150 it comes", "S 226 done", "S 229 (|||40122|)"}, []string{"40122"}},
		{"lines_before", []string{hello, "C FEAT", "C EPSV", "S 211-Features", "S  EPSV", "S 229 (|||1111|)", "S 211 End", "S 229 (|||40122|)"}, []string{"40122"}},
		{"answer_in_lines", []string{hello, "C PASV", "S 227-Listen", "S 227-(10,0,0,5,4,1)", "S 227 (10,0,0,5,156,186)"}, []string{"40122 at 10.0.0.5"}},
		{"abor_with_synch", []string{hello, "C RETR a", "S 150 ok", "C \xff\xf4\xff\xf2ABOR", "S 426 aborted", "S 226 ok", "C PASV", "S 227 (10,0,0,5,156,186)"}, []string{"40122 at 10.0.0.5"}},
		{"abor_without_the_data_mark", []string{hello, "C RETR a", "S 150 ok", "C \xff\xf4\xffABOR", "S 426 aborted", "S 226 ok", "C PASV", "S 227 (10,0,0,5,156,186)"}, []string{"40122 at 10.0.0.5"}},
		{"telnet_from_the_server", []string{hello, "C PASV", "S \xff\xfc\x01227 (10,0,0,5,156,186)"}, []string{"40122 at 10.0.0.5"}},
		{"empty_lines_are_dropped", []string{hello, "C ", "C PASV", "C ", "S 227 (10,0,0,5,156,186)"}, []string{"40122 at 10.0.0.5"}},
		{"unknown_commands_pass", []string{hello, "C SITE WHATEVER 227", "S 200 ok", "C XYZZY", "S 500 what?", "C PASV", "S 227 (10,0,0,5,156,186)"}, []string{"40122 at 10.0.0.5"}},
		{"refused_port_keeps_step", []string{hello, "C PORT 10,0,0,9,4,4", "C PASV", "S 200 noop", "S 227 (10,0,0,5,156,186)"}, []string{"40122 at 10.0.0.5"}},
		{"vsftpd_session", []string{
			"S 220 (vsFTPd 3.0.3)", "C USER me", "S 331 Please specify the password.", "C PASS x", "S 230 Login successful.", "C PWD", "S 257 \"/\" is the current directory",
			"C EPSV", "S 229 Entering Extended Passive Mode (|||40122|)", "C TYPE I", "S 200 Switching to Binary mode.", "C SIZE a", "S 213 3", "C RETR a",
			"S 150 Opening BINARY mode data connection for a (3 bytes).", "S 226 Transfer complete.", "C EPSV", "S 229 Entering Extended Passive Mode (|||40123|)", "C QUIT", "S 221 Goodbye.",
		}, []string{"40122", "40123"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, cut := range []int{0, 1, 2, 3, 7} {
				c := newTalk()
				_, toClient, err := c.play(cut, tt.lines...)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, c.opened); diff != "" {
					t.Errorf("cut to %d (-want +got):\n%s\nlog: %s", cut, diff, &c.log)
				}
				if want := said(tt.lines, 'S'); toClient != want && tt.name != "refused_port_keeps_step" {
					t.Errorf("cut to %d: client got %q, want what the server said: %q", cut, toClient, want)
				}
			}
		})
	}
}

// said joins the lines of one side.
func said(lines []string, who byte) string {
	var b strings.Builder
	for _, line := range lines {
		if line[0] == who {
			b.WriteString(line[2:] + "\r\n")
		}
	}
	return b.String()
}

// Conversations that must not open anything. Each passes through unchanged.
func TestWatcherOpensNothing(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		log   string // in the log, if not empty
	}{
		{"echo_of_a_command", []string{hello, "C NLST 227 Entering Passive Mode (10,0,0,5,156,186)", "S 550 227 Entering Passive Mode (10,0,0,5,156,186): no such file"}, ""},
		{"echo_at_a_line_start", []string{hello, "C NLST 227 (10,0,0,5,156,186)", "S 227 (10,0,0,5,156,186)"}, "out of step"},
		{"echo_within_lines", []string{hello, "C STAT x", "S 213-Status", "S 227 (10,0,0,5,156,186)", "S 213 End"}, ""},
		{"echo_within_lines_while_pasv_waits", []string{hello, "C STAT x", "C PASV", "S 213-Status", "S 227 (10,0,0,5,156,186)", "S 213 End", "S 500 no"}, ""},
		{"nobody_asked", []string{hello, "S 227 (10,0,0,5,156,186)"}, "nobody asked"},
		{"nobody_asked_then_pasv_within_lines", []string{hello, "S 227-wait for it", "C PASV", "S 227 (10,0,0,5,156,186)"}, "nobody asked"},
		{"before_the_greeting_ends", []string{"C PASV", "S 220-hello", "S 227 (10,0,0,5,156,186)", "S 220 ready"}, ""},
		{"pasv_answered_229", []string{hello, "C PASV", "S 229 (|||40122|)"}, "out of step"},
		{"epsv_answered_227", []string{hello, "C EPSV", "S 227 (10,0,0,5,156,186)"}, "out of step"},
		{"answered_early", []string{hello, "C RETR a", "C PASV", "S 150 ok", "S 227 (10,0,0,5,156,186)"}, "out of step"},
		{"shifted_by_a_reply_too_many", []string{hello, "C NOOP", "S 200 ok", "C PASV", "S 200 again", "S 227 (10,0,0,5,156,186)"}, "out of step"},
		{"out_of_step_stays", []string{hello, "C NOOP", "S 227 (10,0,0,5,156,186)", "C PASV", "S 227 (10,0,0,5,156,186)"}, "connect again"},
		{"junk_then_pasv", []string{hello, "C NOOP", "S what", "S 200 ok", "C PASV", "S 227 (10,0,0,5,156,186)"}, "no reply"},
		{"port_below_1024", []string{hello, "C PASV", "S 227 (10,0,0,5,0,22)"}, "below 1024"},
		{"port_of_a_service", []string{hello, "C EPSV", "S 229 (|||3389|)"}, "Remote Desktop"},
		{"port_zero", []string{hello, "C PASV", "S 227 (10,0,0,5,0,0)"}, "announcement"},
		{"number_too_large", []string{hello, "C PASV", "S 227 (10,0,0,5,300,1)"}, "announcement"},
		{"seven_numbers", []string{hello, "C PASV", "S 227 (10,0,0,5,156,186,1)"}, "announcement"},
		{"first_of_many_lines_alone", []string{hello, "C PASV", "S 227-(10,0,0,5,156,186)", "S 227 thank you"}, "announcement"},
		{"never_the_last_line", []string{hello, "C PASV", "S 227-(10,0,0,5,156,186)", "S 227-(10,0,0,5,156,186)", "S 228 (10,0,0,5,156,186)"}, ""},
		{"epsv_with_address", []string{hello, "C EPSV", "S 229 (|1|10.0.0.8|40122|)"}, "announcement"},
		{"pipelined_behind_epsv_all", []string{hello, "C EPSV ALL", "C PASV", "S 200 ok", "S 227 (10,0,0,5,156,186)"}, "EPSV ALL"},
		{"refused_greeting", []string{"S 421 too many users", "C PASV", "S 227 (10,0,0,5,156,186)"}, "out of step"},
		{"other_passive_commands", []string{hello, "C SPSV", "S 227 (10,0,0,5,156,186)"}, "out of step"},
		{"cpsv", []string{hello, "C CPSV", "S 227 (10,0,0,5,156,186)"}, "out of step"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, cut := range []int{0, 1, 5} {
				c := newTalk()
				toServer, toClient, err := c.play(cut, tt.lines...)
				if err != nil {
					t.Fatal(err)
				}
				if len(c.opened) > 0 {
					t.Errorf("opened %q, want nothing", c.opened)
				}
				if !strings.Contains(c.log.String(), tt.log) || tt.log == "" && c.log.Len() > 0 {
					t.Errorf("log: got %s, want %q", &c.log, tt.log)
				}
				if toServer != said(tt.lines, 'C') || toClient != said(tt.lines, 'S') {
					t.Errorf("got %q and %q, want all to pass unchanged", toServer, toClient)
				}
			}
		})
	}
}

func TestWatcherCloses(t *testing.T) {
	opening := []string{hello, "C PASV", "S 227 (10,0,0,5,156,186)"}
	for _, tt := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"stays_during_transfer", []string{"C RETR a", "S 150 ok"}, "40122 at 10.0.0.5"},
		{"stays_when_the_next_is_only_asked_for", []string{"C RETR a", "C EPSV"}, "40122 at 10.0.0.5"},
		{"replaced", []string{"C EPSV", "S 229 (|||40123|)"}, "40123"},
		{"next_refused", []string{"C EPSV", "S 425 no port"}, ""},
		{"next_denied", []string{"C EPSV", "S 229 (|||22|)"}, ""},
		{"next_malformed", []string{"C EPSV", "S 229 (||)"}, ""},
		{"reply_without_command", []string{"S 200 hm"}, ""},
		{"out_of_step", []string{"C NOOP", "S 229 (|||40123|)"}, ""},
		{"idle_goodbye_keeps_it", []string{"S 421 timeout"}, "40122 at 10.0.0.5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newTalk()
			if _, _, err := c.play(0, append(slices.Clone(opening), tt.lines...)...); err != nil {
				t.Fatal(err)
			}
			if c.hole != tt.want {
				t.Errorf("got %q open, want %q", c.hole, tt.want)
			}
			c.Close()
			if c.hole != "" {
				t.Errorf("got %q open after the end, want nothing", c.hole)
			}
			if _, _, err := c.play(0, "C PASV", "S 227 (10,0,0,5,156,186)"); err != nil || c.hole != "" {
				t.Errorf("got %q, error %v after the end, want nothing", c.hole, err)
			}
		})
	}
}

// The client's refusals come in order with the answers that are under way, in
// words that say what works; the server gets a NOOP in place of the command.
func TestWatcherAnswersInOrder(t *testing.T) {
	tests := []struct {
		name               string
		lines              []string
		toServer, toClient string
	}{
		{"port", []string{hello, "C PORT 10,0,0,9,4,4", "S 200 noop"}, "NOOP\r\n", "220 ready\r\n" + answerActive},
		{"eprt", []string{hello, "C EPRT |1|10.0.0.9|1028|", "S 200 noop"}, "NOOP\r\n", "220 ready\r\n" + answerActive},
		{"lower_case", []string{hello, "C port 10,0,0,9,4,4", "S 200 noop"}, "NOOP\r\n", "220 ready\r\n" + answerActive},
		{"hidden_by_telnet", []string{hello, "C \xff\xf1port 10,0,0,9,4,4", "S 200 noop"}, "NOOP\r\n", "220 ready\r\n" + answerActive},
		{"hidden_by_a_space", []string{hello, "C NOOP", "C  PORT 10,0,0,9,4,4", "S 200 ok", "S 200 noop"}, "NOOP\r\nNOOP\r\n", "220 ready\r\n200 ok\r\n" + answerMalformed},
		{"hidden_by_a_tab", []string{hello, "C NOOP", "C PORT\t10,0,0,9,4,4", "S 200 ok", "S 200 noop"}, "NOOP\r\nNOOP\r\n", "220 ready\r\n200 ok\r\n" + answerMalformed},
		{"hidden_by_telnet_within", []string{hello, "C NOOP", "C PO\xff\xf1RT 10,0,0,9,4,4", "S 200 ok", "S 200 noop"}, "NOOP\r\nNOOP\r\n", "220 ready\r\n200 ok\r\n" + answerMalformed},
		{"auth", []string{hello, "C AUTH TLS", "S 530 log in first"}, "NOOP\r\n", "220 ready\r\n" + answerAuth},
		{"auth_then_goes_on", []string{hello, "C AUTH SSL", "S 200 noop", "C USER me", "S 331 pw"}, "NOOP\r\nUSER me\r\n", "220 ready\r\n" + answerAuth + "331 pw\r\n"},
		{
			"pipelined", []string{hello, "C CWD in", "C PORT 1,2,3,4,5,6", "C PWD", "C EPRT x", "S 250 ok", "S 200 noop", "S 257 \"/in\"", "S 200-noop", "S 200-really", "S 200 yes"},
			"CWD in\r\nNOOP\r\nPWD\r\nNOOP\r\n", "220 ready\r\n250 ok\r\n" + answerActive + "257 \"/in\"\r\n" + answerActive,
		},
		{"server_closes_instead", []string{hello, "C PORT 1,2,3,4,5,6", "S 421 bye"}, "NOOP\r\n", "220 ready\r\n421 bye\r\n"},
		{"preliminary_to_a_noop", []string{hello, "C PORT 1,2,3,4,5,6", "S 150 odd", "S 200 ok"}, "NOOP\r\n", "220 ready\r\n" + answerActive},
		{"pasv_after_epsv_all", []string{hello, "C EPSV ALL", "S 200 ok", "C PASV", "S 200 noop"}, "EPSV ALL\r\nNOOP\r\n", "220 ready\r\n200 ok\r\n" + answerEpsvAll},
		{"pasv_after_epsv_all_refused", []string{hello, "C EPSV ALL", "S 500 what", "C PASV", "S 227 (1,2,3,4,5,6)"}, "EPSV ALL\r\nPASV\r\n", "220 ready\r\n500 what\r\n227 (1,2,3,4,5,6)\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, cut := range []int{0, 1, 4} {
				c := newTalk()
				toServer, toClient, err := c.play(cut, tt.lines...)
				if err != nil {
					t.Fatal(err)
				}
				if toServer != tt.toServer || toClient != tt.toClient {
					t.Errorf("cut to %d:\ngot  %q and %q\nwant %q and %q", cut, toServer, toClient, tt.toServer, tt.toClient)
				}
			}
		})
	}
	for _, answer := range []string{answerActive, answerAuth, answerEpsvAll, answerMalformed} {
		if strings.Count(answer, "\n") != 1 || !strings.HasSuffix(answer, "\r\n") {
			t.Errorf("answer %q is not one line", answer)
		}
	}
}

func TestWatcherEnds(t *testing.T) {
	long := strings.Repeat("x", maxWatchLine)
	many := []string{hello}
	for range maxOutstanding + 1 {
		many = append(many, "C NOOP")
	}
	tests := []struct {
		name  string
		lines []string
		want  string
	}{
		{"tls_from_the_client", []string{hello, "C \x16\x03\x01\x02\x00~"}, "TLS"},
		{"http_from_the_client", []string{hello, "C GET / HTTP/1.1"}, "no FTP command"},
		{"http_post", []string{"C POST /x HTTP/1.1", hello}, "no FTP command"},
		{"first_line_is_garbage", []string{hello, "C {json}"}, "first line|0x7b"},
		{"first_line_without_verb", []string{hello, "C US-ER x"}, "first line"},
		{"digits", []string{hello, "C 1~"}, "0x31"},
		{"nul_in_a_command", []string{hello, "C USER a\x00~"}, "NUL"},
		{"nul_later", []string{hello, "C NOOP", "C \x00~"}, "NUL"},
		{"bare_lf_from_the_client", []string{hello, "C NLST x\nPASV"}, "LF"},
		{"bare_cr_from_the_client", []string{hello, "C NLST x\rPASV"}, "CR"},
		{"long_command", []string{hello, "C NLST " + long}, "4096"},
		{"long_command_without_end", []string{hello, "C N" + long + "x~"}, "4096"},
		{"too_many_outstanding", many, "64"},
		{"http_from_the_server", []string{"S HTTP/1.1 400 Bad Request"}, "220"},
		{"ssh_from_the_server", []string{"S SSH-2.0-OpenSSH_9.2"}, "220"},
		{"login_before_greeting", []string{"S 230 hello"}, "220"},
		{"passive_before_greeting", []string{"S 227 (10,0,0,5,156,186)"}, "220"},
		{"bare_lf_from_the_server", []string{"S 220 a\n227 b"}, "LF"},
		{"long_reply", []string{"S 220 " + long}, "4096"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, cut := range []int{0, 1} {
				c := newTalk()
				_, _, err := c.play(cut, tt.lines...)
				ok := false
				for want := range strings.SplitSeq(tt.want, "|") {
					ok = ok || err != nil && strings.Contains(err.Error(), want)
				}
				if !ok || fault.HintOf(err) == "" {
					t.Errorf("got error %v with hint %q, want %q and a hint", err, fault.HintOf(err), tt.want)
				}
				if len(c.opened) > 0 {
					t.Errorf("opened %q", c.opened)
				}
			}
		})
	}
	c := newTalk()
	if _, _, err := c.play(0, hello, "C NLST "+long[:maxWatchLine-5], "S 550 "+long[:maxWatchLine-4]); err != nil {
		t.Errorf("lines of just 4096 bytes: %v", err)
	}
}

// What the server names must be open before the client can read of it, wherever
// the bytes are cut: up to the last byte nothing has left.
func TestWatcherOpensBeforeItTells(t *testing.T) {
	const answer = "229 Extended Passive (|||40122|)\r\n"
	for cut := 1; cut < len(answer); cut++ {
		c := newTalk()
		if _, _, err := c.play(0, hello, "C EPSV"); err != nil {
			t.Fatal(err)
		}
		early, err := c.Server([]byte(answer[:cut]))
		if err != nil || len(early) > 0 || c.hole != "" {
			t.Fatalf("after %d bytes: got %q, %q open, error %v, want nothing", cut, early, c.hole, err)
		}
		rest, err := c.Server([]byte(answer[cut:]))
		if err != nil || string(rest) != answer || c.hole != "40122" {
			t.Fatalf("cut at %d: got %q, %q open, error %v", cut, rest, c.hole, err)
		}
	}
}

// No secret of the client may reach the log, whatever happens.
func TestWatcherLogsNoArgument(t *testing.T) {
	c := newTalk()
	_, _, err := c.play(0, hello, "C USER bob", "S 331 pw", "C PASS hunter2", "S 227 (10,0,0,5,156,186)", "C PASS\thunter2", "C PASS hunter2\rx")
	if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(c.log.String(), "hunter2") || c.log.Len() == 0 {
		t.Errorf("got error %v and log %s, want both without the password", err, &c.log)
	}
}

func TestWatchedConnUnderRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, stream := memnet.Pipe()
		inside, server := memnet.Pipe()
		c := newTalk()
		done := make(chan error, 1)
		go func() {
			_, err := netx.Relay(t.Context(), stream, newWatchedConn(inside, c.watcher), 0)
			done <- err
		}()
		send := func(w io.Writer, s string) {
			t.Helper()
			if _, err := io.WriteString(w, s); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(r io.Reader, want string) {
			t.Helper()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
				t.Fatalf("got %q, error %v, want %q", got, err, want)
			}
		}
		send(server, "220 rea")
		synctest.Wait()
		send(server, "dy\r\n")
		expect(client, "220 ready\r\n")
		send(client, "PORT 1,2,3,4,5,6\r\nEPSV\r\nQU")
		expect(server, "NOOP\r\nEPSV\r\n")
		send(server, "200 ok\r\n229 (|||40122|)\r\n")
		expect(client, answerActive+"229 (|||40122|)\r\n")
		if c.hole != "40122" {
			t.Errorf("got %q open, want 40122", c.hole)
		}
		send(client, "IT\r\n")
		expect(server, "QUIT\r\n")
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		send(server, "221 bye\r\nno end")
		if err := server.Close(); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(client); err != nil || string(rest) != "221 bye\r\nno end" {
			t.Errorf("got %q, error %v, want all that the server said", rest, err)
		}
		if err := <-done; err != nil {
			t.Errorf("relay: %v", err)
		}
		if c.hole != "" {
			t.Errorf("got %q open after the end", c.hole)
		}
	})
}

func TestWatchedConnCutsABadConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, stream := memnet.Pipe()
		inside, server := memnet.Pipe()
		done := make(chan error, 1)
		go func() {
			_, err := netx.Relay(t.Context(), stream, newWatchedConn(inside, newTalk().watcher), 0)
			done <- err
		}()
		if _, err := io.WriteString(client, "GET / HTTP/1.1\r\n"); err != nil {
			t.Fatal(err)
		}
		if err := <-done; fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
			t.Errorf("got error %v, want invalid with a hint", err)
		}
		for name, c := range map[string]*memnet.Conn{"client": client, "server": server} {
			if b, err := io.ReadAll(c); err == nil || len(b) > 0 {
				t.Errorf("%s: got %q, error %v, want a cut connection", name, b, err)
			}
		}
	})
}
