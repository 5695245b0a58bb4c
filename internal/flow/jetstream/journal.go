package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
)

// record makes the write of a transfer's record. A revision of zero means that
// there must be none yet.
func record(t *flow.Transfer, rev uint64) (*write, error) {
	if err := checkID(t.ID); err != nil {
		return nil, err
	}
	b, err := json.Marshal(t)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "write down transfer %s", t.ID)
	}
	return &write{subject: recordPrefix + t.ID, data: b, expect: &rev}, nil
}

func taskOf(id string) *write {
	var none uint64 // no task may be there: a transfer has one
	return &write{subject: taskPrefix + id, expect: &none}
}

// Claim implements [flow.Journal]. The records come first: a crash before the tasks
// are queued leaves claims that the next start queues tasks for. A disk that has
// less room than it must keep is [fault.Full], and nothing is claimed.
func (j *Journal) Claim(ctx context.Context, ts []flow.Transfer) ([]flow.Claim, error) {
	if len(ts) == 0 {
		return nil, nil
	}
	if err := j.room.check(); err != nil {
		return nil, err
	}
	ws := make([]*write, len(ts))
	for i := range ts {
		var err error
		if ws[i], err = record(&ts[i], 0); err != nil {
			return nil, err
		}
	}
	if err := j.store(ctx, ws...); err != nil {
		return nil, err
	}
	out := make([]flow.Claim, len(ts))
	var tasks []string
	for i, w := range ws {
		var err error
		if out[i], err = j.claimed(ctx, &ts[i], w); err != nil {
			return nil, err
		}
		if out[i].New && ts[i].Open() {
			tasks = append(tasks, ts[i].ID)
		}
	}
	flow.Arrow("recorded", ts[0].ID)
	return out, j.queue(ctx, tasks)
}

// claimed says what came of one claim. A write that was refused met something under
// its subject: a record, or the marker of one that was forgotten.
func (j *Journal) claimed(ctx context.Context, t *flow.Transfer, w *write) (c flow.Claim, err error) {
	if isWrongSequence(w.err) {
		old, rev, err := j.read(ctx, t.ID)
		if err == nil {
			// It is known; or it was us, and the answer was lost.
			ours := old.Open() && old.Begun == t.Begun && !old.Running && old.Fails == 0 && old.Claimed.Equal(t.Claimed)
			return flow.Claim{New: ours, Transfer: old}, nil
		}
		if fault.KindOf(err) != fault.NotFound {
			return c, err
		}
		if w, err = record(t, rev); err != nil {
			return c, err
		}
		if err := j.store(ctx, w); err != nil {
			return c, err
		}
	}
	if w.err != nil {
		return c, j.fail(w.err, "claim %s", t.ID)
	}
	c = flow.Claim{New: true, Transfer: *t}
	c.Transfer.Rev = w.seq
	return c, nil
}

// read returns a record. If there is none, the revision is what a new one must
// expect: zero, or that of a marker.
func (j *Journal) read(ctx context.Context, id string) (t flow.Transfer, rev uint64, err error) {
	if err := checkID(id); err != nil {
		return t, 0, err
	}
	e, err := j.engine()
	if err != nil {
		return t, 0, err
	}
	m, err := e.records.GetLastMsgForSubject(ctx, recordPrefix+id)
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return t, 0, j.fail(err, "read transfer %s", id)
	}
	if err != nil || isMarker(m) {
		if m != nil {
			rev = m.Sequence
		}
		return t, rev, fault.New(fault.NotFound, "there is no transfer %q", id).WithHint("sallyport transfer list")
	}
	t, err = decode(m)
	return t, m.Sequence, err
}

func decode(m *jetstream.RawStreamMsg) (t flow.Transfer, err error) {
	if err := json.Unmarshal(m.Data, &t); err != nil {
		return t, fault.Wrap(fault.Internal, err, "read %q from the journal", m.Subject)
	}
	t.Rev = m.Sequence
	return t, nil
}

// isMarker reports whether a message says that a record is gone.
func isMarker(m *jetstream.RawStreamMsg) bool {
	return m.Header.Get("KV-Operation") != "" || m.Header.Get("Nats-Marker-Reason") != ""
}

// Get implements [flow.Journal].
func (j *Journal) Get(ctx context.Context, id string) (flow.Transfer, error) {
	t, _, err := j.read(ctx, id)
	return t, err
}

// Update implements [flow.Journal].
func (j *Journal) Update(ctx context.Context, t *flow.Transfer) error {
	return j.UpdateAll(ctx, []*flow.Transfer{t})[0]
}

// UpdateAll implements [flow.Journal].
func (j *Journal) UpdateAll(ctx context.Context, ts []*flow.Transfer) []error {
	errs := make([]error, len(ts))
	var ws []*write
	var index []int
	for i, t := range ts {
		if t.Rev == 0 {
			errs[i] = flow.Stale(t.ID)
			continue
		}
		w, err := record(t, t.Rev)
		if err != nil {
			errs[i] = err
			continue
		}
		ws, index = append(ws, w), append(index, i)
	}
	if len(ws) == 0 {
		return errs
	}
	err := j.store(ctx, ws...)
	for n, w := range ws {
		i := index[n]
		switch {
		case err != nil:
			errs[i] = err
		case isWrongSequence(w.err):
			errs[i] = flow.Stale(ts[i].ID)
		case w.err != nil:
			errs[i] = j.fail(w.err, "write down transfer %s", ts[i].ID)
		default:
			ts[i].Rev = w.seq
		}
	}
	return errs
}

// Queue implements [flow.Journal].
func (j *Journal) Queue(ctx context.Context, ids []string) error {
	var known []string
	for _, id := range ids {
		_, _, err := j.read(ctx, id)
		switch {
		case err == nil:
			known = append(known, id)
		case fault.KindOf(err) != fault.NotFound:
			return err
		}
	}
	return j.queue(ctx, known)
}

// queue puts tasks that are not there.
func (j *Journal) queue(ctx context.Context, ids []string) error {
	ws := make([]*write, 0, len(ids))
	for _, id := range ids {
		ws = append(ws, taskOf(id))
	}
	if err := j.send(ctx, ws...); err != nil {
		return err
	}
	for i, w := range ws {
		if w.err != nil && !isWrongSequence(w.err) { // wrong sequence: it is there
			return j.fail(w.err, "queue transfer %s", ids[i])
		}
	}
	return nil
}

// Bury implements [flow.Journal]. The record comes first, since it is what counts;
// of a dead letter that a crash kept from being published the record is left.
func (j *Journal) Bury(ctx context.Context, t *flow.Transfer) error {
	if err := j.Update(ctx, t); err != nil {
		return err
	}
	b, err := json.Marshal(t)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "write down dead letter %s", t.ID)
	}
	w := &write{subject: deadPrefix + t.ID, data: b}
	if err := j.send(ctx, w); err != nil {
		return err
	}
	if w.err != nil {
		return j.fail(w.err, "publish dead letter %s", t.ID)
	}
	return nil
}

// Revive implements [flow.Journal].
func (j *Journal) Revive(ctx context.Context, t *flow.Transfer) error {
	if err := j.Update(ctx, t); err != nil {
		return err
	}
	e, err := j.engine()
	if err != nil {
		return err
	}
	dead, err := e.js.Stream(ctx, "dead")
	if err == nil {
		err = dead.Purge(ctx, jetstream.WithPurgeSubject(deadPrefix+t.ID))
	}
	if err != nil {
		return j.fail(err, "take back dead letter %s", t.ID)
	}
	if !t.Open() {
		return nil
	}
	return j.queue(ctx, []string{t.ID})
}

// Forget implements [flow.Journal]. A record gives way to a marker that ends by
// itself, once what it said is safe in the past. The marker is not synced: a mark
// that comes back is only forgotten once more.
func (j *Journal) Forget(ctx context.Context, ids []string) error {
	var past, markers []*write
	for _, id := range ids {
		t, rev, err := j.read(ctx, id)
		if fault.KindOf(err) == fault.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		b, err := json.Marshal(&t)
		if err != nil {
			return fault.Wrap(fault.Internal, err, "write down transfer %s", id)
		}
		past = append(past, &write{subject: pastPrefix + id, data: b})
		markers = append(markers, &write{subject: recordPrefix + id, expect: &rev,
			header: nats.Header{"KV-Operation": {"PURGE"}, "Nats-Rollup": {"sub"}, "Nats-TTL": {markerLife.String()}}})
	}
	if len(markers) == 0 {
		return nil
	}
	e, err := j.engine()
	if err != nil {
		return err
	}
	if err := j.storeIn(ctx, e, e.pastSync, past); err != nil {
		return err
	}
	if err := j.send(ctx, markers...); err != nil {
		return err
	}
	for _, w := range append(past, markers...) {
		if w.err != nil && !isWrongSequence(w.err) { // wrong sequence: it has changed, and stays
			return j.fail(w.err, "forget %q", w.subject)
		}
	}
	return nil
}

// List implements [flow.Journal]. Pages go by revision.
func (j *Journal) List(ctx context.Context, q flow.Query) (flow.Page, error) {
	var p flow.Page
	var seq uint64
	if q.After != "" {
		n, err := strconv.ParseUint(q.After, 10, 63)
		if err != nil {
			return p, fault.Wrap(fault.Invalid, err, "read page %.40q", q.After).WithHint("pages are asked for with the page before's next")
		}
		seq = n
	}
	e, err := j.engine()
	if err != nil {
		return p, err
	}
	stream, prefix := e.records, recordPrefix
	if q.Past {
		stream, prefix = e.history, pastPrefix
	}
	subject := prefix + "*.*"
	if q.Flow != "" {
		subject = prefix + flow.Token(q.Flow) + ".*"
	}
	for {
		m, err := stream.GetMsg(ctx, seq+1, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return p, nil
		}
		if err != nil {
			return p, j.fail(err, "list transfers")
		}
		if isMarker(m) || !strings.HasPrefix(m.Subject, prefix) {
			seq = m.Sequence
			continue
		}
		t, err := decode(m)
		if err != nil {
			return p, err
		}
		wanted := q.Wants(&t)
		if wanted && !q.Past {
			if wanted, err = j.isNewest(ctx, &t); err != nil {
				return p, err
			}
		}
		if wanted {
			if len(p.Transfers) == q.PageSize() {
				p.Next = strconv.FormatUint(seq, 10)
				return p, nil
			}
			p.Transfers = append(p.Transfers, t)
		}
		seq = m.Sequence
	}
}

// isNewest reports whether a record is the last of its transfer: the one before it
// is in the stream too.
func (j *Journal) isNewest(ctx context.Context, t *flow.Transfer) (bool, error) {
	_, rev, err := j.read(ctx, t.ID)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return false, err
	}
	return rev == t.Rev, nil
}
