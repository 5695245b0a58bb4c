package ftpclient

import (
	"context"
	"errors"
	"slices"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// afterFailure bounds the wait for the server's last word on a transfer that
// failed or was given up. It often names the cause; more is not at stake.
const afterFailure = 5 * time.Second

// beforeAsking is how long a server may say nothing to a transfer that was cut
// before it is asked for a sign of life.
const beforeAsking = time.Second

// ErrUnconfirmed is in the chain of an error that says: all data went over, but
// the server's last reply did not come. Whether the file is whole is for the
// caller to find out, by [Conn.Size] on another connection.
var ErrUnconfirmed = errors.New("the server did not confirm the end of the transfer")

// ErrPipelining is in the chain of an error that may come of nothing but commands
// that the server got before it was ready for them. The same can be tried again on
// another connection.
var ErrPipelining = errors.New("the server was sent commands ahead")

// end takes the transfer off its connection with a result.
func (t *transfer) end(err error) error {
	if t.over {
		return t.result
	}
	t.over = true
	t.result = t.c.wrap(err, t.what)
	if t.stop != nil {
		t.stop()
	}
	if t.c.open == t {
		t.c.open = nil
	}
	return t.result
}

// fail cuts the data connection after an error on it, and returns the error to
// give: the server's own reason if it gives one.
func (t *transfer) fail(err error) error {
	if t.over {
		return t.result
	}
	t.cut()
	return t.end(t.explain(t.dataError(err)))
}

// dataError says what an error on the data connection means.
func (t *transfer) dataError(err error) error {
	switch {
	case t.ctx.Err() != nil:
		return context.Cause(t.ctx)
	case t.stalled(err):
		return fault.Wrap(fault.TimedOut, err, "nothing moved on the data connection for %v", t.c.cfg.Timeouts.Stall)
	case fault.KindOf(err) == fault.Internal:
		return fault.Wrap(fault.Unreachable, err, "data connection")
	default:
		return fault.As(err, "data connection")
	}
}

// explain reads the final reply of a transfer that failed because of err. A
// refusal is the better explanation; a confirmation changes nothing.
func (t *transfer) explain(err error) error {
	c := t.c
	if t.ctx.Err() != nil || c.broken != nil {
		return c.fail(err) // no time left to bring the conversation back in step
	}
	if t.last != nil {
		return err
	}
	r, serr := t.settle()
	if serr != nil {
		return err // settle ended the connection
	}
	if r.Code.Transient() || r.Code.Permanent() {
		return dataHint(&ftp.ReplyError{Command: t.cmd, Reply: r})
	}
	return err
}

// final waits for the reply that ends a transfer. Preliminary ones before it say
// nothing (RFC 959 section 4.2).
func (t *transfer) final() (ftp.Reply, error) {
	for range maxPreliminary {
		r, err := t.c.receive(t.ctx, t.cmd, t.c.cfg.Timeouts.Final)
		if err != nil || !r.Code.Preliminary() {
			return r, err
		}
	}
	return ftp.Reply{}, t.c.unexpected("the end of a transfer")
}

// maxPreliminary bounds the replies that may come before the one awaited.
const maxPreliminary = 8

// settle reads what the server says to a transfer that was cut, so that the
// connection can go on: any reply that can end one, or none.
func (t *transfer) settle() (ftp.Reply, error) {
	c := t.c
	if t.ctx.Err() != nil {
		return ftp.Reply{}, c.fail(context.Cause(t.ctx))
	}
	if c.ahead != nil { // the server has begun with that, or will
		return ftp.Reply{}, c.fail(fault.New(fault.Canceled, "the transfer after it had been asked for"))
	}
	if t.last != nil {
		return *t.last, nil
	}
	c.arm(t.ctx, beforeAsking)
	r, err := c.r.ReadReply()
	switch {
	case err != nil && t.stalled(err):
		return t.resync()
	case err != nil:
		return r, c.lost(t.ctx, err, t.cmd, beforeAsking)
	case r.Code.Preliminary():
		return t.resync()
	}
	return r, t.checkEnd(r)
}

// checkEnd ends the connection if r cannot end a transfer.
func (t *transfer) checkEnd(r ftp.Reply) error {
	if err := t.c.check(t.cmd, r, finals); t.c.broken != nil {
		return err
	}
	return nil
}

// resync finds the place in the conversation again where the server did not say
// that a cut transfer is over. Pure-FTPd says nothing, or a second 150, to a
// download that was cut. There may or may not be another reply, but NOOP has one
// that cannot be taken for the end of a transfer. It returns that end if it came.
func (t *transfer) resync() (ftp.Reply, error) {
	c := t.c
	noop := ftp.Command{Verb: "NOOP"}
	if err := c.send(t.ctx, noop); err != nil {
		return ftp.Reply{}, err
	}
	var end ftp.Reply
	for range maxPreliminary {
		r, err := c.receive(t.ctx, noop, min(afterFailure, c.cfg.Timeouts.Reply))
		switch {
		case err != nil:
			return r, err
		case r.Code == ftp.CodeOK:
			return end, nil
		case r.Code.Preliminary():
		case end.Code != 0:
			return r, c.unexpected("the answer to NOOP")
		default:
			if err := t.checkEnd(r); err != nil {
				return r, err
			}
			end = r
		}
	}
	return end, c.unexpected("the answer to NOOP")
}

// finals are the replies that end a transfer well.
var finals = []ftp.Code{ftp.CodeTransferComplete, ftp.CodeFileOK}

// confirm reads the final reply of a transfer whose data went over.
func (t *transfer) confirm() error {
	c := t.c
	r, ahead := t.last, c.ahead != nil
	if r == nil {
		got, err := t.final()
		if err != nil && ahead {
			err = errors.Join(t.outOfStep(err), ErrPipelining)
		}
		if err != nil {
			return errors.Join(err, ErrUnconfirmed)
		}
		r = &got
	}
	t.last = r
	if ahead && !slices.Contains(finals, r.Code) {
		// It may be the end of this transfer or the refusal of the next, which came
		// too early for the server: nothing is sure any more.
		err := c.fail(dataHint(&ftp.ReplyError{Command: t.cmd, Reply: *r}))
		c.bearsLess(t.ctx, err)
		return errors.Join(err, ErrPipelining)
	}
	return dataHint(c.check(t.cmd, *r, finals))
}

// dataHint adds what is known about refusals of data connections.
func dataHint(err error) error {
	r, ok := refusal(err)
	if !ok {
		return err
	}
	switch r.Code {
	case ftp.CodeNoDataConnection, ftp.CodeBadProtocol:
		return fault.As(err, "the server could not use the data connection").
			WithHint("does every gateway on the way pass the server's data ports, and may TLS sessions be resumed?")
	default:
		return err
	}
}
