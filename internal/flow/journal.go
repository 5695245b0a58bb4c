package flow

import (
	"context"
	"errors"
	"time"

	"sallyport.dev/internal/fault"
)

// Heartbeat is how often a worker says that it is still at a task. A journal takes
// a task for abandoned after three times that in silence.
const Heartbeat = 10 * time.Second

// ErrStale is the cause of an update that came with an old revision: somebody else
// has the transfer now.
var ErrStale = errors.New("the transfer has been changed by somebody else")

// Stale returns the error of an update with an old revision.
func Stale(id string) error { return fault.Wrap(fault.Busy, ErrStale, "update transfer %s", id) }

// ErrClosed is the cause of every error of a journal that has been closed.
var ErrClosed = errors.New("the journal is closed")

// Journal is the durable memory of transfers. What a method has returned nil for
// survives the end of the process and of the machine. Its methods may be called
// from many goroutines; a journal is free to let one sync serve several calls.
type Journal interface {
	// Claim records transfers that the journal does not know, each put-if-absent
	// by its id, and queues a task for each new one that is open. Claims are answered in
	// order, one for each transfer.
	Claim(ctx context.Context, ts []Transfer) ([]Claim, error)
	// Get returns a transfer. One that is not known is [fault.NotFound].
	Get(ctx context.Context, id string) (Transfer, error)
	// Update writes a transfer down if t.Rev is still the newest revision, and sets
	// t.Rev to the new one. Else the error is [ErrStale].
	Update(ctx context.Context, t *Transfer) error
	// UpdateAll updates many transfers as Update does, each by itself, and returns an
	// error or nil for each, in order. One sync may serve them all.
	UpdateAll(ctx context.Context, ts []*Transfer) []error
	// Queue sees to it that each of these transfers has one task. A journal need not
	// keep tasks beyond its own end: who opens one queues what is open again.
	Queue(ctx context.Context, ids []string) error
	// Tasks opens the queue of a flow. One reader at a time; what an earlier reader
	// had out may be delivered again at once.
	Tasks(ctx context.Context, flow string) (Tasks, error)
	// Bury updates a transfer, as Update does, that has become a dead letter.
	Bury(ctx context.Context, t *Transfer) error
	// Revive updates a transfer, as Update does, that is no longer a dead letter,
	// and queues a task for it if it is open.
	Revive(ctx context.Context, t *Transfer) error
	// Forget lets the ids of finished transfers be claimed again. The transfers
	// move to the past, of which the journal keeps a bounded part. Ids it does not
	// know are passed over.
	Forget(ctx context.Context, ids []string) error
	// List returns transfers by page.
	List(ctx context.Context, q Query) (Page, error)
}

// Claim is the answer to one claim.
type Claim struct {
	New      bool     // the transfer was not known, and is recorded now
	Transfer Transfer // as the journal has it
}

// Tasks is a flow's queue of transfers to be carried on.
type Tasks interface {
	// Next waits for a task.
	Next(ctx context.Context) (Task, error)
	// Done ends tasks of this queue. When it returns nil their transfers may be
	// queued again.
	Done(tasks ...Task) error
	// Close gives the queue up. Tasks that are out may still be ended.
	Close() error
}

// Task is one transfer to be carried on. It is delivered again if it is not ended
// by [Tasks.Done], and not heartened by InProgress, within three times [Heartbeat].
type Task interface {
	// ID is the transfer's.
	ID() string
	// InProgress says that it is still being worked on.
	InProgress() error
	// Later has the task delivered again after a while.
	Later(after time.Duration) error
}

// Query chooses transfers.
type Query struct {
	Flow   string  // name; "" is every flow
	States []State // empty is every state
	Past   bool    // those that were forgotten, instead of those that are known
	After  string  // a page's Next; "" is the beginning
	Limit  int     // at most so many; zero means 100, at most [MaxPage]
}

// MaxPage bounds the transfers on one page.
const MaxPage = 1000

// PageSize returns the limit that applies.
func (q Query) PageSize() int {
	if q.Limit <= 0 {
		return 100
	}
	return min(q.Limit, MaxPage)
}

// Wants reports whether the query chooses t.
func (q Query) Wants(t *Transfer) bool {
	if q.Flow != "" && q.Flow != t.Flow {
		return false
	}
	for _, s := range q.States {
		if s == t.State {
			return true
		}
	}
	return len(q.States) == 0
}

// Page is a part of a listing. A transfer that changes while the pages are read may
// come twice; none that stays is left out.
type Page struct {
	Transfers []Transfer
	Next      string // ask for what follows with this; "" is the end
}
