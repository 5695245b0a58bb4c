package ftpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// Conn is one control connection, logged in, of binary type. It is not safe for
// use by several goroutines at once. While a transfer is open every other call is
// refused; after the connection broke, too.
type Conn struct {
	cfg  Config
	host string
	raw  net.Conn // control, as dialled: deadlines and the last close go here
	nc   net.Conn // control, what is spoken on: raw or TLS over it
	r    *ftp.Reader
	out  []byte      // the command being sent
	tls  *tls.Config // of control and data connections; nil for plain ones
	feat Features
	home string // what PWD said; "" when not asked yet

	text   bool      // TYPE A
	hashes Algorithm // what HASH gives; "" is not known
	noMLSD bool      // it was offered and is not served

	greets string // what the server said first
	opened bool   // a transfer has begun: how data connections come about is known
	unborn bool   // the server broke the conversation over its first commands that came together

	open   *transfer // the transfer under way
	ahead  *transfer // one that was asked for while another is under way
	broken error     // why nothing can be said any more
}

// Dial connects, starts TLS if asked for, logs in, learns the server's features
// and sets the binary type. The context bounds all of that and nothing after it.
func Dial(ctx context.Context, cfg Config) (*Conn, error) {
	cfg, host, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Conn{cfg: cfg, host: host}
	err = c.dial(ctx)
	if err != nil && c.unborn {
		c.cfg.Habits.bears.Store(bearsNothing)
		cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "trying again with one command at a time", slog.String("server", cfg.Addr), slog.Any("error", err))
		c = &Conn{cfg: cfg, host: host}
		err = c.dial(ctx)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// dial connects and logs in. After an error nothing is open.
func (c *Conn) dial(ctx context.Context) error {
	if err := c.connect(ctx); err != nil {
		return err
	}
	end := c.watchControl(ctx)
	err := c.greet(ctx)
	end()
	if err != nil {
		_ = c.Close() // err is what matters
	}
	return err
}

func (c *Conn) connect(ctx context.Context) error {
	c.cfg.Stage(StageConnect)
	dialCtx, cancel := context.WithTimeout(ctx, c.cfg.Timeouts.Dial)
	defer cancel()
	nc, err := c.cfg.Dial(dialCtx, "tcp", c.cfg.Addr)
	if err != nil {
		return fault.As(err, "connect to %s", c.cfg.Addr)
	}
	c.raw, c.nc = nc, nc
	c.r = ftp.NewReader(nc, 0)
	return nil
}

// Features returns what the server offered at login.
func (c *Conn) Features() Features { return c.feat }

// Addr returns the server's address as the configuration has it.
func (c *Conn) Addr() string { return c.cfg.Addr }

// Usable reports whether commands can be sent: nothing broke and no transfer is
// open. The server may have gone away unnoticed all the same; see [Conn.Noop].
func (c *Conn) Usable() bool { return c.broken == nil && c.open == nil }

// TLSState returns the TLS state of the control connection, and false if it has
// none.
func (c *Conn) TLSState() (tls.ConnectionState, bool) {
	if t, ok := c.nc.(*tls.Conn); ok {
		return t.ConnectionState(), true
	}
	return tls.ConnectionState{}, false
}

// Close closes the connection without a word, an open transfer with it, which
// then looks cut to the server.
func (c *Conn) Close() error {
	if t := c.open; t != nil {
		t.cut()
		_ = t.end(errClosed)
	}
	c.ahead = nil
	if c.broken != nil {
		return nil
	}
	c.broken = errClosed
	if err := c.raw.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fault.As(err, "close connection to %s", c.cfg.Addr)
	}
	return nil
}

// Quit takes leave of the server and closes the connection. An error says only
// that the leave-taking did not go as it should.
func (c *Conn) Quit(ctx context.Context) error {
	if !c.Usable() {
		return c.Close()
	}
	_, err := c.simple(ctx, "leave", ftp.Command{Verb: "QUIT"}, ftp.CodeClosing)
	return errors.Join(err, c.Close())
}

var errClosed = fault.New(fault.Unreachable, "the connection was closed")

// fail makes the connection unusable for the first reason it is given, and
// returns err.
func (c *Conn) fail(err error) error {
	if c.broken == nil {
		c.broken = err
		_ = c.raw.Close() // err is what matters
		c.ahead = nil
	}
	return err
}
