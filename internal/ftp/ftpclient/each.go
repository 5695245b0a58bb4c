package ftpclient

import (
	"context"
	"errors"
	"iter"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// RetrEach opens one file after another for reading. Where the server bears it the
// next file is asked for while the one before is still on its way, which saves round
// trips: see [Pipelining].
//
// Each step of the loop has a [Download], named by [Download.Path], that must be read
// to io.EOF and closed within it, or the error with which the server refused that
// file, with a Download that has the name and is at its end. A refusal does not end
// the loop; an error that ends the connection does, and [Conn.Usable] is false then.
// A Download that is given up, and a loop that is left early, end the connection if
// the next file has been asked for. No other call may be made within the loop.
func (c *Conn) RetrEach(ctx context.Context, paths iter.Seq[string]) iter.Seq2[*Download, error] {
	return func(yield func(*Download, error) bool) {
		next, stop := iter.Pull(paths)
		defer stop()
		q := &queue{c: c, ctx: ctx, paths: next}
		defer q.end()
		for {
			t, ok := q.take()
			if !ok {
				return
			}
			err := q.begin(t)
			d := &Download{t: t}
			if err != nil {
				err = t.end(err)
			}
			if !yield(d, err) || c.broken != nil {
				return
			}
			if !t.over && d.Close() != nil {
				return // it was given up, and the connection with it
			}
		}
	}
}

// queue is a row of files to read.
type queue struct {
	c     *Conn
	ctx   context.Context // bounds all of them; it has no other owner to be passed by
	paths func() (string, bool)
	held  *transfer // taken from paths and not asked for, its name being impossible
}

// take returns the next transfer: the one that was asked for ahead, or a new one.
func (q *queue) take() (*transfer, bool) {
	if t := q.c.ahead; t != nil {
		return t, true
	}
	if t := q.held; t != nil {
		q.held = nil
		return t, true
	}
	return q.fresh()
}

func (q *queue) fresh() (*transfer, bool) {
	path, ok := q.paths()
	if !ok {
		return nil, false
	}
	t := q.c.newTransfer(q.ctx, "read "+quote(path), ftp.Command{Verb: "RETR", Arg: path})
	t.next = q.ask
	return t, true
}

// begin makes the server begin with a transfer.
func (q *queue) begin(t *transfer) error {
	open := func() error { return t.open(0) }
	if q.c.ahead == t {
		q.c.ahead = nil
		open = func() error {
			err := t.answer()
			if errors.Is(err, errOneByOne) {
				return t.openOneByOne(0)
			}
			return err
		}
	} else if _, err := t.cmd.Append(nil); err != nil {
		return err // it cannot be said, and no port need be opened to find that out
	}
	if err := t.launch(open); err != nil {
		return err
	}
	if t.next != nil && q.c.bears() >= bearsAhead {
		t.next()
		t.next = nil
	}
	return nil
}

// ask asks for the next file, of which the server takes notice when it is done with
// the one before.
func (q *queue) ask() {
	c := q.c
	if c.broken != nil || c.ahead != nil || q.held != nil || !c.canOpenTogether() {
		return
	}
	t, ok := q.fresh()
	if !ok {
		return
	}
	if _, err := t.cmd.Append(nil); err != nil {
		q.held = t
		return
	}
	c.ahead = t
	if err := t.ask(); err != nil && c.broken == nil {
		c.ahead, q.held = nil, t // no port to listen on: it will say so in its turn
	}
}

// end ends the connection if an answer is still to come.
func (q *queue) end() {
	if c := q.c; c.ahead != nil {
		_ = c.fail(fault.New(fault.Canceled, "files that had been asked for were not read")) // whoever left the loop knows
	}
}

// Path returns the path that was asked for.
func (d *Download) Path() string { return d.t.cmd.Arg }
