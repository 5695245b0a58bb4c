package ftptest

import (
	"context"
	"crypto/tls"
	"errors"
	"iter"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"sallyport.dev/internal/netx"
)

// Awkward is an FTP server for tests of clients. It keeps to the RFCs, but to
// nothing else that clients are used to: replies come in pieces, many have several
// lines that look like other replies, its 227 names an address that is not its
// own. Its [Quirks] go beyond what is allowed. Its files are a flat map, any user
// and password may log in.
//
// Set the fields, call [Awkward.Start], and look at the files with [Awkward.File].
type Awkward struct {
	// Network is where it listens. Nil means the operating system's.
	Network netx.Network
	// Files are what it holds at the start, by name.
	Files map[string]string
	// TLS, with certificates, makes it accept AUTH TLS.
	TLS *tls.Config
	// Implicit makes it speak TLS from the first byte.
	Implicit bool
	// Quirks are what is wrong with it.
	Quirks Quirks

	wg sync.WaitGroup

	mu       sync.Mutex // guards the following
	files    map[string]string
	partial  map[string]string // uploads that did not end well
	open     map[interface{ Close() error }]struct{}
	closed   bool
	sessions int
	control  int // control connections open now
	commands []string
}

// Quirks are the ways in which an [Awkward] server goes wrong. The zero value has
// none.
type Quirks struct {
	// Features are the lines within its FEAT reply. Nil offers what it can.
	Features []string
	// NoEPSV refuses EPSV; BadEPSV answers it with a 229 that has no port in it.
	NoEPSV, BadEPSV bool
	// AlwaysPrivate protects data connections without PROT, as servers of implicit
	// TLS do that are older than it.
	AlwaysPrivate bool
	// NoPORT refuses PORT, so that EPRT is left.
	NoPORT bool
	// Liar is the address that its 227 names. The zero value is one of nobody's.
	Liar netip.Addr
	// Stranger makes somebody else, from that address, come to the client's data port
	// before the server does.
	Stranger netx.DialFunc
	// NoLogin is what it says, raw, to those who come when Crowd sessions are open
	// already: in place of the greeting if it begins with 421, else to USER. Empty:
	// everybody may come.
	NoLogin string
	Crowd   int
	// Silent is a verb that is never answered.
	Silent string
	// Answers replaces the answer to a verb, which is then not carried out, by raw
	// bytes. "{hang up}" in them closes the connection at that point.
	Answers map[string]string
	// OneByOne loses what has come behind a command before its reply.
	OneByOne bool
	// Busy refuses what comes in mid-transfer, at once; Deaf loses it.
	Busy, Deaf bool
	// NoWait refuses a transfer whose data connection is not there yet.
	NoWait bool
	// Opening is sent raw in place of the 150 of a transfer, which goes on all the same.
	Opening string
	// EarlyFinal sends the 226 before the data instead of after it.
	EarlyFinal bool
	// System is the answer to SYST. Empty refuses it.
	System string
	// Listing replaces the lines of MLSD and LIST; Lines does so with lines that are
	// made as they are sent, without their ends.
	Listing string
	Lines   iter.Seq[string]
	// Times are the answers to MDTM, by name. What is not in it has one time for all.
	Times map[string]string
	// Die, if not nil, ends transfers before their end.
	Die *Death
	// ControlLimit, if above 0, is the number of bytes sent on a control
	// connection after which all connections of its session are reset.
	ControlLimit int
	// NoCloseNotify ends data connections without TLS's last word.
	NoCloseNotify bool
	// Slow, if above 0, is the pause between pieces of data: an eighth of a
	// download, 1 MiB of an upload.
	Slow time.Duration
	// ToCut, if not nil, is sent raw when the client cuts a download, in place of
	// a 426.
	ToCut *string
	// KeepData never ends the data connection of a download and never reads that
	// of an upload.
	KeepData bool
}

// Death is how and when an [Awkward] server dies in a transfer.
type Death struct {
	// After is the number of bytes of the file that still pass.
	After int
	// Reset cuts the data connection; otherwise it ends as if the file did.
	Reset bool
	// Reply is sent on the control connection then, raw; empty closes it.
	Reply string
}

// Start listens on 127.0.0.1 and serves until the test ends. It returns the
// address.
func (a *Awkward) Start(t testing.TB) string {
	t.Helper()
	if a.Network == nil {
		a.Network = netx.System{}
	}
	a.files, a.partial = map[string]string{}, map[string]string{}
	for name, content := range a.Files {
		a.files[name] = content
	}
	a.open = map[interface{ Close() error }]struct{}{}
	l, err := a.Network.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start awkward server: %v", err)
	}
	a.wg.Go(func() { a.serve(l) })
	t.Cleanup(func() {
		_ = l.Close() // the server is over
		a.closeAll()
		a.wg.Wait()
	})
	return l.Addr().String()
}

func (a *Awkward) serve(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return // closed
		}
		a.wg.Go(func() {
			s := &session{a: a, raw: nc, nc: nc}
			if !a.register(nc) {
				return
			}
			defer a.forget(nc)
			s.others = a.enter(1)
			defer a.enter(-1)
			s.run()
		})
	}
}

// enter counts control connections and returns how many there were before.
func (a *Awkward) enter(n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.control += n
	return a.control - n
}

// register makes closeAll close c, too; it closes it at once if that has happened.
func (a *Awkward) register(c interface{ Close() error }) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		_ = c.Close() // the server is over
		return false
	}
	if _, ok := c.(net.Conn); ok {
		a.sessions++
	}
	a.open[c] = struct{}{}
	return true
}

func (a *Awkward) forget(c interface{ Close() error }) {
	a.mu.Lock()
	delete(a.open, c)
	a.mu.Unlock()
	if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return // its peer may have reset it, which is no business of a test
	}
}

func (a *Awkward) closeAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for c := range a.open {
		_ = c.Close() // the server is over
	}
}

// File returns a file's content. An upload that did not end well is not there.
func (a *Awkward) File(name string) (string, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	content, ok := a.files[name]
	return content, ok
}

// Names returns the names of the files that it holds, in order.
func (a *Awkward) Names() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.files))
}

// Partial returns what came of an upload that did not end well.
func (a *Awkward) Partial(name string) (string, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	content, ok := a.partial[name]
	return content, ok
}

// Open returns how many connections and data listeners are open now.
func (a *Awkward) Open() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.open)
}

// Connections returns how many control and data connections there have been.
func (a *Awkward) Connections() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sessions
}

// Commands returns the verbs received so far, of all sessions.
func (a *Awkward) Commands() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.commands...)
}

func (a *Awkward) listen() (net.Listener, error) {
	l, err := a.Network.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	if !a.register(l) {
		return nil, net.ErrClosed
	}
	return l, nil
}
