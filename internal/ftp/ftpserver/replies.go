package ftpserver

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// codes is how this edge spells the kinds of package fault: as the answer to a
// command that could not begin, and as the last word on a transfer that had.
var codes = map[fault.Kind]struct{ command, transfer ftp.Code }{
	fault.Internal:        {ftp.CodeLocalError, ftp.CodeLocalError},
	fault.Invalid:         {ftp.CodeBadFileName, ftp.CodeBadFileName},
	fault.Unauthenticated: {ftp.CodeNotLoggedIn, ftp.CodeNotLoggedIn},
	fault.Denied:          {ftp.CodeFileUnavailable, ftp.CodeFileUnavailable},
	fault.NotFound:        {ftp.CodeFileUnavailable, ftp.CodeFileUnavailable},
	fault.Exists:          {ftp.CodeFileUnavailable, ftp.CodeFileUnavailable},
	fault.Busy:            {ftp.CodeFileBusy, ftp.CodeFileBusy},
	fault.Unreachable:     {ftp.CodeLocalError, ftp.CodeTransferAborted},
	fault.TimedOut:        {ftp.CodeLocalError, ftp.CodeTransferAborted},
	fault.Full:            {ftp.CodeQuotaExceeded, ftp.CodeQuotaExceeded},
	fault.Unsupported:     {ftp.CodeFileUnavailable, ftp.CodeFileUnavailable},
	fault.Canceled:        {ftp.CodeLocalError, ftp.CodeTransferAborted},
}

// codeBadRestart says that a file cannot be positioned as REST asked (RFC 1123
// section 4.1.2.13).
const codeBadRestart ftp.Code = 554

// fail answers a command that could not be carried out.
func (s *session) fail(err error) {
	r := s.explain(err, codes[fault.KindOf(err)].command)
	s.send(r)
}

// explain logs err whole and returns what the client may read of it. A fault
// that nobody classified shows a number that is also in the log.
func (s *session) explain(err error, code ftp.Code) ftp.Reply {
	kind := fault.KindOf(err)
	if kind == fault.Internal {
		id := fmt.Sprintf("%d-%d", s.id, s.seen.fault())
		s.log.Error("internal fault", "fault", id, "err", err)
		return ftp.NewReply(code, "Internal fault, recorded in the server's log as "+id)
	}
	level := slog.LevelInfo
	switch kind {
	case fault.NotFound, fault.Exists, fault.Invalid: // the client's everyday
		level = slog.LevelDebug
	}
	s.log.Log(s.ctx, level, "refused", "code", int(code), "kind", kind.String(), "err", err)
	return ftp.NewReply(code, sentence(fault.Public(err)))
}

// transferCode is the last word on a transfer that ended with err.
func transferCode(err error) ftp.Code {
	if errors.Is(err, syscall.EIO) { // of a disk, though it may come wrapped by the socket's side of a sendfile
		return ftp.CodeLocalError
	}
	return codes[fault.KindOf(err)].transfer
}

// maxText is the longest line of a reply that only explains. Paths are quoted in
// them, with escapes of four bytes for one, and clients have read lines of a few
// hundred bytes since RFC 959. A path that is the answer (257, MLST) stays whole.
const maxText = 1000

// shorten cuts what is too long out of the middle of a text for people to read.
func shorten(text string) string {
	if len(text) <= maxText {
		return text
	}
	const each = maxText/2 - 5
	head, tail := text[:each], text[len(text)-each:]
	return strings.ToValidUTF8(head, "") + " ... " + strings.ToValidUTF8(tail, "")
}

// sentence returns text with a capital letter, as replies have, and shortened.
func sentence(text string) string {
	text = shorten(text)
	r, n := utf8.DecodeRuneInString(text)
	if n == 0 || r == utf8.RuneError {
		return text
	}
	return string(unicode.ToUpper(r)) + text[n:]
}
