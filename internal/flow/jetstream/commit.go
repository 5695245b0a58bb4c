package jetstream

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"sallyport.dev/internal/fault"
)

const (
	// maxBatch bounds the writes that share a sync. The server takes 1,000.
	maxBatch = 500
	// minBatch is where a batch begins to be cheaper than its writes one by one:
	// the server stages a batch in files of its own first, which costs about as much
	// as 15 syncs.
	minBatch = 24
)

// write is one message to be stored.
type write struct {
	subject string
	data    []byte
	header  nats.Header
	expect  *uint64 // the newest revision of the subject; nil is any

	seq uint64 // once stored
	err error
}

// committer stores messages in one stream. Calls that come while another one is
// being synced are stored together, with one sync, by the first of them to get its
// turn. There is no goroutine: callers do the work for one another.
type committer struct {
	j *Journal

	mu      sync.Mutex // guards the following
	busy    bool       // somebody is storing
	waiting []*group
}

// group is what one caller wants stored.
type group struct {
	writes []*write
	turn   chan bool // true: it is your turn to store; false: yours is stored
}

// store stores writes and returns when each has its seq or its err. They are not
// one transaction: some may be stored and others not. What is being stored is not
// interrupted by the end of ctx.
func (c *committer) store(ctx context.Context, writes ...*write) error {
	if err := ctx.Err(); err != nil {
		return fault.As(err, "write the journal")
	}
	g := &group{writes: writes, turn: make(chan bool, 1)}
	c.mu.Lock()
	c.waiting = append(c.waiting, g)
	if c.busy {
		c.mu.Unlock()
		if lead := <-g.turn; !lead {
			return nil
		}
		c.mu.Lock()
	}
	c.busy = true
	round := c.take(g)
	c.mu.Unlock()

	c.commit(context.WithoutCancel(ctx), round)

	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range round {
		if o != g {
			o.turn <- false
		}
	}
	c.busy = len(c.waiting) > 0
	if c.busy {
		c.waiting[0].turn <- true
	}
	return nil
}

// take takes groups off the waiting ones, the caller's own among them.
func (c *committer) take(own *group) (round []*group) {
	n := 0
	for i, g := range c.waiting {
		if n += len(g.writes); n > maxBatch && i > 0 {
			break
		}
		round = append(round, g)
	}
	if round[0] != own { // own is first: it was the only one, or was given the turn as such
		panic("jetstream: a caller stores before its turn")
	}
	c.waiting = append([]*group(nil), c.waiting[len(round):]...)
	return round
}

// commit stores a round in batches. A subject comes once in a batch; what comes
// again is stored by itself afterwards, and so is everything of a batch that was
// refused: one wrong revision refuses all.
func (c *committer) commit(ctx context.Context, round []*group) {
	var batch, single []*write
	subjects := make(map[string]bool)
	flush := func() {
		if len(batch) < minBatch || !c.batch(ctx, batch) {
			single = append(single, batch...)
		}
		batch = nil
	}
	for _, g := range round {
		for _, w := range g.writes {
			if subjects[w.subject] {
				single = append(single, w)
				continue
			}
			subjects[w.subject] = true
			if batch = append(batch, w); len(batch) == maxBatch {
				flush()
			}
		}
	}
	flush()
	for _, w := range single {
		c.single(ctx, w)
	}
}

// single stores one message.
func (c *committer) single(ctx context.Context, w *write) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	ack, err := c.j.js.PublishMsg(ctx, w.msg(), w.opts()...)
	if err != nil {
		w.err = err
		return
	}
	w.seq = ack.Sequence
}

func (w *write) msg() *nats.Msg {
	return &nats.Msg{Subject: w.subject, Data: w.data, Header: w.header}
}

func (w *write) opts() []jetstream.PublishOpt {
	if w.expect == nil {
		return nil
	}
	return []jetstream.PublishOpt{jetstream.WithExpectLastSequencePerSubject(*w.expect)}
}

// send stores messages in streams that do not sync each, one sent behind the other
// without waiting in between. Each gets its seq or its err.
func (j *Journal) send(ctx context.Context, ws []*write) error {
	for some := range slices.Chunk(ws, maxSent) {
		if err := j.sendSome(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// maxSent bounds the messages that are sent and not answered, well below what the
// client holds.
const maxSent = 500

func (j *Journal) sendSome(ctx context.Context, ws []*write) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	futures := make([]jetstream.PubAckFuture, len(ws))
	for i, w := range ws {
		f, err := j.js.PublishMsgAsync(w.msg(), w.opts()...)
		if err != nil {
			return j.fail(err, "send %q", w.subject)
		}
		futures[i] = f
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

// batch stores messages by one atomic batch publish, and reports whether that
// went well. If it did not, nothing is stored, or it is not known (a lost answer);
// then the revision tells when the writes are tried one by one.
func (c *committer) batch(ctx context.Context, ws []*write) bool {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	id := nuid.Next()
	for i, w := range ws {
		m := nats.NewMsg(w.subject)
		m.Data = w.data
		for k, v := range w.header {
			m.Header[k] = v
		}
		m.Header.Set("Nats-Batch-Id", id)
		m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		if w.expect != nil {
			m.Header.Set("Nats-Expected-Last-Subject-Sequence", strconv.FormatUint(*w.expect, 10))
		}
		if i < len(ws)-1 {
			if err := c.j.conn.PublishMsg(m); err != nil {
				return false
			}
			continue
		}
		m.Header.Set("Nats-Batch-Commit", "1")
		answer, err := c.j.conn.RequestMsgWithContext(ctx, m)
		if err != nil {
			c.j.log.Debug("batch has no answer", "error", err)
			return false
		}
		return assign(answer.Data, ws)
	}
	return false
}

// assign reads the answer to a batch. Its messages are stored one after the other.
func assign(answer []byte, ws []*write) bool {
	var ack struct {
		Error *jetstream.APIError `json:"error"`
		Seq   uint64              `json:"seq"`
		Count int                 `json:"count"`
	}
	if err := json.Unmarshal(answer, &ack); err != nil || ack.Error != nil || ack.Count != len(ws) {
		return false
	}
	for i, w := range ws {
		w.seq = ack.Seq - uint64(len(ws)-1-i) //nolint:gosec // i < len(ws)
	}
	return true
}
