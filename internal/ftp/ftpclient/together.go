package ftpclient

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// Pipelining says whether commands that do not wait for one another's replies are
// sent together. The replies are read in order, each held to its command.
//
// Most servers bear it, some do not: they lose what came behind the first command,
// or answer in mid-transfer. Whether a server does is found out at the first login,
// by commands that are harmless whatever becomes of them, and remembered in
// [Config.Habits]. A server that gets out of step later is spoken with one by one
// from then on; the connection on which it happened is at its end.
type Pipelining uint8

// The choices.
const (
	PipeliningAuto Pipelining = iota // where the server bears it
	PipeliningOff                    // one by one
)

// What a server bears, as [Habits] remember it.
const (
	bearsUnknown  = iota
	bearsNothing  // each command waits for the reply to the one before
	bearsTogether // commands together, but nothing in mid-transfer
	bearsAhead    // the next transfer's commands in mid-transfer, too
)

// knownBusy are servers, by a word of their greeting, that answer what comes in
// mid-transfer at once, with a refusal: nothing to find out there.
var knownBusy = []string{"ProFTPD", "Pure-FTPd"}

// bears returns how far the server can be trusted with several commands at once.
func (c *Conn) bears() int32 {
	if c.cfg.Pipelining == PipeliningOff {
		return bearsNothing
	}
	return c.cfg.Habits.bears.Load()
}

// learnBears notes that the server answered commands that came together.
func (c *Conn) learnBears(greeting string) {
	level := int32(bearsAhead)
	if slices.ContainsFunc(knownBusy, func(word string) bool { return strings.Contains(greeting, word) }) {
		level = bearsTogether
	}
	c.cfg.Habits.bears.CompareAndSwap(bearsUnknown, level)
}

// bearsLess notes that the server got out of step with commands sent like that.
func (c *Conn) bearsLess(ctx context.Context, err error) {
	h := c.cfg.Habits
	was := h.bears.Load()
	if was <= bearsNothing || !h.bears.CompareAndSwap(was, was-1) {
		return // somebody else has noted it
	}
	c.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "the server does not bear commands that are sent together",
		slog.String("server", c.cfg.Addr), slog.Bool("in-transfers-only", was == bearsAhead), slog.Any("error", err))
}

// exchange is one command of several that are sent together.
type exchange struct {
	cmd  ftp.Command
	want []ftp.Code
	// got sees the reply, and the refusal if it is one; its error ends the exchanges.
	got func(ftp.Reply, error) error
}

// probePatience bounds the wait for the second and later replies to the first
// commands that a server is sent together.
const probePatience = 10 * time.Second

// exchanges sends commands, together where the server bears that or where it is not
// known yet, and reads the replies. All of them are read unless the connection
// breaks; the first error that a got returns is returned.
func (c *Conn) exchanges(ctx context.Context, all ...exchange) error {
	bears := c.bears()
	together := bears != bearsNothing && len(all) > 1
	if together {
		cmds := make([]ftp.Command, len(all))
		for i := range all {
			cmds[i] = all[i].cmd
		}
		if err := c.send(ctx, cmds...); err != nil {
			return err
		}
	}
	var first error
	for i, e := range all {
		if !together {
			if first != nil {
				return first
			}
			if err := c.send(ctx, e.cmd); err != nil {
				return err
			}
		}
		patience := c.cfg.Timeouts.Reply
		if i > 0 && together && bears == bearsUnknown {
			patience = min(patience, probePatience)
		}
		r, err := c.receive(ctx, e.cmd, patience)
		if err == nil {
			err = c.check(e.cmd, r, e.want)
		}
		if c.broken != nil {
			c.unborn = together && bears == bearsUnknown && ctx.Err() == nil && (i > 0 || fault.KindOf(err) != fault.TimedOut)
			return errors.Join(first, err)
		}
		if err := e.got(r, err); err != nil && first == nil {
			first = err
		}
	}
	if together {
		c.learnBears(c.greets)
	}
	return first
}

// errOneByOne says that a transfer that was asked for together with its data
// connection has to be asked for again, one command after the other. Nothing
// happened, and the connection is in step.
var errOneByOne = errors.New("to be done one by one")

// canOpenTogether reports whether a transfer's commands may be sent with those for
// its data connection. The first transfer of a connection is not: how the server
// takes EPSV or PORT must be known, or it might carry out the second command with
// another data connection than is meant. Nor is one in active mode: pyftpdlib answers
// PORT once it has connected, and takes the next command before that.
func (c *Conn) canOpenTogether() bool {
	return c.opened && c.cfg.Mode != ActiveMode && c.bears() >= bearsTogether
}

// ask sends the commands for a data connection and the transfer's own together.
func (t *transfer) ask() error {
	t.way = t.c.passiveCommand()
	return t.c.send(t.ctx, t.way, t.cmd)
}

// answer reads the replies to what ask sent, and opens the data connection.
func (t *transfer) answer() error {
	c := t.c
	r, err := c.receive(t.ctx, t.way, c.cfg.Timeouts.Reply)
	if err != nil {
		return t.outOfStep(err)
	}
	err = t.dialAnswer(r)
	refused := errRefused{}
	switch {
	case errors.As(err, &refused):
		return refused.error
	case c.broken != nil:
		return t.outOfStep(err)
	case err != nil:
		return t.unanswered(err)
	}
	if err := t.begun(); err != nil {
		if t.raw != nil {
			_ = t.raw.Close() // the refusal is what matters, and nothing went over it
			t.raw = nil
		}
		if c.broken != nil {
			return t.outOfStep(err)
		}
		if replied(err, ftp.CodeNoDataConnection) {
			c.bearsLess(t.ctx, err) // it did not wait for the connection
			return errOneByOne
		}
		return err
	}
	return nil
}

// dialAnswer connects to the port that the server announced.
func (t *transfer) dialAnswer(r ftp.Reply) error {
	c := t.c
	addr, err := c.passiveAnswer(t.way, r)
	if err != nil {
		return err
	}
	raw, err := c.dialData(t.ctx, addr)
	if err != nil {
		return t.notReached(err)
	}
	t.setData(raw)
	return nil
}

// errRefused wraps the server's refusal of a transfer, given before there was a data
// connection.
type errRefused struct{ error }

// notReached finds out whether there is nobody at the data port because the server
// has refused the transfer already. A server that still waits for a connection is
// given up: it would do so for a minute, and listen to nothing else.
func (t *transfer) notReached(dial error) error {
	c := t.c
	if t.ctx.Err() != nil {
		return c.fail(dial)
	}
	r, err := c.receive(t.ctx, t.cmd, min(c.cfg.Timeouts.Reply, afterFailure))
	switch {
	case err != nil:
		return dial
	case r.Code == ftp.CodeNoDataConnection:
		return errRefused{dial} // it says so itself, and is in step
	case r.Code.Transient(), r.Code.Permanent():
		return errRefused{c.check(t.cmd, r, nil)}
	default:
		return c.fail(dial)
	}
}

// unanswered deals with a server that refused to open a port: it must refuse the
// transfer then, too.
func (t *transfer) unanswered(refused error) error {
	r, err := t.c.receive(t.ctx, t.cmd, t.c.cfg.Timeouts.Reply)
	if err != nil {
		return err
	}
	if !r.Code.Transient() && !r.Code.Permanent() {
		return t.c.fail(fault.As(refused, "the server began a transfer without a data connection"))
	}
	return errOneByOne
}

// outOfStep notes what a broken conversation says about the server, if anything.
func (t *transfer) outOfStep(err error) error {
	if kind := fault.KindOf(err); t.ctx.Err() == nil && (kind == fault.TimedOut || kind == fault.Invalid) {
		t.c.bearsLess(t.ctx, err)
	}
	return err
}

// passiveCommand asks the server for a port.
func (c *Conn) passiveCommand() ftp.Command {
	if c.cfg.Mode == PasvMode || c.cfg.Habits.noEPSV.Load() {
		return ftp.Command{Verb: "PASV"}
	}
	return ftp.Command{Verb: "EPSV"}
}

// passiveAnswer returns where a reply to EPSV or PASV says that the server waits.
func (c *Conn) passiveAnswer(cmd ftp.Command, r ftp.Reply) (string, error) {
	if cmd.Verb == "PASV" {
		if err := c.check(cmd, r, []ftp.Code{ftp.CodePassive}); err != nil {
			return "", err
		}
		return c.pasvAddr(r)
	}
	if err := c.check(cmd, r, []ftp.Code{ftp.CodeExtendedPassive}); err != nil {
		return "", err
	}
	port, err := ftp.ParseEpsvReply(r)
	if err != nil {
		return "", err
	}
	return c.portAddr(port), nil
}
