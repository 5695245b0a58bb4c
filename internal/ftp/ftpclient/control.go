package ftpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// begin starts an operation: until end is called, the end of ctx makes every wait
// on the control connection fail at once.
func (c *Conn) begin(ctx context.Context) (end func(), err error) {
	if end, err = c.goOn(ctx); err != nil {
		return nil, err
	}
	if err := c.look(ctx); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// goOn is begin where replies may have come already.
func (c *Conn) goOn(ctx context.Context) (end func(), err error) {
	switch {
	case c.broken != nil:
		return nil, fault.Wrap(fault.Unreachable, c.broken, "the connection to %s is not usable any more", c.cfg.Addr)
	case c.open != nil, c.ahead != nil:
		return nil, fault.New(fault.Busy, "a transfer is open on the connection to %s", c.cfg.Addr).
			WithHint("finish it first, or take another connection")
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return c.watchControl(ctx), nil
}

func (c *Conn) watchControl(ctx context.Context) (end func()) {
	return watch(ctx, func() { _ = c.raw.SetDeadline(longAgo) })
}

// look looks without waiting whether the server said or ended something since the
// last reply: in what was read with that, and where the system can tell, beyond.
func (c *Conn) look(ctx context.Context) error {
	if c.r.Buffered() > 0 {
		return c.unasked(ctx)
	}
	switch peek(c.raw) {
	case peekEnd:
		return c.fail(fault.New(fault.Unreachable, "the server at %s closed the connection", c.cfg.Addr))
	case peekBytes:
		if c.nc == c.raw { // TLS has things to say of its own
			return c.unasked(ctx)
		}
	case peekNothing:
	}
	return nil
}

// unasked ends the connection because of a reply to nothing. Servers say 421 before
// they hang up on who was idle for too long.
func (c *Conn) unasked(ctx context.Context) error {
	r, err := c.receive(ctx, ftp.Command{Verb: "IDLE"}, afterFailure) // a name for errors; it is never sent
	switch {
	case err != nil:
		return err
	case r.Code == ftp.CodeUnavailable:
		return c.fail(fault.New(fault.Unreachable, "the server at %s ended the session: %d %.100q", c.cfg.Addr, r.Code, r.Text()))
	default:
		return c.unexpected("nothing before the next command")
	}
}

// What peek saw on a connection.
type peeked uint8

const (
	peekNothing peeked = iota // or it could not tell
	peekBytes                 // something to read
	peekEnd                   // the end, or a reset
)

// watch calls f when ctx ends, until the function it returns is called. After that
// f is neither running nor going to run.
func watch(ctx context.Context, f func()) (end func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(done); f() })
	return func() {
		if !stop() {
			<-done
		}
	}
}

// arm bounds the next waits on the control connection. It loses no race against
// the function that begin set up: whichever comes last, a context that ended wins.
func (c *Conn) arm(ctx context.Context, d time.Duration) {
	_ = c.raw.SetDeadline(time.Now().Add(d)) // fails on a closed connection only, which the next call reports
	if ctx.Err() != nil {
		_ = c.raw.SetDeadline(longAgo)
	}
}

// send sends commands, all in one piece.
func (c *Conn) send(ctx context.Context, cmds ...ftp.Command) (err error) {
	line := c.out[:0]
	for _, cmd := range cmds {
		if cmd, err = c.encode(cmd); err == nil {
			line, err = cmd.Append(line)
		}
		if err != nil {
			clear(line)
			return err // nothing was sent
		}
	}
	c.out = line
	if c.cfg.Logger.Enabled(ctx, slog.LevelDebug) {
		for _, cmd := range cmds {
			c.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "command", slog.String("server", c.cfg.Addr), slog.Any("command", cmd))
		}
	}
	c.arm(ctx, c.cfg.Timeouts.Reply)
	_, err = c.nc.Write(line)
	clear(c.out) // it may have been a password
	if err != nil {
		return c.lost(ctx, err, cmds[0], c.cfg.Timeouts.Reply)
	}
	return nil
}

// receive waits up to d for a reply to cmd.
func (c *Conn) receive(ctx context.Context, cmd ftp.Command, d time.Duration) (ftp.Reply, error) {
	c.arm(ctx, d)
	r, err := c.r.ReadReply()
	if err != nil {
		return ftp.Reply{}, c.lost(ctx, err, cmd, d)
	}
	if c.cfg.Logger.Enabled(ctx, slog.LevelDebug) {
		c.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "reply", slog.String("server", c.cfg.Addr),
			slog.Int("code", int(r.Code)), slog.String("text", fmt.Sprintf("%.200q", r.Text())))
	}
	return r, nil
}

// lost ends the connection because of an error on it and says what that means.
func (c *Conn) lost(ctx context.Context, err error, cmd ftp.Command, waited time.Duration) error {
	syntax := (*ftp.SyntaxError)(nil)
	switch {
	case ctx.Err() != nil:
		err = fault.As(context.Cause(ctx), "waiting for the answer to %v", cmd)
	case isTimeout(err):
		err = fault.Wrap(fault.TimedOut, err, "%v: no answer within %v", cmd, waited)
	case errors.As(err, &syntax):
		err = fault.As(err, "%v", cmd)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = fault.Wrap(fault.Unreachable, err, "%v: the server closed the connection", cmd)
	default:
		err = fault.Wrap(fault.Unreachable, err, "%v: the connection broke", cmd)
	}
	return c.fail(err)
}

func isTimeout(err error) bool { return fault.KindOf(err) == fault.TimedOut }

// unexpected ends the connection because of a reply that nobody asked for.
func (c *Conn) unexpected(want string) error {
	return c.fail(fault.New(fault.Invalid, "the server at %s is out of step: it sent a reply where there should be %s", c.cfg.Addr, want))
}

// check compares a reply with the codes that cmd may be answered with. A refusal
// is a [*ftp.ReplyError], after 421 the end of the connection, too; anything
// else is the answer to some other command, which is the end of it in any case.
func (c *Conn) check(cmd ftp.Command, r ftp.Reply, want []ftp.Code) error {
	switch {
	case slices.Contains(want, r.Code):
		return nil
	case r.Code == ftp.CodeUnavailable:
		return c.fail(&ftp.ReplyError{Command: cmd, Reply: r})
	case r.Code.Transient(), r.Code.Permanent():
		return &ftp.ReplyError{Command: cmd, Reply: r}
	default:
		return c.fail(fault.New(fault.Invalid, "%v: the server answered %d %.100q, want %v: it is out of step", cmd, r.Code, r.Text(), want))
	}
}

// do sends a command and waits for a reply with one of the codes given.
func (c *Conn) do(ctx context.Context, cmd ftp.Command, want ...ftp.Code) (ftp.Reply, error) {
	if err := c.send(ctx, cmd); err != nil {
		return ftp.Reply{}, err
	}
	r, err := c.receive(ctx, cmd, c.cfg.Timeouts.Reply)
	if err != nil {
		return ftp.Reply{}, err
	}
	return r, c.check(cmd, r, want)
}

// simple is an operation of one command. Its error says what was being done where.
func (c *Conn) simple(ctx context.Context, what string, cmd ftp.Command, want ...ftp.Code) (ftp.Reply, error) {
	end, err := c.begin(ctx)
	if err != nil {
		return ftp.Reply{}, c.wrap(err, what)
	}
	defer end()
	r, err := c.do(ctx, cmd, want...)
	return r, c.wrap(err, what)
}

// wrap says what was being done on which server; nil stays nil.
func (c *Conn) wrap(err error, what string) error {
	if err == nil {
		return nil
	}
	return fault.As(err, "%s on %s", what, c.cfg.Addr)
}

// refusal returns the reply with which the server refused, if that is what err is.
func refusal(err error) (ftp.Reply, bool) {
	var re *ftp.ReplyError
	if errors.As(err, &re) {
		return re.Reply, true
	}
	return ftp.Reply{}, false
}
