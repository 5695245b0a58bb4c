package ftpserver_test

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"sallyport.dev/internal/ftp/ftpserver"
)

// heard gathers events as lines.
type heard struct {
	mu    sync.Mutex // guards the following
	lines []string
}

func (h *heard) hear(e ftpserver.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	what := map[ftpserver.EventKind]string{ftpserver.EventCommand: "", ftpserver.EventDataOpened: "opened ", ftpserver.EventDataClosed: "closed "}[e.Kind]
	h.lines = append(h.lines, fmt.Sprintf("%s%s[%s] %s=%d user=%s file=%t text=%t sent=%d received=%d failed=%t data=%t",
		what, e.Verb, e.Arg, e.Path, e.Code, e.Account, e.File, e.Text, e.Sent, e.Received, e.Err != nil, e.Data.IsValid()))
}

func (h *heard) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.lines, "\n")
}

// TestEvents tells of each command once, with its last answer, and of data
// connections; no password, and no name that may be one.
func TestEvents(t *testing.T) {
	var h heard
	bubble(t, func(srv *ftpserver.Server) { srv.OnEvent = h.hear }, func(t *testing.T, s *site) {
		s.write("dir/f", "hello")
		c := s.dial()
		c.want("USER s3cret", 331)
		c.want("PASS hunter2", 530)
		c.want("USER anna", 331)
		c.want("PASS secret", 230)
		c.want("CWD dir", 250)
		c.want("TYPE I", 200)
		c.get("RETR f")
		c.put("STOR g", "up")
		c.want("RETR missing", 550)
		c.want("NOSUCH x", 500)
		data := c.epsv()
		c.want("STOR cut", 150)
		if _, err := io.WriteString(data, "part"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c.want("STAT", 211)
		c.send("ABOR\r\n")
		c.want("", 426)
		c.want("", 226)
		c.want("QUIT", 221)
		c.eof()
		synctest.Wait()
	})
	const want = `USER[] =331 user= file=false text=false sent=0 received=0 failed=false data=false
PASS[] =530 user= file=false text=false sent=0 received=0 failed=false data=false
USER[] =331 user= file=false text=false sent=0 received=0 failed=false data=false
PASS[] =230 user=anna file=false text=false sent=0 received=0 failed=false data=false
CWD[dir] /dir=250 user=anna file=false text=false sent=0 received=0 failed=false data=false
TYPE[I] =200 user=anna file=false text=false sent=0 received=0 failed=false data=false
EPSV[] =229 user=anna file=false text=false sent=0 received=0 failed=false data=false
opened RETR[] /dir/f=0 user=anna file=false text=false sent=0 received=0 failed=false data=true
closed RETR[] /dir/f=0 user=anna file=false text=false sent=0 received=0 failed=false data=true
RETR[f] /dir/f=226 user=anna file=true text=false sent=5 received=0 failed=false data=true
EPSV[] =229 user=anna file=false text=false sent=0 received=0 failed=false data=false
opened STOR[] /dir/g=0 user=anna file=false text=false sent=0 received=0 failed=false data=true
closed STOR[] /dir/g=0 user=anna file=false text=false sent=0 received=0 failed=false data=true
STOR[g] /dir/g=226 user=anna file=true text=false sent=0 received=2 failed=false data=true
RETR[missing] /dir/missing=550 user=anna file=true text=false sent=0 received=0 failed=false data=false
NOSUCH[x] =500 user=anna file=false text=false sent=0 received=0 failed=false data=false
EPSV[] =229 user=anna file=false text=false sent=0 received=0 failed=false data=false
opened STOR[] /dir/cut=0 user=anna file=false text=false sent=0 received=0 failed=false data=true
STAT[] =211 user=anna file=false text=false sent=0 received=0 failed=false data=false
closed STOR[] /dir/cut=0 user=anna file=false text=false sent=0 received=0 failed=true data=true
STOR[cut] /dir/cut=426 user=anna file=true text=false sent=0 received=4 failed=true data=true
ABOR[] =226 user=anna file=false text=false sent=0 received=0 failed=false data=false
QUIT[] =221 user=anna file=false text=false sent=0 received=0 failed=false data=false`
	if got := h.text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestSessionsTold says of a session what an administrator looks for.
func TestSessionsTold(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		c := s.login()
		c.want("RETR missing", 550)
		data := c.epsv()
		c.want("STOR f", 150)
		if _, err := io.WriteString(data, "12345"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		got := s.srv.Sessions()[0]
		if got.Account != "anna" || got.Command != `STOR "f"` || got.Previous != "EPSV" || got.Failure != 550 ||
			got.Reply != 150 || got.Path != "/f" || got.At.IsZero() || got.Started.IsZero() {
			t.Errorf("got %+v", got)
		}
		if err := data.Close(); err != nil {
			t.Fatal(err)
		}
		c.want("", 226)
		if got := s.srv.Sessions()[0]; got.Received != 5 || got.Path != "" || got.Reply != 226 {
			t.Errorf("after the transfer: got %+v", got)
		}
	})
}
