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
	if err := c.login(ctx); err != nil {
		return fault.As(err, "log in to %s as %q", c.cfg.Addr, c.cfg.User)
	}
	c.cfg.Stage(StageSession)
	for _, step := range []func(context.Context) error{c.protect, c.learn, c.binary} {
		if err := step(ctx); err != nil {
			return fault.As(err, "set up the session with %s", c.cfg.Addr)
		}
	}
	return nil
}

// greeting reads the 220, after as many 120 as the time allows.
func (c *Conn) greeting(ctx context.Context) error {
	cmd := ftp.Command{Verb: "GREETING"} // what errors call it; it is never sent
	for {
		r, err := c.receive(ctx, cmd, c.cfg.Timeouts.Reply)
		if err != nil {
			return err
		}
		if r.Code == ftp.CodeReadyIn {
			continue
		}
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
	if err != nil {
		return loginHint(err, c.cfg.Security)
	}
	if r.Code == ftp.CodeNeedAccount {
		return fault.New(fault.Unsupported, "the server asks for an account beside the password: %.100q", r.Text())
	}
	return nil
}

// loginHint tells a refused login's commonest cause apart where the server's words
// allow it.
func loginHint(err error, security Security) error {
	r, ok := refusal(err)
	if !ok || !r.Code.Permanent() {
		return err
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

// learn asks for the server's features, and for UTF-8 where it is offered.
func (c *Conn) learn(ctx context.Context) error {
	r, err := c.do(ctx, ftp.Command{Verb: "FEAT"}, ftp.CodeSystemStatus)
	switch {
	case err == nil:
		c.feat = ParseFeatures(r.Lines)
	case c.broken != nil:
		return err
	default: // RFC 2389 came after FTP: whoever refuses has none
	}
	if !c.feat.UTF8 {
		return nil
	}
	// Some servers speak UTF-8 unasked and refuse to be asked.
	_, err = c.do(ctx, ftp.Command{Verb: "OPTS", Arg: "UTF8 ON"}, ftp.CodeOK, ftp.CodeSuperfluous, ftp.CodeFileOK)
	if err != nil && c.broken != nil {
		return err
	}
	return nil
}

func (c *Conn) binary(ctx context.Context) error {
	_, err := c.do(ctx, ftp.Command{Verb: "TYPE", Arg: "I"}, ftp.CodeOK)
	return err
}
