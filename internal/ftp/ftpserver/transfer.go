package ftpserver

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/netx"
)

// Why a transfer may be cut, besides what its bytes run into.
var (
	errAborted     error = fault.New(fault.Canceled, "transfer aborted")
	errControlLost error = fault.New(fault.Canceled, "control connection ended")
	errNotOpened   error = fault.New(fault.TimedOut, "no data connection came about in time").
			WithHint("a firewall may be in its way; try the other of passive and active mode")
)

// transfer is one use of a data connection, in a goroutine of its own.
type transfer struct {
	verb, path string
	kind       string // in the 150 reply
	size       int64  // of what is to come, 0 unknown; in the 150 reply
	opening    string // the 150 reply, if it is to be another
	// work moves the bytes over conn, which is closed after it.
	work func(t *transfer, conn net.Conn) error
	// small, if set, is the whole of the file to be sent: it may go before anything
	// is waited for.
	small *os.File
	// incoming, if set, is what an upload's bytes go into as they are.
	incoming  *os.File
	announced bool // the 150 reply is sent
	// end, if set, is told how it went, when the data connection is closed. It
	// releases or publishes what the transfer held and has the last word.
	end    func(err error) error
	upload bool // bytes come from the client

	protection *protection // nil: a plain data connection

	command ftp.Command // that began it
	began   time.Time
	text    bool           // in ASCII
	peer    netip.AddrPort // of the data connection, once it was told of

	stall  time.Duration
	moved  atomic.Int64    // bytes
	ctx    context.Context // ends with the transfer, its cause says why
	cancel context.CancelCauseFunc
	done   chan struct{}
}

// startTransfer runs t with the data connection that was asked for.
func (s *session) startTransfer(t *transfer) {
	s.restart = 0
	t.command, t.began, t.text = s.issued, s.issuedAt, s.ascii
	source := s.takeData()
	if source == nil {
		if t.end != nil {
			_ = t.end(errAborted) // releases what was opened; the reason follows
		}
		s.reply(ftp.CodeNoDataConnection, "Send EPSV, PASV, EPRT or PORT first")
		return
	}
	if !s.mayOpenData() {
		source.close()
		if t.end != nil {
			_ = t.end(errAborted) // as above
		}
		return
	}
	if s.tls != nil && s.tls.private {
		t.protection = s.tls
	} else if source = s.atOnce(t, source); source == nil {
		return
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	t.ctx, t.cancel, t.done, t.stall = ctx, cancel, make(chan struct{}), s.timeouts.Stall
	s.turn.Lock()
	s.transfer = t
	s.turn.Unlock()
	if err := s.pace.transfer(true); err != nil {
		cancel(fault.As(err, "beginning a transfer"))
	}
	s.seen.begin(t)
	s.handedOn = true
	go s.runTransfer(ctx, t, source) // end and waitTransfer wait for t.done
}

// deepen makes the stack of a new goroutine as large as a transfer needs it, while
// there is nothing on it yet that would have to be moved.
//
//go:noinline
func deepen(n int) byte {
	var room [5 << 10]byte
	room[n%len(room)]++ // so that it is really there
	return room[0]
}

// runTransfer is the transfer's goroutine.
func (s *session) runTransfer(ctx context.Context, t *transfer, source dataSource) {
	defer close(t.done)
	defer t.cancel(nil)
	deepen(0)
	began := time.Now()
	opened, err := s.move(ctx, t, source)
	if t.end != nil {
		err = t.end(err)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // the reason, not its effect on a socket
	}
	s.report(t, time.Since(began), err)
	r := s.verdict(t, opened, err)
	s.transferOver(t, r.Code, err)
	s.turn.Lock()
	defer s.turn.Unlock()
	s.transfer = nil
	s.sendLocked(r)
	if err := s.pace.transfer(false); err != nil {
		s.cancel(fault.As(err, "ending a transfer"))
	}
}

// move opens the data connection, moves the bytes and closes it: in order if all
// went well, else so that the client sees it cut.
func (s *session) move(ctx context.Context, t *transfer, source dataSource) (opened bool, err error) {
	raw, err := s.openData(ctx, source)
	if err != nil {
		return false, err
	}
	s.dataOpened(t, raw)
	defer func() { s.dataClosed(t, err) }()
	stop := context.AfterFunc(ctx, func() { _ = netx.Reset(raw) }) // wakes work; the context has the cause
	if !t.announced {
		s.opening(t) // some clients begin TLS only when they have read it
	}
	conn, err := s.carry(ctx, t, raw)
	if err == nil && t.upload && t.protection == nil && s.reading.Load() && s.hungUp() {
		err = errControlLost // as a client does that was killed: its file is not whole
	}
	if !stop() && err == nil {
		err = context.Cause(ctx) // cut in the last moment
	}
	if err != nil {
		_ = netx.Reset(raw) // err is what counts
		return true, err
	}
	if err = conn.Close(); t.protection != nil && t.upload {
		err = nil // everything has come; whether our close_notify arrives is the client's matter
	}
	return true, err
}

// opening says 150. It is the transfer's word, not an answer of the session's own.
func (s *session) opening(t *transfer) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.sendLocked(ftp.NewReply(ftp.CodeDataOpen, t.openingText()))
}

func (t *transfer) openingText() string {
	if t.opening != "" {
		return t.opening
	}
	text := "Opening " + t.kind + " data connection for " + shorten(strconv.Quote(t.path))
	if t.size > 0 {
		text += " (" + strconv.FormatInt(t.size, 10) + " bytes)"
	}
	return text
}

// carry does the work of t over raw, or over TLS on it, and returns what is to
// be closed.
func (s *session) carry(ctx context.Context, t *transfer, raw net.Conn) (net.Conn, error) {
	if t.protection == nil {
		return raw, t.work(t, raw)
	}
	paced := &pacedConn{Conn: raw, t: t}
	if t.upload {
		paced.ahead, _ = protectedBuffers.Get().(*[]byte)
		defer func() {
			protectedBuffers.Put(paced.ahead)
			paced.ahead, paced.rest = nil, nil
		}()
	}
	conn, err := s.protect(ctx, t.protection, paced)
	if err == nil {
		fill(raw)
		err = t.work(t, conn)
	}
	if err == nil && paced.ended && !t.protection.policy.AcceptTruncated {
		err = errTruncated
	}
	return conn, err
}

func (s *session) openData(ctx context.Context, source dataSource) (net.Conn, error) {
	defer source.close()
	if early, ok := source.(sudden); ok {
		if conn := early.ready(); conn != nil {
			return conn, nil
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeouts.Connect, errNotOpened)
	defer cancel()
	return source.open(ctx)
}

// verdict is the last reply to a transfer.
func (s *session) verdict(t *transfer, opened bool, err error) ftp.Reply {
	switch {
	case err == nil:
		return ftp.NewReply(ftp.CodeTransferComplete, "Transfer complete")
	case errors.Is(err, errAborted):
		return ftp.NewReply(ftp.CodeTransferAborted, "Transfer aborted")
	case errors.Is(err, errNotResumed):
		return s.explain(err, ftp.CodeBadProtocol)
	case !opened:
		return s.explain(err, ftp.CodeNoDataConnection)
	default:
		return s.explain(describe(err, t), transferCode(err))
	}
}

// describe puts words to what happened to a data connection.
func describe(err error, t *transfer) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	what := t.verb + " " + strconv.Quote(t.path)
	switch kind := fault.KindOf(err); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fault.Wrap(kind, err, "no byte of %s moved for %s", what, t.stall)
	case kind == fault.Unreachable || kind == fault.TimedOut:
		return fault.Wrap(kind, err, "data connection of %s broke off", what)
	case kind == fault.Full:
		return fault.Wrap(kind, err, "no room for %q", t.path)
	default:
		return fault.Wrap(kind, err, "%s", what)
	}
}

// report tells whoever wants to know of a file transfer.
func (s *session) report(t *transfer, took time.Duration, err error) {
	s.seen.end(t)
	if t.verb != "RETR" && !t.upload {
		return // a listing
	}
	account := s.seen.account()
	s.log.Info("transfer", "verb", t.verb, "path", t.path, "bytes", t.moved.Load(), "took", took, "ok", err == nil)
	if s.policy.OnTransfer != nil {
		s.policy.OnTransfer(Transfer{
			Session: s.id, Account: account, Peer: s.peer, Verb: t.verb, Path: t.path,
			Bytes: t.moved.Load(), Took: took, Err: err,
		})
	}
}

func (s *session) handleABOR(string) {
	t := s.current()
	if t == nil {
		s.dropData()
		s.reply(ftp.CodeNoTransfer, "No transfer to abort")
		return
	}
	t.cancel(errAborted)
	<-t.done
	s.reply(ftp.CodeTransferComplete, "ABOR done")
}

func (s *session) handleRETR(arg string) {
	offset := s.takeRestart()
	name, ok := s.path(arg)
	if !ok || !s.restartable(offset) {
		return
	}
	f, err := s.account.Tree.Open(name)
	if err != nil {
		s.fail(err)
		return
	}
	size, err := seekTo(f, offset)
	if err != nil {
		_ = f.Close() // only read
		s.failRestart(err)
		return
	}
	t := &transfer{verb: "RETR", path: name, kind: "BINARY", size: size - offset}
	t.work = func(t *transfer, conn net.Conn) error { return t.sendFile(conn, f, offset) }
	if t.size > 0 && t.size <= smallFile {
		t.small = f
	}
	if s.ascii {
		t.small = nil
		t.kind, t.size = "ASCII", 0
		t.work = func(t *transfer, conn net.Conn) error { return t.sendText(conn, f) }
	}
	t.end = func(err error) error {
		if cerr := f.Close(); err == nil {
			return cerr
		}
		return err
	}
	s.startTransfer(t)
}

// seekTo moves to offset and returns the file's size.
func seekTo(f *os.File, offset int64) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if offset == 0 {
		return info.Size(), nil
	}
	if offset > info.Size() {
		return 0, fault.New(fault.Invalid, "restart at byte %d of a file that has %d", offset, info.Size())
	}
	_, err = f.Seek(offset, io.SeekStart)
	return info.Size(), err
}

// failRestart is fail, with the code that RFC 1123 has for an offset that the
// file does not reach.
func (s *session) failRestart(err error) {
	if fault.KindOf(err) == fault.Invalid {
		s.send(s.explain(err, codeBadRestart))
		return
	}
	s.fail(err)
}

func (s *session) takeRestart() int64 {
	n := s.restart
	s.restart = 0
	return n
}

// restartable refuses REST for text, where the byte of the transfer is not the
// byte of the file.
func (s *session) restartable(offset int64) bool {
	if offset > 0 && s.ascii {
		s.reply(ftp.CodeBadParameter, "REST counts bytes; send TYPE I first")
		return false
	}
	return true
}

func (s *session) handleSTOR(arg string) {
	offset := s.takeRestart()
	s.upload("STOR", arg, offset, func(name string) (Upload, error) {
		if offset > 0 {
			return s.account.Tree.Resume(name, offset)
		}
		return s.account.Tree.Create(name)
	})
}

func (s *session) handleAPPE(arg string) {
	s.takeRestart()
	s.upload("APPE", arg, 0, func(name string) (Upload, error) { return s.account.Tree.Resume(name, -1) })
}

// handleSTOU makes a name, which RFC 1123 section 4.1.2.9 has stand in the 150
// reply, in that form. A name that the client gives is its beginning.
func (s *session) handleSTOU(arg string) {
	s.takeRestart()
	if arg == "" {
		arg = "upload"
	}
	var unique [8]byte
	_, _ = rand.Read(unique[:]) // never fails, by its contract
	arg += "." + hex.EncodeToString(unique[:])
	s.upload("STOU", arg, 0, func(name string) (Upload, error) { return s.account.Tree.Create(name) })
}

func (s *session) upload(verb, arg string, offset int64, open func(name string) (Upload, error)) {
	name, ok := s.path(arg)
	if !ok || !s.restartable(offset) {
		return
	}
	u, err := open(name)
	if err != nil && offset > 0 {
		s.failRestart(err)
		return
	}
	if err != nil {
		s.fail(err)
		return
	}
	if err := s.masked(name, u); err != nil {
		s.fail(errors.Join(err, u.Abort()))
		return
	}
	t := &transfer{verb: verb, path: name, kind: "BINARY", upload: true}
	if verb == "STOU" {
		t.opening = "FILE: " + name
	}
	t.work = func(t *transfer, conn net.Conn) error { return t.receiveFile(conn, u.File()) }
	t.incoming = u.File()
	if s.ascii {
		t.kind, t.incoming = "ASCII", nil
		t.work = func(t *transfer, conn net.Conn) error { return t.receiveText(conn, u.File()) }
	}
	t.end = func(err error) error {
		if err == nil {
			return u.Commit()
		}
		if aerr := u.Abort(); aerr != nil {
			s.log.Warn("abort upload", "path", name, "err", aerr)
		}
		return err
	}
	s.startTransfer(t)
}
