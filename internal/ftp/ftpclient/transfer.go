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

	way  ftp.Command // EPSV or PASV, if it was sent together with cmd
	next func()      // asks for the transfer after this one, once
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
	t := c.newTransfer(ctx, what, cmd)
	return t, t.launch(func() error { return t.open(offset) })
}

func (c *Conn) newTransfer(ctx context.Context, what string, cmd ftp.Command) *transfer {
	return &transfer{c: c, ctx: ctx, what: what, cmd: cmd}
}

// launch opens the data connection and makes the server begin, by open. From then on
// the transfer is its connection's open one.
func (t *transfer) launch(open func() error) error {
	c := t.c
	begin := c.begin
	if t.way.Verb != "" { // it has been asked for
		begin = c.goOn
	}
	end, err := begin(t.ctx)
	if err != nil {
		return err
	}
	defer end()
	if err := open(); err != nil {
		return err
	}
	if err := t.secure(); err != nil {
		t.cut()
		return t.explain(err)
	}
	t.stop = watch(t.ctx, func() {
		_ = t.raw.SetDeadline(longAgo)
		_ = c.raw.SetDeadline(longAgo)
	})
	c.open, c.opened = t, true
	return nil
}

// open makes the server begin in as few steps as it bears.
func (t *transfer) open(offset int64) error {
	if offset == 0 && t.c.canOpenTogether() {
		if err := t.ask(); err != nil {
			return err
		}
		if err := t.answer(); !errors.Is(err, errOneByOne) {
			return err
		}
	}
	return t.openOneByOne(offset)
}

// openOneByOne opens the data connection and then asks for the transfer.
func (t *transfer) openOneByOne(offset int64) error {
	if t.c.cfg.Mode == ActiveMode {
		return t.openActive(offset)
	}
	raw, err := t.c.passive(t.ctx)
	if err != nil {
		return err
	}
	t.setData(raw)
	if err := t.request(offset); err != nil {
		_ = raw.Close() // the refusal is what matters, and nothing went over it
		return err
	}
	return nil
}

// openActive lets the server open the data connection.
func (t *transfer) openActive(offset int64) error {
	c := t.c
	l, err := c.active(t.ctx)
	if err != nil {
		return err
	}
	if err := t.request(offset); err != nil {
		_ = l.Close() // the refusal is what matters, and nobody came
		return err
	}
	raw, err := c.accept(t.ctx, l, c.activePatience())
	if err != nil {
		return t.explain(err)
	}
	t.setData(raw)
	return nil
}

func (t *transfer) setData(raw net.Conn) { t.raw, t.data = raw, raw }

// request sends the command and waits for the 150.
func (t *transfer) request(offset int64) error {
	c := t.c
	if offset > 0 {
		if _, err := c.do(t.ctx, restCommand(offset), ftp.CodePending); err != nil {
			return err
		}
	}
	if err := c.send(t.ctx, t.cmd); err != nil {
		return err
	}
	return t.begun()
}

// begun waits for the 150.
func (t *transfer) begun() error {
	c := t.c
	r, err := c.receive(t.ctx, t.cmd, c.cfg.Timeouts.Reply)
	if err != nil {
		return err
	}
	want := begins
	if t.cmd.Verb != "STOR" && t.cmd.Verb != "APPE" {
		want = beginsOrEnds // of servers that have all of a little sent at once
	}
	if err := c.check(t.cmd, r, want); err != nil {
		return dataHint(err)
	}
	if r.Code.Positive() {
		t.last = &r
	}
	return nil
}

// What a transfer begins with.
var (
	begins       = []ftp.Code{ftp.CodeDataOpen, ftp.CodeTransferStarting}
	beginsOrEnds = append(begins[:2:2], finals...)
)

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

func isEOF(err error) bool { return err == io.EOF } //nolint:errorlint // readers return it bare
