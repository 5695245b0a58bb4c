package ftpserver

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/netx"
)

// A small file whose data connection is there already is moved by the session itself,
// without a goroutine: that costs more than its bytes.

const (
	// smallFile is up to how many bytes a file is sent at once: what a new connection
	// takes without its peer having to read.
	smallFile = 32 << 10
	// atOnceWait is how long a session waits for an upload to be over, deaf to the
	// client's commands, before a goroutine goes on with it.
	atOnceWait = 20 * time.Millisecond
)

// sudden is a data source that may have its connection already.
type sudden interface{ ready() net.Conn }

// senderNow sends what it can without waiting.
type senderNow interface {
	sendNow(f *os.File, n int64) (int64, error)
}

// atOnce moves what can be moved at once. It returns nil when that was all. Otherwise
// it returns what the transfer has to go on with in its ordinary way, from where it
// stands.
func (s *session) atOnce(t *transfer, source dataSource) dataSource {
	early, ok := source.(sudden)
	if !ok || t.small == nil && t.incoming == nil {
		return source
	}
	conn := early.ready()
	if conn == nil {
		return source
	}
	source.close() // has nothing more to give
	done := false
	if sender, ok := conn.(senderNow); ok && t.small != nil {
		done = s.sendAtOnce(t, conn, sender)
	} else if receiver, ok := conn.(fileReceiver); ok && t.incoming != nil {
		done = s.receiveAtOnce(t, conn, receiver)
	}
	if done {
		return nil
	}
	return arrived{conn}
}

// sendAtOnce sends a small file, with both replies in one piece: nothing is waited
// for, so that nothing can come in between.
func (s *session) sendAtOnce(t *transfer, conn net.Conn, sender senderNow) bool {
	began := time.Now()
	s.seen.begin(t)
	s.dataOpened(t, conn)
	n, err := sender.sendNow(t.small, t.size)
	t.moved.Add(n)
	if err != nil || n < t.size {
		return false // what goes on with it will find the same fault, if it was one
	}
	if err = conn.Close(); err == nil {
		err = t.end(nil)
	}
	r := s.overAtOnce(t, began, err)
	s.turn.Lock()
	defer s.turn.Unlock()
	s.sendLocked(ftp.NewReply(ftp.CodeDataOpen, t.openingText()), r)
	return true
}

// overAtOnce tells of a transfer that is over and returns the reply that says so.
func (s *session) overAtOnce(t *transfer, began time.Time, err error) ftp.Reply {
	s.report(t, time.Since(began), err)
	r := s.verdict(t, true, err)
	s.dataClosed(t, err)
	s.transferOver(t, r.Code, err)
	s.handedOn = true
	return r
}

// receiveAtOnce takes in an upload that is over soon.
func (s *session) receiveAtOnce(t *transfer, conn net.Conn, receiver fileReceiver) bool {
	began := time.Now()
	s.seen.begin(t)
	s.dataOpened(t, conn)
	s.reply(ftp.CodeDataOpen, t.openingText())
	t.announced = true
	err := conn.SetReadDeadline(began.Add(atOnceWait))
	if err == nil {
		var n int64
		n, err = receiver.receiveFile(t.incoming, chunk)
		t.moved.Add(n)
	}
	switch {
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
		return false
	case errors.Is(err, io.EOF) && s.hungUp():
		err = errControlLost // as a client does that was killed: its file is not whole
	case errors.Is(err, io.EOF):
		err = conn.Close()
	}
	if err != nil {
		_ = netx.Reset(conn) // err is what counts
	}
	err = t.end(err)
	s.send(s.overAtOnce(t, began, err))
	return true
}

// hungUp reports whether the client has ended the control connection and said nothing
// before.
func (s *session) hungUp() bool {
	tcp, ok := s.raw.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return true // closed by us
	}
	up := false
	err = raw.Control(func(fd uintptr) { up = peekEnd(fd) })
	return up || err != nil
}

// arrived is a data connection that is there already.
type arrived struct{ conn net.Conn }

func (a arrived) open(context.Context) (net.Conn, error) { return a.conn, nil }
func (a arrived) close()                                 {}

var _ dataSource = arrived{}
