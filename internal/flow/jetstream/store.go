package jetstream

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sallyport.dev/internal/fault"
)

// maxSent bounds the messages that are sent and not answered, well below what the
// client holds.
const maxSent = 500

// write is one message to be stored.
type write struct {
	subject string
	data    []byte
	header  nats.Header
	expect  *uint64 // the newest revision of the subject; nil is any

	seq uint64 // once stored
	err error
}

// store stores records, and returns when each has its seq or its err and those
// with a seq would survive the end of the machine. They are not one transaction:
// some may be stored and others not. What is being stored is not interrupted by the
// end of ctx.
func (j *Journal) store(ctx context.Context, ws ...*write) error {
	if err := ctx.Err(); err != nil {
		return fault.As(err, "write the journal")
	}
	e, err := j.engine()
	if err != nil {
		return err
	}
	return j.storeIn(ctx, e, e.sync, ws)
}

func (j *Journal) storeIn(ctx context.Context, e *engine, s *syncer, ws []*write) error {
	if err := j.sendBy(context.WithoutCancel(ctx), e, ws); err != nil {
		return err
	}
	if err := s.sync(); err != nil {
		// A server that is started anew would take what is in the system's memory for
		// what is on disk. Only another process can tell.
		return fault.As(err, "write the journal").WithHint("see to the disk of %q, then restart", j.dir)
	}
	return nil
}

// send stores messages, one sent behind the other without waiting in between, and
// returns when each has its seq or its err. They survive the end of the process.
func (j *Journal) send(ctx context.Context, ws ...*write) error {
	e, err := j.engine()
	if err != nil {
		return err
	}
	return j.sendBy(ctx, e, ws)
}

func (j *Journal) sendBy(ctx context.Context, e *engine, ws []*write) error {
	for some := range slices.Chunk(ws, maxSent) {
		if err := j.sendSome(ctx, e, some); err != nil {
			return err
		}
	}
	return nil
}

func (j *Journal) sendSome(ctx context.Context, e *engine, ws []*write) error {
	futures := make([]jetstream.PubAckFuture, len(ws))
	for i, w := range ws {
		var opts []jetstream.PublishOpt
		if w.expect != nil {
			opts = append(opts, jetstream.WithExpectLastSequencePerSubject(*w.expect))
		}
		m := &nats.Msg{Subject: w.subject, Data: w.data, Header: w.header}
		var err error
		if futures[i], err = e.js.PublishMsgAsync(m, opts...); err != nil {
			return j.fail(e.why(err), "send %q", w.subject)
		}
	}
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	for i, f := range futures {
		select {
		case ack := <-f.Ok():
			ws[i].seq = ack.Sequence
		case ws[i].err = <-f.Err():
		case <-e.broken:
			return j.fail(e.why(e.cause), "send %q", ws[i].subject)
		case <-timer.C:
			// A server that does not answer has a store that it cannot write.
			e.fail(errSilent)
			return fault.Wrap(fault.TimedOut, errSilent, "send %q", ws[i].subject)
		case <-ctx.Done():
			return j.fail(context.Cause(ctx), "send %q", ws[i].subject)
		}
	}
	return nil
}

var errSilent = errors.New("its server does not answer")
