package ftptest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
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

	secured bool // AUTH TLS
	private bool // PROT P
	data    net.Listener
	rest    int
	from    string // of RNFR
}

func (s *session) run() {
	s.r = ftp.NewReader(s.nc, 0)
	defer s.closeData()
	if s.greet() != nil {
		return
	}
	for {
		cmd, err := s.r.ReadCommand()
		if err != nil {
			return
		}
		s.a.mu.Lock()
		s.a.commands = append(s.a.commands, cmd.Verb)
		s.a.mu.Unlock()
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
	return s.sendRaw("120 ready in a moment\r\n" +
		"220-230 logged in already?\r\n 331 no\r\n220\r\n2200 visitors so far\r\n220 welcome\r\n")
}

// reply sends a reply of one line.
func (s *session) reply(code ftp.Code, text string) error {
	return s.sendRaw(string(ftp.NewReply(code, text).Append(nil)))
}

// chatter sends a reply of several lines that look like others.
func (s *session) chatter(code ftp.Code, text string) error {
	return s.sendRaw(fmt.Sprintf("%d-226 transfer complete\r\n426 no\r\n 226 yes\r\n%d%d\r\n550-\r\n\r\n%d %s\r\n", code, code, code, code, text))
}

// sendRaw sends bytes in pieces, cut where it hurts.
func (s *session) sendRaw(raw string) error {
	raw, _, hangUp := strings.Cut(raw, "{hang up}")
	if limit := s.a.Quirks.ControlLimit; limit > 0 && s.sent+len(raw) > limit {
		raw, hangUp = raw[:max(limit-s.sent, 0)], true
		defer func() { _ = netx.Reset(s.raw) }() // it dies
	}
	for _, piece := range []int{1, len(raw) / 2, len(raw) - 1, len(raw)} {
		have := s.sent
		_ = have
		if err := s.piece(&raw, piece); err != nil {
			return err
		}
	}
	if hangUp {
		return errHangUp
	}
	return nil
}
