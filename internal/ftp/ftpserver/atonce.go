package ftpserver

import (
	"context"
	"net"
	"os"
	"time"

	"sallyport.dev/internal/ftp"
)

// smallFile is up to how many bytes a file is sent at once: what a new connection
// takes without its peer having to read.
const smallFile = 32 << 10

// sudden is a data source that may have its connection already.
type sudden interface{ ready() net.Conn }

// senderNow sends what it can without waiting.
type senderNow interface {
	sendNow(f *os.File, n int64) (int64, error)
}

// atOnce sends a small file whose data connection is there already, with both replies
// in one piece and without a goroutine: nothing is waited for, so that nothing can
// come in between. It returns nil when that is done. Otherwise it returns what the
// transfer has to go on with in its ordinary way, from where it stands.
func (s *session) atOnce(t *transfer, source dataSource) dataSource {
	early, ok := source.(sudden)
	if t.small == nil || !ok {
		return source
	}
	conn := early.ready()
	if conn == nil {
		return source
	}
	source.close() // has nothing more to give
	sender, ok := conn.(senderNow)
	if !ok {
		return arrived{conn}
	}
	began := time.Now()
	s.seen.begin(t)
	n, err := sender.sendNow(t.small, t.size)
	t.moved.Add(n)
	if err != nil || n < t.size {
		return arrived{conn} // which will find the same fault, if it was one
	}
	if err = conn.Close(); err == nil {
		err = t.end(nil)
	}
	s.report(t, time.Since(began), err)
	s.turn.Lock()
	defer s.turn.Unlock()
	s.sendLocked(ftp.NewReply(ftp.CodeDataOpen, t.openingText()), s.verdict(t, true, err))
	return nil
}

// arrived is a data connection that is there already.
type arrived struct{ conn net.Conn }

func (a arrived) open(context.Context) (net.Conn, error) { return a.conn, nil }
func (a arrived) close()                                 {}

var _ dataSource = arrived{}
