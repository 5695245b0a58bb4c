package ftpserver

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// session is one control connection. Its goroutine owns every field that has no
// mutex above it.
type session struct {
	srv         *Server
	policy      *policy // the server's when the session began
	id          uint64
	raw         net.Conn // as it was accepted, beneath TLS
	peer, local netip.AddrPort
	started     time.Time
	counted     bool // as logged in; guarded by the server's mutex
	timeouts    Timeouts
	limits      Limits
	log         *slog.Logger
	table       map[string]*command
	pool        *passivePool
	in          *ftp.Reader
	ctx         context.Context // the session's life
	cancel      context.CancelCauseFunc

	door       *Door   // by which it came; nil: there is one server at the address
	home       *Server // with which it began
	byHost     *Server // that HOST chose
	hostName   string  // that HOST gave
	byTLS      *Server // that TLS was begun with the name of
	login      string  // the host of the login that USER began
	user       string  // offered by USER, no password yet
	account    *Account
	attempts   int // wrong passwords
	strikes    int // lines before login that were no commands
	cwd        string
	ascii      bool
	restart    int64  // REST, for the next transfer
	renameFrom string // RNFR, for the next command
	facts      ftp.Facts
	epsvOnly   bool
	umask      *fs.FileMode // of SITE UMASK; nil: the site's own
	data       dataSource
	tls        *protection // nil while the control connection is plain
	quit       bool
	touched    string   // the path that the command is about
	answered   ftp.Code // to the command, not counting what its transfer says
	handedOn   bool     // to the command's transfer, which has the last word
	issued     ftp.Command
	issuedAt   time.Time

	// turn is held while a reply is written together with the change of state
	// that it announces: a client that has read 226 finds no transfer running.
	turn     sync.Mutex // guards the following
	conn     net.Conn   // raw, or TLS over it
	transfer *transfer

	// reading says that the session waits for a command, and has none in hand.
	reading atomic.Bool

	pace pace
	seen seen
}

// newSession is called with the server's lock held.
func newSession(srv *Server, id uint64, conn net.Conn, peer netip.AddrPort) *session {
	s := &session{
		srv: srv, policy: srv.now, id: id, raw: conn, conn: conn, peer: peer, local: addrPort(conn.LocalAddr()),
		started: time.Now(), timeouts: srv.now.Timeouts, limits: srv.now.Limits,
		log:   srv.logger().With("session", id, "peer", peer.String()),
		table: commands,
		cwd:   "/", ascii: true, facts: ftp.DefaultFacts,
	}
	s.in = ftp.NewReader(conn, s.limits.Line)
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.pace = pace{conn: conn, idle: s.timeouts.Idle, loginBy: s.started.Add(s.timeouts.Login)}
	return s
}

// errBye ends a session that has said all it had to say.
var errBye = errors.New("session is over")

// serve runs the session to its end.
func (s *session) serve() {
	s.log.Debug("session begins")
	// Closing is what wakes a read or write under way; the cause says why.
	stop := context.AfterFunc(s.ctx, func() { _ = s.raw.Close() })
	defer stop()
	inlineUrgent(s.raw, true)
	err := s.greet()
	for err == nil && !s.quit {
		err = s.step()
	}
	s.end(err)
}

// greet says 220, once TLS is there where it is implicit.
func (s *session) greet() error {
	if s.implicit() {
		if err := s.pace.arm(); err != nil {
			return err
		}
		if !s.startTLS() {
			return nil
		}
	}
	s.reply(ftp.CodeReady, s.banner()...)
	return nil
}

// implicit reports whether TLS comes before the first reply.
func (s *session) implicit() bool {
	if s.door != nil {
		return s.door.Implicit
	}
	return s.policy.TLS != nil && s.policy.TLS.Implicit
}

// step reads one command and carries it out. An error ends the session.
func (s *session) step() error {
	if err := s.pace.arm(); err != nil {
		return err
	}
	s.reading.Store(true)
	c, err := s.in.ReadCommand()
	var syntax *ftp.SyntaxError
	if err == nil || errors.As(err, &syntax) {
		s.reading.Store(false)
	}
	switch {
	case err == nil:
		account := ""
		if s.policy.OnEvent != nil {
			account = s.seen.account()
		}
		s.touched, s.answered, s.handedOn, s.issued, s.issuedAt = "", 0, false, c, time.Now()
		s.do(c)
		s.commandOver(c, s.issuedAt, account)
	case errors.As(err, &syntax):
		s.waitTransfer()
		s.replyf(ftp.CodeUnknownCommand, "Not a command: want "+syntax.Want)
		s.strike()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return s.overdue()
	default:
		return err
	}
	return context.Cause(s.ctx)
}

// overdue says goodbye when a read hit its deadline.
func (s *session) overdue() error {
	transferring, draining := s.pace.state()
	switch {
	case transferring:
		return nil // the deadline was set before the transfer began, and is gone by now
	case draining:
		s.reply(ftp.CodeUnavailable, "The server is going down")
	case s.account != nil:
		s.reply(ftp.CodeUnavailable, "No command for "+s.timeouts.Idle.String()+", closing the connection")
	default:
		s.reply(ftp.CodeUnavailable, "No login within "+s.timeouts.Login.String()+", closing the connection")
	}
	return errBye
}

// drain makes the session end when it is at rest.
func (s *session) drain() {
	if err := s.pace.drain(); err != nil {
		s.cancel(fault.As(err, "ending the session"))
	}
}

// end releases everything, cutting a transfer that still runs.
func (s *session) end(err error) {
	if err == nil || errors.Is(err, io.EOF) {
		err = errBye
	}
	if t := s.current(); t != nil {
		t.cancel(errControlLost)
		<-t.done
	}
	s.dropData()
	s.leaveAccount()
	// Before the context ends, which closes what is beneath TLS: a client that
	// was said goodbye to reads that it was not cut.
	_ = s.control().Close() // closed already when the context was cancelled first
	s.cancel(err)
	s.log.Debug("session ends", "cause", context.Cause(s.ctx), "took", time.Since(s.started))
}

// do carries one command out, in its turn.
func (s *session) do(c ftp.Command) {
	cmd := s.table[c.Verb]
	s.logCommand(c)
	s.seen.command(c, s.account != nil)
	if cmd == nil || !cmd.during || c.Arg != "" {
		s.waitTransfer()
	}
	if c.Verb != "RNTO" {
		s.renameFrom = ""
	}
	switch {
	case cmd == nil:
		s.reply(ftp.CodeUnknownCommand, "Unknown command; HELP lists those that are served")
		s.strike()
	case cmd.refusal != "":
		s.reply(cmd.refusalCode(), cmd.refusal)
	case cmd.login && s.account == nil:
		s.reply(ftp.CodeNotLoggedIn, "Log in first, with USER and PASS")
	case cmd.arg == argNone && c.Arg != "":
		s.reply(ftp.CodeBadArgument, c.Verb+" takes no argument")
	case cmd.arg == argRequired && c.Arg == "":
		s.reply(ftp.CodeBadArgument, "Argument missing: "+cmd.syntax())
	case cmd.writes && s.account != nil && s.account.ReadOnly:
		s.reply(ftp.CodeFileUnavailable, readOnlyText)
	default:
		cmd.run(s, c.Arg)
	}
}

const readOnlyText = "Read-only: this account may list and download (LIST, MLSD, RETR), not change anything"

// logCommand logs at debug level. The name of somebody who has not logged in may
// be a password typed too early.
func (s *session) logCommand(c ftp.Command) {
	if c.Verb == "USER" {
		c.Arg = ""
	}
	s.log.Debug("command", "command", c)
}

// maxStrikes is how many lines that are no commands a client may send before it
// has logged in. A browser that is made to speak HTTP to us runs into it.
const maxStrikes = 10

func (s *session) strike() {
	if s.account != nil {
		return
	}
	if s.strikes++; s.strikes >= maxStrikes {
		s.reply(ftp.CodeUnavailable, "This is an FTP server, closing the connection")
		s.quit = true
	}
}

// waitTransfer waits until no transfer runs.
func (s *session) waitTransfer() {
	if t := s.current(); t != nil {
		<-t.done
	}
}

// control is the control connection, TLS included.
func (s *session) control() net.Conn {
	s.turn.Lock()
	defer s.turn.Unlock()
	return s.conn
}

func (s *session) current() *transfer {
	s.turn.Lock()
	defer s.turn.Unlock()
	return s.transfer
}

// reply sends a reply of one or more lines.
func (s *session) reply(code ftp.Code, lines ...string) { s.send(ftp.NewReply(code, lines...)) }

func (s *session) replyf(code ftp.Code, text string) { s.reply(code, sentence(text)) }

func (s *session) send(r ftp.Reply) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.answered = r.Code
	s.sendLocked(r)
}

// sendLocked sends replies in one piece.
func (s *session) sendLocked(replies ...ftp.Reply) {
	b := make([]byte, 0, 128)
	for _, r := range replies {
		b = r.Append(b)
		s.seen.reply(r.Code)
	}
	err := s.conn.SetWriteDeadline(time.Now().Add(s.timeouts.Reply))
	if err == nil {
		_, err = s.conn.Write(b)
	}
	if err != nil {
		s.cancel(fault.As(err, "sending a reply"))
	}
}

// badArgument answers an argument that its grammar refuses.
func (s *session) badArgument(err error) {
	var syntax *ftp.SyntaxError
	if errors.As(err, &syntax) {
		s.reply(ftp.CodeBadArgument, "Malformed argument: want "+syntax.Want)
		return
	}
	s.reply(ftp.CodeBadArgument, sentence(fault.Public(err)))
}
