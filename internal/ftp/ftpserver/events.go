package ftpserver

import (
	"net"
	"net/netip"
	"time"

	"sallyport.dev/internal/ftp"
)

// EventKind says what an [Event] is.
type EventKind uint8

// The kinds of events.
const (
	EventCommand    EventKind = iota // a command has its last answer
	EventDataOpened                  // a data connection came about
	EventDataClosed                  // it has ended
)

// Event is one thing that happened in a session, as logs want it. Texts that came
// from the client are as they came: whoever writes them down quotes them.
type Event struct {
	Kind        EventKind
	Session     uint64
	At          time.Time     // when it was over
	Took        time.Duration // from the command on
	Account     string        // empty before login
	Peer, Local netip.AddrPort
	Data        netip.AddrPort // the client's end of the data connection; zero without
	Host        string         // that HOST gave
	Verb        string
	Arg         string   // empty where it is or may be a password
	Path        string   // virtual and absolute; empty if the command is about none
	Code        ftp.Code // the last answer; 0 if none was given
	// File is set when a file was to move: RETR, STOR, APPE and STOU. Path is
	// then that file's.
	File           bool
	Text           bool  // in ASCII
	Sent, Received int64 // bytes of the data connection
	Err            error // why a transfer failed; nil if it did not
}

// event returns an event with what is known of the session.
func (s *session) event(kind EventKind, c ftp.Command, began time.Time) Event {
	now := time.Now()
	e := Event{
		Kind: kind, Session: s.id, At: now, Took: now.Sub(began), Account: s.seen.account(),
		Peer: s.peer, Local: s.local, Host: s.hostName, Verb: c.Verb, Arg: c.Arg,
	}
	if c.Secret() {
		e.Arg = ""
	}
	return e
}

// commandOver tells of a command that has its last answer.
func (s *session) commandOver(c ftp.Command, began time.Time, account string) {
	if s.policy.OnEvent == nil || s.handedOn {
		return
	}
	e := s.event(EventCommand, c, began)
	if c.Verb == "USER" && s.account == nil && !s.knows(c.Arg) {
		e.Arg = "" // may be a password typed too early
	}
	if e.Account == "" {
		e.Account = account // QUIT and REIN have left it
	}
	e.Path, e.Code = s.touched, s.answered
	switch c.Verb {
	case "RETR", "STOR", "APPE", "STOU":
		e.File, e.Text = true, s.ascii
	}
	s.policy.OnEvent(e)
}

func (s *session) knows(user string) bool {
	return anonymous(user) || s.policy.Known != nil && s.policy.Known(user)
}

// transferOver tells of a command whose transfer has ended.
func (s *session) transferOver(t *transfer, code ftp.Code, err error) {
	if s.policy.OnEvent == nil {
		return
	}
	e := s.event(EventCommand, t.command, t.began)
	e.Path, e.Code, e.Err, e.Data = t.path, code, err, t.peer
	e.File, e.Text = t.verb == "RETR" || t.upload, t.text
	if t.upload {
		e.Received = t.moved.Load()
	} else {
		e.Sent = t.moved.Load()
	}
	s.policy.OnEvent(e)
}

// dataOpened tells of a data connection, and dataClosed of its end.
func (s *session) dataOpened(t *transfer, conn net.Conn) {
	if s.policy.OnEvent == nil || t.peer.IsValid() {
		return
	}
	t.peer = addrPort(conn.RemoteAddr())
	e := s.event(EventDataOpened, ftp.Command{Verb: t.verb}, t.began)
	e.Path, e.Data = t.path, t.peer
	s.policy.OnEvent(e)
}

func (s *session) dataClosed(t *transfer, err error) {
	if s.policy.OnEvent == nil {
		return
	}
	e := s.event(EventDataClosed, ftp.Command{Verb: t.verb}, t.began)
	e.Path, e.Data, e.Err = t.path, t.peer, err
	s.policy.OnEvent(e)
}
