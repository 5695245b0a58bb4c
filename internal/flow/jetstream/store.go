package jetstream

import (
	"context"
	"slices"

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
	if err := j.send(context.WithoutCancel(ctx), ws...); err != nil {
		return err
	}
	return j.sync.sync()
}

// send stores messages, one sent behind the other without waiting in between, and
// returns when each has its seq or its err. They survive the end of the process.
func (j *Journal) send(ctx context.Context, ws ...*write) error {
	for some := range slices.Chunk(ws, maxSent) {
		if err := j.sendSome(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

func (j *Journal) sendSome(ctx context.Context, ws []*write) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	futures := make([]jetstream.PubAckFuture, len(ws))
	for i, w := range ws {
		var opts []jetstream.PublishOpt
		if w.expect != nil {
			opts = append(opts, jetstream.WithExpectLastSequencePerSubject(*w.expect))
		}
		m := &nats.Msg{Subject: w.subject, Data: w.data, Header: w.header}
		var err error
		if futures[i], err = j.js.PublishMsgAsync(m, opts...); err != nil {
			return j.fail(err, "send %q", w.subject)
		}
	}
	for i, f := range futures {
		select {
		case ack := <-f.Ok():
			ws[i].seq = ack.Sequence
		case ws[i].err = <-f.Err():
		case <-ctx.Done():
			return j.fail(context.Cause(ctx), "send %q", ws[i].subject)
		}
	}
	return nil
}
