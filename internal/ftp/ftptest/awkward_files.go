package ftptest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/netx"
)

// dataPatience bounds the server's waits on data connections.
const dataPatience = 10 * time.Second

// awkwardTime is the modification time of every file.
const awkwardTime = "20240229123456"

// serveFiles carries out what is about files.
func (s *session) serveFiles(cmd ftp.Command) error {
	content, there := s.a.File(cmd.Arg)
	missing := func() error { return s.chatter(ftp.CodeFileUnavailable, "no such file") }
	switch cmd.Verb {
	case "RETR":
		if !there {
			return missing()
		}
		return s.send(content[min(s.takeRest(), len(content)):])
	case "MLSD":
		return s.list(s.a.listing(func(name string, size int) string {
			return fmt.Sprintf("Size=%d;x.y=226;MODIFY=%s;type=file; %s\r\n", size, awkwardTime, name)
		}))
	case "LIST":
		return s.list(s.a.listing(func(name string, size int) string {
			return fmt.Sprintf("-rw-r--r--   1 226      550      %d Feb 29  2024 %s\r\n", size, name)
		}))
	case "STOR", "APPE":
		before := ""
		if cmd.Verb == "APPE" {
			before = content
		} else if rest := s.takeRest(); rest > 0 {
			before = content[:min(rest, len(content))]
		}
		return s.receive(cmd.Arg, before)
	case "REST":
		n, err := strconv.Atoi(cmd.Arg)
		if err != nil || n < 0 {
			return s.reply(ftp.CodeBadArgument, "not a number")
		}
		s.rest = n
		return s.chatter(ftp.CodePending, "go on")
	case "SIZE", "MDTM", "MLST", "DELE", "RNFR":
		if t, ok := s.a.Quirks.Times[cmd.Arg]; ok && cmd.Verb == "MDTM" {
			return s.reply(ftp.CodeFileStatus, t)
		}
		if !there {
			return missing()
		}
		return s.about(cmd, content)
	case "RNTO":
		s.a.change(func(files map[string]string) {
			files[cmd.Arg] = files[s.from]
			delete(files, s.from)
		})
		return s.chatter(ftp.CodeFileOK, "renamed")
	case "MKD":
		return s.reply(ftp.CodePath, ftp.QuotePath(cmd.Arg))
	case "RMD":
		return s.reply(ftp.CodeFileOK, "gone")
	default:
		return s.reply(ftp.CodeUnknownCommand, "what?")
	}
}

// about carries out a command on a file that is there.
func (s *session) about(cmd ftp.Command, content string) error {
	switch cmd.Verb {
	case "SIZE":
		return s.reply(ftp.CodeFileStatus, strconv.Itoa(len(content)))
	case "MDTM":
		return s.reply(ftp.CodeFileStatus, awkwardTime)
	case "MLST":
		entry := fmt.Sprintf("type=file;size=%d;modify=%s; %s", len(content), awkwardTime, cmd.Arg)
		return s.sendRaw(string(ftp.NewReply(ftp.CodeFileOK, "226 here", entry, "end").Append(nil)))
	case "DELE":
		s.a.change(func(files map[string]string) { delete(files, cmd.Arg) })
		return s.chatter(ftp.CodeFileOK, "gone")
	default: // RNFR
		s.from = cmd.Arg
		return s.chatter(ftp.CodePending, "to what?")
	}
}

func (s *session) takeRest() int {
	n := s.rest
	s.rest = 0
	return n
}

func (a *Awkward) note(verb string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.commands = append(a.commands, verb)
}

func (a *Awkward) change(f func(map[string]string)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(a.files)
}

func (a *Awkward) listing(line func(name string, size int) string) string {
	if a.Quirks.Listing != "" {
		return a.Quirks.Listing
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(a.files)) {
		b.WriteString(line(name, len(a.files[name])))
	}
	return b.String()
}

// accept takes the data connection and says 150.
func (s *session) accept() (raw, data net.Conn, err error) {
	if s.active != "" {
		return s.connect()
	}
	if s.data == nil {
		return nil, nil, s.reply(ftp.CodeNoDataConnection, "no PASV before")
	}
	if d, ok := s.data.(interface{ SetDeadline(time.Time) error }); ok {
		patience := dataPatience
		if s.a.Quirks.NoWait {
			patience = 20 * piecePause
		}
		if err := d.SetDeadline(time.Now().Add(patience)); err != nil {
			return nil, nil, err
		}
	}
	raw, err = s.data.Accept()
	s.closeData()
	if err != nil && s.a.Quirks.NoWait {
		return nil, nil, s.reply(ftp.CodeNoDataConnection, "nobody there")
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.reply(ftp.CodeNoDataConnection, "nobody came"))
	}
	return s.greetData(raw)
}

// connect opens the data connection to where the client listens, and says 150.
func (s *session) connect() (raw, data net.Conn, err error) {
	to := s.active
	s.active = ""
	ctx, cancel := context.WithTimeout(context.Background(), dataPatience)
	defer cancel()
	if dial := s.a.Quirks.Stranger; dial != nil {
		stranger, err := dial(ctx, "tcp", to)
		if err != nil {
			return nil, nil, err
		}
		if !s.a.register(stranger) {
			return nil, nil, net.ErrClosed
		}
		defer s.a.forget(stranger)
	}
	raw, err = s.a.Network.Dial(ctx, "tcp", to)
	if err != nil {
		return nil, nil, s.reply(ftp.CodeNoDataConnection, "nobody there")
	}
	return s.greetData(raw)
}

// greetData says 150 and starts TLS on the data connection where that is agreed.
func (s *session) greetData(raw net.Conn) (_, data net.Conn, err error) {
	if !s.a.register(raw) {
		return nil, nil, net.ErrClosed
	}
	if err := s.opening(); err != nil {
		s.a.forget(raw)
		return nil, nil, err
	}
	data = raw
	if s.private {
		secured := tls.Server(raw, s.a.TLS)
		if err := secured.Handshake(); err != nil {
			s.a.forget(raw)
			return nil, nil, s.reply(ftp.CodeNoDataConnection, "no TLS")
		}
		data = secured
	}
	return raw, data, nil
}

// opening says that a transfer begins.
func (s *session) opening() error {
	if raw := s.a.Quirks.Opening; raw != "" {
		return s.sendRaw(raw)
	}
	return s.chatter(ftp.CodeDataOpen, "here it comes")
}

// send serves a download or listing.
func (s *session) send(content string) error {
	if die := s.a.Quirks.Die; die != nil {
		content = content[:min(die.After, len(content))]
	}
	return s.sendBy(func(data io.Writer) error { return s.write(data, content) })
}

// list serves a listing.
func (s *session) list(content string) error {
	if s.a.Quirks.Lines == nil {
		return s.send(content)
	}
	return s.sendBy(func(data io.Writer) error {
		w := bufio.NewWriterSize(data, 64<<10)
		for line := range s.a.Quirks.Lines {
			_, _ = w.WriteString(line) // the error stays until Flush
			if _, err := w.WriteString("\r\n"); err != nil {
				return err
			}
		}
		return w.Flush()
	})
}

// sendBy serves what write sends.
func (s *session) sendBy(write func(data io.Writer) error) error {
	raw, data, err := s.accept()
	if err != nil || raw == nil {
		return err
	}
	defer s.a.forget(raw)
	if s.a.Quirks.EarlyFinal {
		if err := s.chatter(ftp.CodeTransferComplete, "sent, so to say"); err != nil {
			return err
		}
	}
	if err := s.busy(); err != nil {
		return err
	}
	if err := write(data); err != nil {
		return s.wentAway()
	}
	if die := s.a.Quirks.Die; die != nil {
		return s.die(raw, die)
	}
	if s.a.Quirks.KeepData {
		_, _ = io.Copy(io.Discard, data) // until the client gives up
		return s.wentAway()
	}
	if s.private && s.a.Quirks.NoCloseNotify {
		err = raw.Close()
	} else {
		err = s.linger(raw, data)
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return s.wentAway()
	}
	if s.a.Quirks.EarlyFinal {
		return nil
	}
	return s.chatter(ftp.CodeTransferComplete, "sent")
}

// wentAway answers a download that the client cut.
func (s *session) wentAway() error {
	if said := s.a.Quirks.ToCut; said != nil {
		return s.sendRaw(*said)
	}
	return s.reply(ftp.CodeTransferAborted, "you went away")
}

// linger ends a download and says nothing before the client has closed its end,
// too: to a client that waits for the reply first this costs 40 ms with vsftpd, and
// the file here.
func (s *session) linger(raw, data net.Conn) error {
	if secured, ok := data.(*tls.Conn); ok {
		if err := secured.CloseWrite(); err != nil {
			return err
		}
	}
	if _, err := netx.CloseWrite(raw); err != nil {
		return err
	}
	if err := raw.SetReadDeadline(time.Now().Add(dataPatience)); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, raw)
	return err
}

// receive serves an upload.
func (s *session) receive(name, before string) error {
	raw, data, err := s.accept()
	if err != nil || raw == nil {
		return err
	}
	defer s.a.forget(raw)
	if s.a.Quirks.KeepData {
		var b [1]byte
		_, _ = io.ReadFull(s.raw, b[:]) // until the client gives up
		return errHangUp
	}
	from := io.Reader(data)
	die := s.a.Quirks.Die
	if die != nil {
		from = io.LimitReader(data, int64(die.After))
	}
	b, err := s.read(from)
	if die != nil {
		s.keepPartial(name, before+string(b))
		return s.die(raw, die)
	}
	if err != nil {
		s.keepPartial(name, before+string(b))
		return s.reply(ftp.CodeTransferAborted, "you went away")
	}
	s.a.change(func(files map[string]string) { files[name] = before + string(b) })
	if err := data.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return s.chatter(ftp.CodeTransferComplete, "stored")
}

// write sends a file's content at the pace that is set.
func (s *session) write(to io.Writer, content string) error {
	piece := len(content)
	if s.a.Quirks.Slow > 0 {
		piece = len(content)/8 + 1
	}
	for content != "" {
		n := min(piece, len(content))
		if _, err := io.WriteString(to, content[:n]); err != nil {
			return err
		}
		if content = content[n:]; content != "" {
			<-time.After(s.a.Quirks.Slow)
		}
	}
	return nil
}

// read reads to the end at the pace that is set.
func (s *session) read(from io.Reader) ([]byte, error) {
	if s.a.Quirks.Slow <= 0 {
		return io.ReadAll(from)
	}
	var b bytes.Buffer
	for {
		if _, err := io.CopyN(&b, from, 1<<20); errors.Is(err, io.EOF) {
			return b.Bytes(), nil
		} else if err != nil {
			return b.Bytes(), err
		}
		<-time.After(s.a.Quirks.Slow)
	}
}

func (s *session) keepPartial(name, content string) {
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.a.partial[name] = content
}

// die ends a transfer in the middle.
func (s *session) die(data net.Conn, how *Death) error {
	if how.Reset {
		_ = netx.Reset(data) // it dies
	} else {
		_ = data.Close() // as above
	}
	if how.Reply == "" {
		return errHangUp
	}
	return s.sendRaw(how.Reply)
}
