package jetstream

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
)

// maxOut bounds the tasks of a flow that are out, those that wait for another
// attempt included. A flow claims fewer files than this before it waits.
const maxOut = 100_000

// Tasks implements [flow.Journal]. The consumer is made anew each time: whatever a
// reader before this one had out is delivered again at once instead of after its
// silence has been noticed. What it remembers is in memory, as nothing of it
// matters after the process: attempts are counted in the records.
func (j *Journal) Tasks(ctx context.Context, name string) (flow.Tasks, error) {
	token := flow.Token(name)
	if err := j.js.DeleteConsumer(ctx, "tasks", token); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, j.fail(err, "open the queue of flow %q", name)
	}
	c, err := j.js.CreateConsumer(ctx, "tasks", jetstream.ConsumerConfig{
		Durable:       token,
		FilterSubject: taskPrefix + token + ".*",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       3 * flow.Heartbeat,
		MaxDeliver:    -1, // the engine counts, and moves what it gives up
		MaxAckPending: maxOut,
		MemoryStorage: true,
	})
	if err != nil {
		return nil, j.fail(err, "open the queue of flow %q", name)
	}
	// One at a time: a task that waits in a buffer would count as being worked on.
	msgs, err := c.Messages(jetstream.PullMaxMessages(1), jetstream.WithMessagesErrOnMissingHeartbeat(false))
	if err != nil {
		return nil, j.fail(err, "open the queue of flow %q", name)
	}
	return &tasks{j, name, msgs}, nil
}

type tasks struct {
	j    *Journal
	flow string
	msgs jetstream.MessagesContext
}

// Next implements [flow.Tasks].
func (q *tasks) Next(ctx context.Context) (flow.Task, error) {
	m, err := q.msgs.Next(jetstream.NextContext(ctx))
	if err != nil {
		if ctx.Err() != nil {
			return nil, fault.As(context.Cause(ctx), "wait for a task of flow %q", q.flow)
		}
		return nil, q.j.fail(err, "wait for a task of flow %q", q.flow)
	}
	return task{q.j, m}, nil
}

// Close implements [flow.Tasks].
func (q *tasks) Close() error {
	q.msgs.Stop()
	return nil
}

type task struct {
	j *Journal
	m jetstream.Msg
}

func (t task) ID() string { return strings.TrimPrefix(t.m.Subject(), taskPrefix) }

func (t task) InProgress() error { return t.check(t.m.InProgress()) }

// Done waits until the server has taken the task away: a new one may be queued at
// once, and there is room for one.
func (t task) Done() error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	return t.check(t.m.DoubleAck(ctx))
}

func (t task) Later(after time.Duration) error {
	if after <= 0 {
		return t.check(t.m.Nak())
	}
	return t.check(t.m.NakWithDelay(after))
}

func (t task) check(err error) error {
	if err == nil {
		return nil
	}
	return t.j.fail(err, "end the task of %s", t.ID())
}
