package ftptest

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/netx"
)

// piecePause separates the pieces of a reply, so that each is read by itself.
const piecePause = time.Millisecond

// errHangUp ends a session.
var errHangUp = errors.New("hang up")

// session is one control connection of an [Awkward] server.
type session struct {
	a    *Awkward
	raw  net.Conn
	nc   net.Conn // raw or TLS over it
	r    *ftp.Reader
	sent int // bytes of replies

	private bool // PROT P
	others  int  // control connections that were open when this one came
	data    net.Listener
	active  string // where PORT or EPRT wants the data connection
	rest    int
	from    string // of RNFR
}

func (s *session) run() {
	s.r = ftp.NewReader(s.nc, 0)
	defer s.closeData()
	s.private = s.a.Quirks.AlwaysPrivate
	if s.a.Implicit && s.secure() != nil {
		return
	}
	if s.greet() != nil {
		return
	}
	for {
		cmd, err := s.r.ReadCommand()
		if err != nil {
			return
		}
		s.a.note(cmd.Verb)
		if s.a.Quirks.OneByOne {
			s.r.Reset(s.nc) // and what it had read
		}
		if cmd.Verb == s.a.Quirks.Silent {
			continue
		}
		if raw, ok := s.a.Quirks.Answers[cmd.Verb]; ok {
			err = s.sendRaw(raw)
		} else {
			err = s.serve(cmd)
		}
		if err != nil {
			return
		}
	}
}

func (s *session) greet() error {
	if raw, ok := s.a.Quirks.Answers["GREETING"]; ok {
		return s.sendRaw(raw)
	}
	if s.crowded() && strings.HasPrefix(s.a.Quirks.NoLogin, "421") {
		_ = s.sendRaw(s.a.Quirks.NoLogin) // the session ends in any case
		return errHangUp
	}
	return s.sendRaw("120 ready in a moment\r\n" +
		"220-230 logged in already?\r\n 331 no\r\n220\r\n2200 visitors so far\r\n220 welcome\r\n")
}

// crowded reports whether there are too many sessions beside this one.
func (s *session) crowded() bool { return s.a.Quirks.NoLogin != "" && s.others >= s.a.Quirks.Crowd }

// reply sends a reply of one line.
func (s *session) reply(code ftp.Code, text string) error {
	return s.sendRaw(string(ftp.NewReply(code, text).Append(nil)))
}

// chatter sends a reply of several lines that look like others.
func (s *session) chatter(code ftp.Code, text string) error {
	const lines = "%d-226 transfer complete\r\n426 no\r\n 226 yes\r\n%d%d\r\n550-\r\n\r\n%d %s\r\n"
	return s.sendRaw(fmt.Sprintf(lines, code, code, code, code, text))
}

// sendRaw sends bytes in pieces, cut where it hurts: after the first and before
// the last.
func (s *session) sendRaw(raw string) error {
	raw, _, hangUp := strings.Cut(raw, "{hang up}")
	dies := false
	if limit := s.a.Quirks.ControlLimit; limit > 0 && s.sent+len(raw) >= limit {
		raw, dies = raw[:max(limit-s.sent, 0)], true
	}
	at := 0
	for _, end := range [...]int{1, len(raw) / 2, len(raw) - 1, len(raw)} {
		if end = min(end, len(raw)); end <= at {
			continue
		}
		if _, err := s.nc.Write([]byte(raw[at:end])); err != nil {
			return err
		}
		s.sent += end - at
		if at = end; at < len(raw) {
			<-time.After(piecePause)
		}
	}
	switch {
	case dies:
		_ = netx.Reset(s.raw) // it dies
		return errHangUp
	case hangUp:
		return errHangUp
	default:
		return nil
	}
}

// serve carries out what is not about files and data.
func (s *session) serve(cmd ftp.Command) error {
	q := &s.a.Quirks
	switch cmd.Verb {
	case "USER":
		if s.crowded() {
			return s.sendRaw(q.NoLogin)
		}
		return s.chatter(ftp.CodeNeedPassword, "password?")
	case "PASS":
		return s.chatter(ftp.CodeLoggedIn, "come in")
	case "FEAT":
		lines := q.Features
		if lines == nil {
			lines = []string{"UTF8", "SIZE", "MDTM", "REST STREAM", "EPSV", "MLST type*;size*;modify*;", "211"}
		}
		all := append(append([]string{"226 features"}, lines...), "end")
		return s.sendRaw(string(ftp.NewReply(ftp.CodeSystemStatus, all...).Append(nil)))
	case "STAT":
		return s.chatter(ftp.CodeSystemStatus, "status")
	case "SYST":
		if q.System == "" {
			return s.reply(ftp.CodeUnknownCommand, "what?")
		}
		return s.reply(ftp.CodeSystemType, q.System)
	case "OPTS", "TYPE", "PBSZ", "NOOP":
		return s.chatter(ftp.CodeOK, "fine")
	case "PWD":
		return s.chatter(ftp.CodePath, `"/" is where you are`)
	case "CWD":
		if cmd.Arg != "/" {
			return s.reply(ftp.CodeFileUnavailable, "no such directory")
		}
		return s.reply(ftp.CodeFileOK, "fine")
	case "QUIT":
		_ = s.reply(ftp.CodeClosing, "bye") // the session ends in any case
		return errHangUp
	case "AUTH":
		return s.auth()
	case "PROT":
		s.private = cmd.Arg == "P"
		return s.reply(ftp.CodeOK, "as you like")
	case "EPSV":
		return s.epsv()
	case "PASV":
		return s.pasv()
	case "PORT", "EPRT":
		return s.port(cmd)
	default:
		return s.serveFiles(cmd)
	}
}

func (s *session) auth() error {
	if s.a.TLS == nil {
		return s.reply(ftp.CodeNotImplemented, "no TLS")
	}
	if err := s.reply(ftp.CodeSecurityOK, "go ahead"); err != nil {
		return err
	}
	return s.secure()
}

// secure goes on with TLS.
func (s *session) secure() error {
	secured := tls.Server(s.raw, s.a.TLS)
	if err := secured.Handshake(); err != nil {
		return err
	}
	s.nc = secured
	s.r.Reset(secured)
	return nil
}

// port notes where the client listens.
func (s *session) port(cmd ftp.Command) error {
	if cmd.Verb == "PORT" && s.a.Quirks.NoPORT {
		return s.reply(ftp.CodeNotImplemented, "PORT 1,2,3,4,5,6?")
	}
	parse := ftp.ParsePort
	if cmd.Verb == "EPRT" {
		parse = ftp.ParseEprt
	}
	ap, err := parse(cmd.Arg)
	if err != nil {
		return s.reply(ftp.CodeBadArgument, "where?")
	}
	s.closeData()
	s.active = ap.String()
	return s.chatter(ftp.CodeOK, "I shall come")
}

func (s *session) epsv() error {
	if s.a.Quirks.NoEPSV {
		return s.reply(ftp.CodeNotImplemented, "EPSV? (|||1|)")
	}
	if s.a.Quirks.BadEPSV {
		return s.reply(ftp.CodeExtendedPassive, "guess the port")
	}
	port, err := s.listen()
	if err != nil {
		return err
	}
	return s.sendRaw(fmt.Sprintf("229-(|x||1|)\r\n 229 (|||)\r\n229 passive (|||%d|)\r\n", port))
}

// pasv names an address that is somebody else's.
func (s *session) pasv() error {
	port, err := s.listen()
	if err != nil {
		return err
	}
	liar := netip.AddrPortFrom(cmp.Or(s.a.Quirks.Liar, netip.AddrFrom4([4]byte{203, 0, 113, 7})), port)
	return s.sendRaw("227 at " + ftp.FormatPort(liar) + ", in 2 s\r\n")
}

// listen opens a port for the next data connection.
func (s *session) listen() (uint16, error) {
	s.closeData()
	l, err := s.a.listen()
	if err != nil {
		return 0, err
	}
	s.data = l
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return uint16(n), err
}

func (s *session) closeData() {
	if s.data != nil {
		s.a.forget(s.data)
		s.data = nil
	}
}

// busy refuses the commands that have come in mid-transfer, or loses them.
func (s *session) busy() error {
	if !s.a.Quirks.Busy && !s.a.Quirks.Deaf {
		return nil
	}
	defer s.raw.SetReadDeadline(time.Time{}) //nolint:errcheck // a closed connection is noticed soon enough
	for {
		if err := s.raw.SetReadDeadline(time.Now().Add(50 * piecePause)); err != nil {
			return err
		}
		cmd, err := s.r.ReadCommand()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		s.a.note(cmd.Verb)
		if s.a.Quirks.Deaf {
			continue
		}
		if err := s.reply(ftp.CodeFileBusy, "a transfer is in progress"); err != nil {
			return err
		}
	}
}
