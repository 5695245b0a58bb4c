package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
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
	e, err := j.engine()
	if err != nil {
		return nil, err
	}
	token := flow.Token(name)
	if err := e.js.DeleteConsumer(ctx, "tasks", token); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, j.fail(err, "open the queue of flow %q", name)
	}
	_, err = e.js.CreateConsumer(ctx, "tasks", jetstream.ConsumerConfig{
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
	sub, err := e.conn.SubscribeSync(e.conn.NewInbox())
	if err != nil {
		return nil, j.fail(err, "open the queue of flow %q", name)
	}
	return &tasks{j: j, conn: e.conn, flow: name, sub: sub, ask: "$JS.API.CONSUMER.MSG.NEXT.tasks." + token}, nil
}

// pullLife is how long the server keeps a request for a task.
const pullLife = 30 * time.Second

// tasks pulls one task at a time by requests of its own: one that lay in a client's
// buffer would count as being worked on, and the client's iterator now and then
// takes a request for pending that is not when it asks for single messages.
type tasks struct {
	j    *Journal
	conn *nats.Conn
	flow string
	sub  *nats.Subscription
	ask  string // the subject of requests

	asked time.Time // when the request that is pending was made; zero if none is
}

// Next implements [flow.Tasks]. A request outlives the call that made it: its task
// is for the next one.
func (q *tasks) Next(ctx context.Context) (flow.Task, error) {
	for {
		if err := q.request(); err != nil {
			return nil, q.j.fail(err, "ask for a task of flow %q", q.flow)
		}
		// Some time more than the server takes, so that its word comes first.
		wait, cancel := context.WithDeadline(ctx, q.asked.Add(pullLife+answerTime))
		m, err := q.sub.NextMsgWithContext(wait)
		cancel()
		switch {
		case err == nil && m.Header.Get("Status") == "":
			q.asked = time.Time{}
			return task{q.j, q.conn, m}, nil
		case err == nil, ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
			q.asked = time.Time{} // the request is over, or nobody knows what became of it
		case ctx.Err() != nil:
			return nil, fault.As(context.Cause(ctx), "wait for a task of flow %q", q.flow)
		default:
			return nil, q.j.fail(err, "wait for a task of flow %q", q.flow)
		}
		if err == nil && m.Header.Get("Status") == "409" {
			return nil, fault.New(fault.Unreachable, "wait for a task of flow %q: %s", q.flow, m.Header.Get("Description"))
		}
	}
}

// request asks the server for a task, unless a request is pending.
func (q *tasks) request() error {
	if !q.asked.IsZero() {
		return nil
	}
	q.asked = time.Now()
	return q.conn.PublishRequest(q.ask, q.sub.Subject, fmt.Appendf(nil, `{"batch":1,"expires":%d}`, pullLife.Nanoseconds()))
}

// Done implements [flow.Tasks]. The server takes one answer after the other, so that
// it has taken all when it confirms the last: new tasks may be queued at once, and
// there is room for one.
func (q *tasks) Done(ended ...flow.Task) error {
	for i, e := range ended {
		t, ok := e.(task)
		if !ok {
			return fault.New(fault.Internal, "end a task of another journal: %T", e)
		}
		if i < len(ended)-1 {
			if err := t.answer("+ACK"); err != nil {
				return err
			}
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), answerTime)
		defer cancel()
		if _, err := q.conn.RequestWithContext(ctx, t.m.Reply, []byte("+ACK")); err != nil {
			return q.j.fail(err, "end the task of %s", t.ID())
		}
	}
	return nil
}

// Close implements [flow.Tasks].
func (q *tasks) Close() error {
	if err := q.sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return q.j.fail(err, "close the queue of flow %q", q.flow)
	}
	return nil
}

type task struct {
	j    *Journal
	conn *nats.Conn
	m    *nats.Msg
}

func (t task) ID() string { return strings.TrimPrefix(t.m.Subject, taskPrefix) }

func (t task) InProgress() error { return t.answer("+WPI") }

func (t task) Later(after time.Duration) error {
	if after <= 0 {
		return t.answer("-NAK")
	}
	return t.answer(sprintf(`-NAK {"delay": %d}`, after.Nanoseconds()))
}

func (t task) answer(text string) error {
	if err := t.conn.Publish(t.m.Reply, []byte(text)); err != nil {
		return t.j.fail(err, "answer for the task of %s", t.ID())
	}
	return nil
}
