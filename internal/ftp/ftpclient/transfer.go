package ftpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/netx"
)

// afterFailure bounds the wait for the server's last word on a transfer that
// failed or was given up. It often names the cause; more is not at stake.
const afterFailure = 5 * time.Second

// ErrUnconfirmed is in the chain of an error that says: all data went over, but
// the server's last reply did not come. Whether the file is whole is for the
// caller to find out, by [Conn.Size] on another connection.
var ErrUnconfirmed = errors.New("the server did not confirm the end of the transfer")

// errCutShort says that a TLS data connection ended without close_notify.
var errCutShort = fault.Wrap(fault.Unreachable, io.ErrUnexpectedEOF, "the data connection was cut short: it ended without TLS's close_notify")

// transfer is a data connection and the command it belongs to.
type transfer struct {
	c    *Conn
	ctx  context.Context // bounds the whole transfer; it has no other owner to be passed by
	what string          // `read "x"`, for errors
	cmd  ftp.Command
	raw  net.Conn    // as dialled
	data net.Conn    // raw or TLS over it
	mark *markedConn // between raw and TLS; nil without TLS
	last *ftp.Reply  // the final reply, if the server gave it in place of a 150
	stop func()      // ends the watch over ctx

	queued int // what the kernel had still to send when that was last looked at

	over   bool  // nothing more will be said about this transfer
	result error // of the transfer; valid once over
}

// start opens a data connection and sends cmd, after REST if offset is not zero,
// and waits until the server accepts. From then on the transfer is c's open one.
func (c *Conn) start(ctx context.Context, what string, cmd ftp.Command, offset int64) (*transfer, error) {
	t, err := c.startUnwrapped(ctx, what, cmd, offset)
	return t, c.wrap(err, what)
}

func (c *Conn) startUnwrapped(ctx context.Context, what string, cmd ftp.Command, offset int64) (*transfer, error) {
	if offset < 0 {
		return nil, fault.New(fault.Invalid, "offset %d is negative", offset)
	}
	// A name that cannot be sent is found out before a port is opened for it.
	if _, err := cmd.Append(nil); err != nil {
		return nil, err
	}
	end, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	raw, err := c.passive(ctx)
	if err != nil {
		return nil, err
	}
	t := &transfer{c: c, ctx: ctx, what: what, cmd: cmd, raw: raw, data: raw}
	if err := t.request(offset); err != nil {
		_ = raw.Close() // the refusal is what matters, and nothing went over it
		return nil, err
	}
	if err := t.secure(); err != nil {
		t.cut()
		return nil, t.explain(err)
	}
	t.stop = watch(ctx, func() {
		_ = t.raw.SetDeadline(longAgo)
		_ = c.raw.SetDeadline(longAgo)
	})
	c.open = t
	return t, nil
}

// request sends the command and waits for the 150.
func (t *transfer) request(offset int64) error {
	c := t.c
	if offset > 0 {
		if _, err := c.do(t.ctx, restCommand(offset), ftp.CodePending); err != nil {
			return err
		}
	}
	want := []ftp.Code{ftp.CodeDataOpen, ftp.CodeTransferStarting}
	if t.cmd.Verb != "STOR" && t.cmd.Verb != "APPE" {
		want = append(want, finals...) // of servers that have all of a little sent at once
	}
	r, err := c.do(t.ctx, t.cmd, want...)
	if err != nil {
		return err
	}
	if r.Code.Positive() {
		t.last = &r
	}
	return nil
}

// secure starts TLS on the data connection of a protected session.
func (t *transfer) secure() error {
	if t.c.tls == nil {
		return nil
	}
	t.mark = &markedConn{Conn: t.raw}
	secured := tls.Client(t.mark, t.c.tls)
	t.data = secured
	if err := t.c.handshake(t.ctx, secured); err != nil {
		return err
	}
	t.mark.write = t.writeRaw // from here on the stall timeout counts
	return nil
}

// arm bounds the next read or write on the data connection by the stall timeout.
// See [Conn.arm].
func (t *transfer) arm() {
	_ = t.raw.SetDeadline(time.Now().Add(t.c.cfg.Timeouts.Stall)) // fails on a closed connection only, which the next call reports
	if t.ctx.Err() != nil {
		_ = t.raw.SetDeadline(longAgo)
	}
}

// write sends p on the data connection, whatever time it takes as long as
// something moves.
func (t *transfer) write(p []byte) (int, error) {
	if t.mark != nil {
		return t.data.Write(p) // which comes back to writeRaw
	}
	return t.writeRaw(p)
}

// writeRaw writes below TLS, which does not survive a deadline: one that passed
// while data was moving ends here.
func (t *transfer) writeRaw(p []byte) (int, error) {
	for sent := 0; ; {
		t.arm()
		n, err := t.raw.Write(p[sent:])
		sent += n
		if err == nil || !t.stalled(err) || !t.moving(int64(n)) {
			return sent, err
		}
	}
}

// moving reports whether an upload that met the stall timeout is alive all the
// same: n bytes were taken, or the kernel, whose buffers hold megabytes, has sent
// some of what it had when this was last asked.
func (t *transfer) moving(n int64) bool {
	left, known := unsent(t.raw)
	moved := known && left > 0 && (t.queued == 0 || left < t.queued)
	t.queued = left
	return n > 0 || moved
}

// stalled reports whether err is the stall timeout, rather than the end of the
// context.
func (t *transfer) stalled(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && t.ctx.Err() == nil
}

// cut ends the data connection so that the server sees a reset.
func (t *transfer) cut() { _ = netx.Reset(t.raw) } // it is being given up

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
// connection can go on: any reply that can end one.
func (t *transfer) settle() (ftp.Reply, error) {
	c := t.c
	if t.ctx.Err() != nil {
		return ftp.Reply{}, c.fail(context.Cause(t.ctx))
	}
	if t.last != nil {
		return *t.last, nil
	}
	r, err := c.receive(t.ctx, t.cmd, min(afterFailure, c.cfg.Timeouts.Final))
	if err != nil {
		return r, err
	}
	if r.Code.Preliminary() {
		return r, c.resync(t.ctx)
	}
	if err := c.check(t.cmd, r, finals); c.broken != nil {
		return r, err
	}
	return r, nil
}

// resync finds the place in the conversation again after a second 150, which is
// all that Pure-FTPd says to a download that was cut: there may or may not be
// another reply, but NOOP has one that cannot be taken for the end of a transfer.
func (c *Conn) resync(ctx context.Context) error {
	noop := ftp.Command{Verb: "NOOP"}
	if err := c.send(ctx, noop); err != nil {
		return err
	}
	for range maxPreliminary {
		r, err := c.receive(ctx, noop, min(afterFailure, c.cfg.Timeouts.Reply))
		if err != nil || r.Code == ftp.CodeOK {
			return err
		}
	}
	return c.unexpected("the answer to NOOP")
}

// finals are the replies that end a transfer well.
var finals = []ftp.Code{ftp.CodeTransferComplete, ftp.CodeFileOK}

// confirm reads the final reply of a transfer whose data went over.
func (t *transfer) confirm() error {
	c := t.c
	r := t.last
	if r == nil {
		got, err := t.final()
		if err != nil {
			return errors.Join(err, ErrUnconfirmed)
		}
		r = &got
	}
	t.last = r
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

func isEOF(err error) bool { return err == io.EOF } //nolint:errorlint // readers return it bare
