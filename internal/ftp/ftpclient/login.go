package ftpclient

import (
	"context"
	"strings"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// greet takes a new connection from the server's first word to where transfers
// can begin.
func (c *Conn) greet(ctx context.Context) error {
	if c.cfg.Security == Implicit {
		c.cfg.Stage(StageTLS)
		if err := c.startTLS(ctx); err != nil {
			return fault.As(implicitHint(err), "start TLS with %s", c.cfg.Addr)
		}
	}
	c.cfg.Stage(StageGreeting)
	if err := c.greeting(ctx); err != nil {
		return fault.As(err, "connect to %s", c.cfg.Addr)
	}
	if c.cfg.Security == Explicit {
		c.cfg.Stage(StageTLS)
		if err := c.authTLS(ctx); err != nil {
			return fault.As(err, "start TLS with %s", c.cfg.Addr)
		}
	}
	c.cfg.Stage(StageLogin)
	if err := c.virtualHost(ctx); err != nil {
		return fault.As(err, "ask %s for virtual host %q", c.cfg.Addr, c.cfg.VirtualHost)
	}
	if err := c.login(ctx); err != nil {
		return fault.As(err, "log in to %s as %q", c.cfg.Addr, c.cfg.User)
	}
	c.cfg.Stage(StageSession)
	if err := c.setUp(ctx); err != nil {
		return fault.As(err, "set up the session with %s", c.cfg.Addr)
	}
	return nil
}

// setUp protects data connections, learns the server's features and sets the type:
// commands that do not wait for one another, and the first to be sent together. The
// replies are also what brings the session tickets of TLS 1.3, which come behind the
// handshake, before the first data connection wants one.
func (c *Conn) setUp(ctx context.Context) error {
	var steps []exchange
	if c.tls != nil {
		steps = c.protect()
	}
	steps = append(steps,
		exchange{ftp.Command{Verb: "FEAT"}, []ftp.Code{ftp.CodeSystemStatus}, func(r ftp.Reply, err error) error {
			if err == nil {
				c.feat = ParseFeatures(r.Lines)
			}
			return nil // RFC 2389 came after FTP: whoever refuses has none
		}},
		exchange{ftp.Command{Verb: "TYPE", Arg: "I"}, []ftp.Code{ftp.CodeOK}, func(_ ftp.Reply, err error) error { return err }})
	if err := c.exchanges(ctx, steps...); err != nil {
		return err
	}
	return c.utf8(ctx)
}

// mostDelays is how often a server may ask for patience (120) before its greeting.
const mostDelays = 20

// greeting reads the 220, after some 120.
func (c *Conn) greeting(ctx context.Context) error {
	cmd := ftp.Command{Verb: "GREETING"} // what errors call it; it is never sent
	for delays := 0; ; {
		r, err := c.receive(ctx, cmd, c.cfg.Timeouts.Reply)
		if err != nil {
			return err
		}
		if r.Code == ftp.CodeReadyIn {
			if delays++; delays > mostDelays {
				return c.fail(fault.New(fault.Busy, "the server asked for patience %d times: %d %.100q", delays, r.Code, r.Text()))
			}
			continue
		}
		c.greets = r.Text()
		return c.check(cmd, r, []ftp.Code{ftp.CodeReady})
	}
}

// login sends user and password (RFC 959 section 5.4). A user who needs none is
// taken at his word.
func (c *Conn) login(ctx context.Context) error {
	user := ftp.Command{Verb: "USER", Arg: c.cfg.User}
	r, err := c.do(ctx, user, ftp.CodeLoggedIn, ftp.CodeNeedPassword, ftp.CodeNeedAccount)
	if err == nil && r.Code == ftp.CodeNeedPassword {
		pass := ftp.Command{Verb: "PASS", Arg: c.cfg.Password.Reveal()}
		r, err = c.do(ctx, pass, ftp.CodeLoggedIn, ftp.CodeSuperfluous, ftp.CodeNeedAccount)
	}
	if err == nil && r.Code == ftp.CodeNeedAccount {
		err = c.account(ctx, r)
	}
	return loginHint(err, c.cfg.Security)
}

// account gives the account that a server asks for beside the password.
func (c *Conn) account(ctx context.Context, asked ftp.Reply) error {
	if c.cfg.Account.Empty() {
		return fault.New(fault.Unauthenticated, "the server asks for an account beside the password: %.100q", asked.Text()).
			WithHint("configure the account; whoever runs the server knows it")
	}
	_, err := c.do(ctx, ftp.Command{Verb: "ACCT", Arg: c.cfg.Account.Reveal()}, ftp.CodeLoggedIn, ftp.CodeSuperfluous)
	return err
}

// virtualHost asks for one of several servers behind the address (RFC 7151).
func (c *Conn) virtualHost(ctx context.Context) error {
	if c.cfg.VirtualHost == "" {
		return nil
	}
	_, err := c.do(ctx, ftp.Command{Verb: "HOST", Arg: c.cfg.VirtualHost}, ftp.CodeReady, ftp.CodeOK)
	if r, ok := refusal(err); ok && r.Code.Permanent() {
		return fault.As(err, "the server refused").WithHint("leave the virtual host out if this server has none of that name, or does not know HOST")
	}
	return err
}

// tooMany reports whether a refusal of greeting or login says that there are too
// many connections, rather than that somebody may not log in: 421, or a 530 in
// such words (servers limit by address and by user, and some say so after PASS).
func tooMany(err error) bool {
	r, ok := refusal(err)
	if !ok {
		return false
	}
	if r.Code == ftp.CodeUnavailable {
		return true
	}
	if r.Code != ftp.CodeNotLoggedIn && r.Code != ftp.CodeNeedAccountToStore && r.Code != ftp.CodeFileUnavailable {
		return false
	}
	text := strings.ToLower(r.Text())
	for _, words := range []string{"too many", "maximum number", "maximum allowed", "max clients", "maximum clients", "maximum login", "connection limit", "user limit", "already connected", "already logged in", "limit reached"} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// loginHint tells a refused login's commonest cause apart where the server's words
// allow it.
func loginHint(err error, security Security) error {
	r, ok := refusal(err)
	if !ok || !r.Code.Permanent() {
		return err
	}
	if tooMany(err) {
		return fault.Wrap(fault.Busy, err, "the server has too many connections").
			WithHint("allow fewer connections at a time here, or more at the server")
	}
	text := strings.ToLower(r.Text())
	if security == Plain {
		for _, word := range []string{"encrypt", "tls", "ssl", "secure"} {
			if strings.Contains(text, word) {
				return fault.Wrap(fault.Denied, err, "the server takes no login without TLS").
					WithHint("use explicit TLS: ftpes:// in a URL, security: explicit in the document")
			}
		}
	}
	return fault.As(err, "the server refused").WithHint("check user and password, and that this user may log in by FTP")
}

// implicitHint says what a failed handshake with an implicit server mostly means.
func implicitHint(err error) error {
	if fault.HintOf(err) != "" {
		return err
	}
	return fault.As(err, "implicit").WithHint("a server that speaks first is plain or explicit: try explicit TLS (ftpes://), usually on port 21")
}

// utf8 asks for UTF-8 where it is offered.
func (c *Conn) utf8(ctx context.Context) error {
	if !c.feat.UTF8 || !c.cfg.Charset.UTF8() {
		return nil
	}
	// Some servers speak UTF-8 unasked and refuse to be asked.
	_, err := c.do(ctx, ftp.Command{Verb: "OPTS", Arg: "UTF8 ON"}, ftp.CodeOK, ftp.CodeSuperfluous, ftp.CodeFileOK)
	if err != nil && c.broken != nil {
		return err
	}
	return nil
}
