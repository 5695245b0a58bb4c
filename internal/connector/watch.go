package connector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// Bounds of a watched conversation.
const (
	maxWatchLine   = ftp.DefaultMaxLine // bytes of a line, either way, without its CRLF
	maxOutstanding = 64                 // commands sent and not answered yet
)

// watchHooks are what a [watcher] does to the world. They are called with the
// watcher locked: they must neither block nor call back.
type watchHooks struct {
	// announce opens a pinhole. The server has just named port in answer to the
	// client's own PASV or EPSV, and the client has not seen the answer yet.
	// advertised is the address in a 227, and not valid after a 229. It is for
	// matching only: nothing is ever dialled there.
	announce func(port uint16, advertised netip.Addr) error
	// refused notes that an announced port was not opened, and why.
	refused func(port uint16, why *fault.Error)
	// cancel closes the pinhole of this conversation, if there is one.
	cancel func()
}

// watcher follows one FTP control conversation, both ways, and learns from it
// which data port the server has announced to this very client. It is a pure
// machine: no goroutine, no clock, no I/O but the log.
//
//	client ──► Client(p) ──► bytes for the server
//	client ◄── bytes       ◄── Server(p) ◄── server
//
// Bytes that Client and Server return are to be passed on in their order, before
// the next call of the same method; they stay good until then. Lines come out
// whole or not at all. Client and Server may be called from two goroutines. After
// an error, which says in its text and hint what the peer did, the connection must
// be closed. Close says that the conversation is over. [watchedConn] does all this
// for a net.Conn.
//
// What makes it safe, rule by rule; each is somebody's advisory:
//
//   - Commands queue up, and replies answer them in order; 1yz answers nothing, a
//     reply of many lines is over at "same code, space". A 227 counts with PASV at
//     the head, a 229 with EPSV at the head, and with nothing else (CERT VU#328867:
//     replies that echo what a client chose).
//   - One that comes otherwise means that the watcher is out of step: nothing opens
//     any more in this conversation.
//   - Only CRLF ends a line. CR or NUL within a command, a bare LF either way, and
//     lines over 4 KiB end the conversation, since the server may read them another
//     way than the watcher does.
//   - The server must speak first like FTP, the client's first line must be a
//     command, and not one of HTTP (ALPACA, NAT slipstreaming).
//   - Ports below 1024 and those of well-known services never open.
//   - EPSV ALL, once accepted, is the end of PASV.
//
// Bytes pass as they are, with two exceptions. Empty lines from the client, which
// some servers answer and some do not, are dropped. A command that cannot be
// served (PORT, EPRT, LPRT, AUTH, PASV after EPSV ALL, a malformed one) becomes
// NOOP on its way, and the server's answer to that NOOP becomes the refusal: so it
// comes in its right place among the other answers, however many are under way.
type watcher struct {
	hooks watchHooks
	log   *slog.Logger

	mu       sync.Mutex // guards the following
	client   splitter
	server   splitter
	queue    []asked
	spoken   bool // the client's first line was a command
	greeted  bool // the server's first line was FTP
	lost     bool // out of step: nothing opens any more
	closed   bool // the conversation is over
	epsvAll  bool
	multi    ftp.Code        // within a reply of many lines: its code, else 0
	stray    bool            // the reply being read began when nothing was asked
	said     map[string]bool // refusals that are in the log already
	events   []event         // to be logged when unlocked
	toServer []byte          // result of the last Client
	toClient []byte          // result of the last Server
}

// asked is a command that waits for its answer.
type asked struct {
	what   question
	answer string // if not empty: what the client gets in place of the server's answer
}

type question uint8

const (
	askOther question = iota
	askGreeting
	askPasv
	askEpsv
	askEpsvAll
)

func (q question) String() string {
	return [...]string{"another command", "the connection", "PASV", "EPSV", "EPSV ALL"}[q]
}

type event struct {
	level slog.Level
	text  string
	err   *fault.Error
}

// Answers to what is not served. Each says what is.
const (
	answerActive    = "500 active mode is not served through this tunnel, use passive mode: EPSV or PASV\r\n"
	answerAuth      = "502 TLS is not served on a mapping of protocol ftp, use plain FTP, or a tcp mapping with data_ports\r\n"
	answerEpsvAll   = "503 EPSV ALL was accepted, nothing but EPSV is served now\r\n"
	answerMalformed = "500 malformed command: want a verb of 1 to 16 letters and digits, then a space or the end of the line\r\n"
)

// newWatcher returns the watcher of a conversation that has not begun. log may be
// nil.
func newWatcher(hooks watchHooks, log *slog.Logger) *watcher {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &watcher{hooks: hooks, log: log, queue: []asked{{what: askGreeting}}}
}

// Close says that the conversation is over: its pinhole closes.
func (w *watcher) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost, w.closed = true, true
	w.hooks.cancel()
}

// Client takes bytes of the client and returns those for the server.
func (w *watcher) Client(p []byte) ([]byte, error) {
	w.mu.Lock()
	w.toServer = w.toServer[:0]
	err := w.fromClient(p)
	if err != nil {
		w.loseLocked()
	}
	out, events := w.toServer, w.events
	w.events = nil
	w.mu.Unlock()
	w.tell(events)
	return out, err
}

// Server takes bytes of the server and returns those for the client. A pinhole
// that they announce is open when it returns.
func (w *watcher) Server(p []byte) ([]byte, error) {
	w.mu.Lock()
	w.toClient = w.toClient[:0]
	err := w.server.feed(p, w.replyLineLocked)
	if errors.Is(err, errBareLF) {
		err = fault.New(fault.Invalid, "server ends a line with LF alone, want CRLF").WithHint(otherMapping)
	}
	if errors.Is(err, errLongLine) {
		err = fault.New(fault.Invalid, "server sends a line of more than %d bytes", maxWatchLine).WithHint(otherMapping)
	}
	if err != nil {
		w.loseLocked()
	}
	out, events := w.toClient, w.events
	w.events = nil
	w.mu.Unlock()
	w.tell(events)
	return out, err
}

// ServerEnd returns what the server sent after its last whole line. At its end
// there is no more to wait for.
func (w *watcher) ServerEnd() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := w.server.held
	w.server.held = nil
	w.loseLocked() // whoever listens on an announced port now is somebody else
	return rest
}

const (
	otherMapping = "expose the server as protocol tcp with data_ports: then nothing has to be understood"
	plainOnly    = "mappings of protocol ftp are for plain FTP; " + otherMapping
)

func (w *watcher) tell(events []event) {
	for _, e := range events {
		if e.err != nil {
			w.log.Log(context.Background(), e.level, e.text, "error", e.err, "hint", e.err.Hint)
			continue
		}
		w.log.Log(context.Background(), e.level, e.text)
	}
}

func (w *watcher) eventLocked(level slog.Level, text string, err *fault.Error) {
	w.events = append(w.events, event{level, text, err})
}

// loseLocked ends all opening for this conversation.
func (w *watcher) loseLocked() {
	w.lost = true
	w.hooks.cancel()
}

// fromClient splits what the client sends. What no command can begin with is
// refused at its first byte: the line's end may never come.
func (w *watcher) fromClient(p []byte) error {
	if !w.spoken && len(w.client.held) == 0 && len(p) > 0 {
		if c := p[0] | 0x20; p[0] == 0x16 {
			return fault.New(fault.Invalid, "client begins with TLS").WithHint(plainOnly)
		} else if (c < 'a' || c > 'z') && p[0] < 0xF0 && p[0] != '\r' {
			return fault.New(fault.Invalid, "client begins with byte 0x%02x, want an FTP command", p[0]).WithHint(plainOnly)
		}
	}
	if bytes.IndexByte(p, 0) >= 0 {
		return fault.New(fault.Invalid, "client sends a NUL byte on a control connection").WithHint(plainOnly)
	}
	switch err := w.client.feed(p, w.commandLineLocked); {
	case errors.Is(err, errBareLF):
		return fault.New(fault.Invalid, "client ends a command with LF alone, want CRLF").WithHint(otherMapping)
	case errors.Is(err, errLongLine):
		return fault.New(fault.Invalid, "client sends a command of more than %d bytes", maxWatchLine).WithHint(otherMapping)
	default:
		return err
	}
}

// commandLineLocked takes one line of the client, CRLF included.
func (w *watcher) commandLineLocked(line []byte) error {
	text := line[:len(line)-2]
	if len(text) == 0 {
		return nil
	}
	if bytes.IndexByte(text, '\r') >= 0 {
		return fault.New(fault.Invalid, "client sends a CR within a command").WithHint(otherMapping)
	}
	if len(w.queue) >= maxOutstanding {
		return fault.New(fault.Busy, "client has %d commands unanswered, the limit is %d", len(w.queue), maxOutstanding).WithHint("wait for answers before sending more")
	}
	cmd, err := ftp.ParseCommand(text)
	if !w.spoken && (err != nil || httpVerb(cmd.Verb)) {
		return fault.New(fault.Invalid, "client's first line is no FTP command").WithHint(plainOnly)
	}
	w.spoken = true
	if err != nil {
		w.insteadLocked(answerMalformed)
		return nil
	}
	refused := cmd.Verb == "PORT" || cmd.Verb == "EPRT" || cmd.Verb == "LPRT" || cmd.Verb == "AUTH"
	if !refused && !plainStart(text, cmd.Verb) {
		// Servers do not agree on what Telnet bytes before a verb mean: for them
		// another command may stand there than does here.
		w.insteadLocked(answerMalformed)
		return nil
	}
	switch cmd.Verb {
	case "PORT", "EPRT", "LPRT":
		w.insteadLocked(answerActive)
		return nil
	case "AUTH":
		w.insteadLocked(answerAuth)
		return nil
	case "PASV":
		if w.epsvAll {
			w.insteadLocked(answerEpsvAll)
			return nil
		}
		w.queue = append(w.queue, asked{what: askPasv})
	case "EPSV":
		what := askEpsv
		if arg, err := ftp.ParseEpsvArg(cmd.Arg); err == nil && arg == ftp.EpsvAll {
			what = askEpsvAll
		}
		w.queue = append(w.queue, asked{what: what})
	default:
		w.queue = append(w.queue, asked{})
	}
	w.toServer = append(w.toServer, line...)
	return nil
}

// insteadLocked sends NOOP in place of a command, whose answer will be answer.
func (w *watcher) insteadLocked(answer string) {
	w.queue = append(w.queue, asked{answer: answer})
	w.toServer = append(w.toServer, "NOOP\r\n"...)
	if w.said == nil {
		w.said = make(map[string]bool)
	}
	if !w.said[answer] {
		w.said[answer] = true
		w.eventLocked(slog.LevelInfo, "FTP command refused", fault.New(fault.Unsupported, "answered %q", answer[:len(answer)-2]))
	}
}

// plainStart reports whether a command begins with its verb, or with no more than
// the Telnet interrupt and synch before a command that may come within a transfer
// (RFC 959 section 4.1.3).
func plainStart(text []byte, verb string) bool {
	n := 0
	for n < len(text) && (text[n] == 0xFF || text[n] == 0xF4 || text[n] == 0xF2) {
		n++
	}
	if n == 0 {
		return text[0] < 0xF0
	}
	return text[n] < 0xF0 && (verb == "ABOR" || verb == "STAT" || verb == "QUIT")
}

// httpVerb recognises what browsers are made to send to other servers' ports. None
// of these is a command of FTP.
func httpVerb(verb string) bool {
	switch verb {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI":
		return true
	}
	return false
}

// replyLineLocked takes one line of the server, CRLF included.
func (w *watcher) replyLineLocked(line []byte) error {
	text := line[:len(line)-2]
	if w.multi != 0 {
		code := w.multi
		if !ftp.EndsReply(text, code) {
			w.passLocked(line, code)
			return nil
		}
		w.multi = 0
		w.finalLocked(line, code, string(text[4:]))
		return nil
	}
	first, err := ftp.ParseReplyLine(ftp.StripTelnet(text))
	if !w.greeted {
		if err != nil || !greeting(first.Code) {
			return fault.New(fault.Invalid, "server's first line is %.200q, want 220 of FTP", text).WithHint("is the mapping's internal address that of an FTP server? If it speaks another protocol, use protocol tcp")
		}
		w.greeted = true
	}
	// What a reply answers is settled when it begins: a command that comes while it
	// is under way is not what it answers.
	w.stray = len(w.queue) == 0
	switch {
	case err != nil:
		w.outOfStepLocked("the server sends a line that is no reply: %.200q", text)
		w.toClient = append(w.toClient, line...)
	case first.More:
		w.multi = first.Code
		w.passLocked(line, first.Code)
	default:
		w.finalLocked(line, first.Code, first.Text)
	}
	return nil
}

// greeting reports whether an FTP server may begin with code: ready, ready soon,
// or a refusal, which is for the client to read.
func greeting(code ftp.Code) bool {
	return code == ftp.CodeReady || code == ftp.CodeReadyIn || code.Transient() || code.Permanent()
}

// passLocked passes a line of a reply on, unless the client gets another answer.
func (w *watcher) passLocked(line []byte, code ftp.Code) {
	if !w.stray && w.queue[0].answer != "" && code != ftp.CodeUnavailable {
		return
	}
	w.toClient = append(w.toClient, line...)
}

// finalLocked takes the last line of a reply.
func (w *watcher) finalLocked(line []byte, code ftp.Code, text string) {
	if code.Preliminary() {
		w.passLocked(line, code)
		return
	}
	announces := code == ftp.CodePassive || code == ftp.CodeExtendedPassive
	if w.stray {
		w.toClient = append(w.toClient, line...)
		switch {
		case announces:
			w.outOfStepLocked("the server announces a port that nobody asked for: %d %.200q", code, text)
		case code != ftp.CodeUnavailable: // 421 comes whenever the server has had enough
			w.hooks.cancel()
			w.eventLocked(slog.LevelInfo, "FTP reply without a command", fault.New(fault.Invalid, "reply %d %.200q", code, text))
		}
		return
	}
	a := w.queue[0]
	w.passAnswerLocked(a, line, code)
	w.queue = append(w.queue[:0], w.queue[1:]...)
	switch {
	case a.what == askPasv && code == ftp.CodePassive:
		w.hooks.cancel()
		ap, err := ftp.ParsePasvReply(ftp.NewReply(code, text))
		w.openLocked(ap.Port(), ap.Addr(), err)
	case a.what == askEpsv && code == ftp.CodeExtendedPassive:
		w.hooks.cancel()
		port, err := ftp.ParseEpsvReply(ftp.NewReply(code, text))
		w.openLocked(port, netip.Addr{}, err)
	case announces, a.what == askPasv && code.Positive(), a.what == askEpsv && code.Positive():
		w.outOfStepLocked("the server answers %v with %d %.200q", a.what, code, text)
	case a.what == askPasv, a.what == askEpsv:
		w.hooks.cancel() // refused; what was announced before is as good as gone
	case a.what == askEpsvAll:
		w.epsvAll = w.epsvAll || code.Positive()
	case a.what == askGreeting && !code.Positive():
		w.lost = true // refused, and the connection ends
	}
}

// passAnswerLocked passes the last line of the answer to a on, or what stands in
// for it. A server that closes is heard in any case.
func (w *watcher) passAnswerLocked(a asked, line []byte, code ftp.Code) {
	if a.answer != "" && code != ftp.CodeUnavailable {
		w.toClient = append(w.toClient, a.answer...)
		return
	}
	w.toClient = append(w.toClient, line...)
}

// outOfStepLocked gives up opening anything for the rest of the conversation.
func (w *watcher) outOfStepLocked(format string, args ...any) {
	if w.lost {
		return
	}
	w.loseLocked()
	w.eventLocked(slog.LevelWarn, "FTP conversation out of step: no data port opens in it any more",
		fault.New(fault.Invalid, format, args...).WithHint("connect again; if it happens every time, "+otherMapping))
}

// openLocked opens a pinhole for a port that was announced as the rules ask.
func (w *watcher) openLocked(port uint16, advertised netip.Addr, err error) {
	if w.closed { // a late answer must leave nothing behind
		return
	}
	var why *fault.Error
	switch service, denied := deniedPorts[port]; {
	case err != nil:
		w.eventLocked(slog.LevelWarn, "FTP data port not opened", fault.Wrap(fault.Invalid, err, "read the server's announcement"))
		return
	case w.lost:
		why = fault.New(fault.Denied, "the server announced port %d, but the conversation is out of step", port).WithHint("connect again")
	case w.epsvAll && advertised.IsValid():
		why = fault.New(fault.Denied, "the server announced port %d by PASV after EPSV ALL", port).WithHint("use EPSV")
	case port < 1024:
		why = fault.New(fault.Denied, "the server announced port %d, below 1024", port).WithHint(setRange)
	case denied:
		why = fault.New(fault.Denied, "the server announced port %d, which is %s's", port, service).WithHint(setRange)
	default:
		if err := w.hooks.announce(port, advertised); err != nil {
			why = fault.As(err, "open port %d", port).WithHint("%s", fault.HintOf(err))
		}
	}
	if why == nil {
		w.eventLocked(slog.LevelDebug, fmt.Sprintf("FTP data port %d opened for one connection", port), nil)
		return
	}
	w.hooks.refused(port, why)
	w.eventLocked(slog.LevelWarn, "FTP data port not opened", why)
}

const setRange = "set the server's passive port range to free ports above 1024 that no other service uses, such as 40000-40100"
