// Package check walks the way to an FTP server step by step and says, where it
// fails, why and what to do.
//
// [Run] takes the steps that any client takes: find the address, connect, greet,
// TLS (before the greeting where it is implicit), log in, agree on a session, open a data connection, list. Each is timed and
// reported as a [Step] as soon as it has ended. It changes nothing on the server.
package check

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/secret"
)

// Step is one step of the way.
type Step struct {
	Name   string        // what was done
	Detail string        // what came of it
	Took   time.Duration // wall time
	Err    error         // nil: it went well
}

// Target is what to check.
type Target struct {
	URL      ftp.URL
	Password secret.Text
	// Dial opens connections. Nil dials directly, after looking the name up here.
	Dial netx.DialFunc
	// Via names the way for the report, such as `location "plant1"`; empty is direct.
	Via string
	// TLS verifies the server; nil is the system's roots.
	TLS *tls.Config
	// Timeout bounds each step. Zero means 15 s.
	Timeout time.Duration
}

// maxEntries bounds the entries that are read of the listing.
const maxEntries = 100_000

// Run walks the way and reports each step. The error is that of the step that
// failed, nil if none did.
func Run(ctx context.Context, t Target, report func(Step)) error {
	if t.Timeout == 0 {
		t.Timeout = 15 * time.Second
	}
	w := &walk{Target: t, report: report}
	if t.Dial == nil {
		if err := w.lookUp(ctx); err != nil {
			return err
		}
	}
	c, err := w.connect(ctx)
	if err != nil {
		return err
	}
	err = w.list(ctx, c)
	if err == nil {
		quit, cancel := context.WithTimeout(ctx, t.Timeout)
		defer cancel()
		began := time.Now()
		qerr := c.Quit(quit)
		return w.end(Step{Name: "take leave", Took: time.Since(began), Err: qerr})
	}
	_ = c.Close() // err is what matters
	return err
}

// walk is one check under way.
type walk struct {
	Target
	report func(Step)

	mu    sync.Mutex // guards the following
	stage string     // the step under way
	began time.Time
}

func (w *walk) end(s Step) error {
	w.report(s)
	return s.Err
}

// lookUp finds the addresses of the host, as a step of its own: a name that is
// not found is the commonest fault and reads oddly as a failed connection.
func (w *walk) lookUp(ctx context.Context) error {
	if _, err := netip.ParseAddr(w.URL.Host); err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	began := time.Now()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", w.URL.Host)
	s := Step{Name: "look up " + w.URL.Host, Took: time.Since(began)}
	if err != nil {
		s.Err = fault.Wrap(fault.Unreachable, err, "there is no host %q for this machine", w.URL.Host).
			WithHint("check the spelling; a virtual name exists in the tunnel alone: add --location NAME --state DIR, or --proxy")
		return w.end(s)
	}
	var texts []string
	for _, a := range addrs {
		texts = append(texts, a.Unmap().String())
	}
	s.Detail = strings.Join(texts, ", ")
	return w.end(s)
}

// stageNames are what ftpclient's stages are called here.
var stageNames = map[string]string{
	ftpclient.StageConnect:  "connect",
	ftpclient.StageGreeting: "greeting",
	ftpclient.StageTLS:      "start TLS",
	ftpclient.StageLogin:    "log in",
	ftpclient.StageSession:  "set up the session",
}

func (w *walk) connect(ctx context.Context) (*ftpclient.Conn, error) {
	dial := w.Dial
	if dial == nil {
		dial = netx.System{}.Dial
	}
	cfg := ftpclient.Config{
		Addr: w.URL.Addr(), User: w.URL.User, Password: w.Password, TLS: w.TLS,
		Dial: w.watched(dial),
		Timeouts: ftpclient.Timeouts{
			Dial: w.Timeout, Reply: w.Timeout, Stall: w.Timeout, Final: w.Timeout,
		},
		Stage: w.begin,
	}
	switch w.URL.Scheme {
	case "ftpes":
		cfg.Security = ftpclient.Explicit
	case "ftps":
		cfg.Security = ftpclient.Implicit
	}
	c, err := ftpclient.Dial(ctx, cfg)
	if err != nil {
		return nil, w.finish("", w.explain(err))
	}
	detail := "plain FTP"
	if st, ok := c.TLSState(); ok {
		detail = tls.VersionName(st.Version) + ", " + tls.CipherSuiteName(st.CipherSuite)
	}
	return c, w.finish(detail, nil)
}

// begin ends the stage under way, which went well, and begins the next.
func (w *walk) begin(stage string) {
	w.mu.Lock()
	was, began := w.stage, w.began
	w.stage, w.began = stage, time.Now()
	w.mu.Unlock()
	if was != "" {
		w.report(Step{Name: w.name(was), Took: time.Since(began)})
	}
}

// finish ends the stage under way.
func (w *walk) finish(detail string, err error) error {
	w.mu.Lock()
	stage, began := w.stage, w.began
	w.stage = ""
	w.mu.Unlock()
	if stage == "" {
		stage, began = ftpclient.StageConnect, time.Now()
	}
	return w.end(Step{Name: w.name(stage), Detail: detail, Took: time.Since(began), Err: err})
}

func (w *walk) name(stage string) string {
	n := stageNames[stage]
	if stage == ftpclient.StageConnect {
		n += " to " + w.URL.Addr()
		if w.Via != "" {
			n += " through " + w.Via
		}
	}
	if stage == ftpclient.StageLogin {
		n += fmt.Sprintf(" as %q", w.user())
	}
	return n
}

func (w *walk) user() string {
	if w.URL.User == "" {
		return "anonymous"
	}
	return w.URL.User
}

// watched remembers which data connection was dialled, and how that went.
func (w *walk) watched(dial netx.DialFunc) netx.DialFunc {
	first := true
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if first {
			first = false
			return dial(ctx, network, addr)
		}
		began := time.Now()
		c, err := dial(ctx, network, addr)
		err = w.explainData(err, addr)
		w.report(Step{Name: "open a data connection to " + addr, Took: time.Since(began), Err: err})
		if err != nil {
			return nil, &dataError{err}
		}
		return c, nil
	}
}

func (w *walk) list(ctx context.Context, c *ftpclient.Conn) error {
	dir := w.URL.Path
	if dir != "/" {
		dir = strings.TrimSuffix(dir, "/")
	}
	shown := dir
	if shown == "" {
		shown = "the login directory"
	}
	began := time.Now()
	n := 0
	for _, err := range c.List(ctx, dir) {
		if err != nil {
			if isDial(err) {
				return err // the data connection's own step has said it
			}
			return w.end(Step{Name: "list " + shown, Took: time.Since(began), Err: err})
		}
		if n++; n == maxEntries {
			break
		}
	}
	detail := fmt.Sprintf("%d entries", n)
	switch {
	case n == 1:
		detail = "1 entry"
	case n == maxEntries:
		detail = fmt.Sprintf("more than %d entries", n)
	}
	return w.end(Step{Name: "list " + shown, Detail: detail, Took: time.Since(began)})
}
