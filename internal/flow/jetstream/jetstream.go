// Package jetstream keeps the journal of flows in NATS JetStream.
//
// [Open] starts a JetStream server inside the process, without a port, over a
// folder that a lock file keeps to this process alone, and returns a [Journal],
// which is a flow.Journal. Every record is on disk before it is answered for; those
// that come at the same moment share a sync.
//
// What it keeps:
//
//	KV_transfers   $KV.transfers.<flow>.<key>   one record per transfer, put-if-absent and
//	                                            updated by revision; a bucket that
//	                                            key-value tools can read
//	tasks          task.<flow>.<key>            work queue in memory, at most one task per
//	                                            transfer, read by one pull consumer per flow
//	dead           dead.<flow>.<key>            dead letters, for who watches them
//	past           past.<flow>.<key>            finished transfers, the last 10,000
//
// File bodies never enter it. The package knows nothing of how transfers proceed,
// and is the only one that imports NATS.
package jetstream

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/lockfile"
)

// MinFree is how much room the disk of a journal must have, in bytes, before the
// journal takes on new transfers. What it has taken on it finishes in that room.
const MinFree = 256 << 20

// Options say where the journal is.
type Options struct {
	// Dir is the journal's folder. It is made if it is not there.
	Dir string
	// MinFree is used instead of the constant if it is not zero. Negative is none.
	MinFree int64
	Logger  *slog.Logger
}

const (
	startTime  = 30 * time.Second // for the server to be ready, a long journal to be read
	answerTime = 10 * time.Second // for one request: a sync on a busy disk
)

// Journal is a flow.Journal. Close it when every runner over it has ended.
type Journal struct {
	dir  string
	log  *slog.Logger
	lock *lockfile.Lock
	room room

	ending  chan struct{} // closed by Close
	keeping sync.WaitGroup

	mu     sync.Mutex // guards the following
	e      *engine    // nil while there is none that works
	down   error      // why
	closed bool
}

var _ flow.Journal = (*Journal)(nil)

// Open locks the folder, starts the server in it and sees to its streams. A folder
// that another process has is [fault.Busy].
func Open(ctx context.Context, o Options) (*Journal, error) {
	if o.Dir == "" {
		return nil, fault.New(fault.Invalid, "the journal has no folder")
	}
	j := &Journal{dir: o.Dir, log: o.Logger, room: room{dir: o.Dir, floor: o.MinFree}, ending: make(chan struct{})}
	if j.log == nil {
		j.log = slog.New(slog.DiscardHandler)
	}
	if j.room.floor == 0 {
		j.room.floor = MinFree
	}
	var err error
	if j.lock, err = lockfile.Acquire(filepath.Join(o.Dir, "lock"), "the journal in "+o.Dir); err != nil {
		return nil, err
	}
	if j.e, err = startEngine(ctx, o.Dir, j.log); err != nil {
		if full := j.room.check(); full != nil {
			err = errors.Join(full, err) // which is most likely why
		}
		return nil, errors.Join(err, j.lock.Release())
	}
	j.keeping.Go(j.keep)
	return j, nil
}

// Close ends the connection, stops the server, waits for it and gives the folder
// back. Calls that come later fail with flow.ErrClosed.
func (j *Journal) Close() error {
	j.mu.Lock()
	again := j.closed
	j.closed = true
	j.mu.Unlock()
	if again {
		return nil
	}
	close(j.ending)
	j.keeping.Wait()
	var errs []error
	if j.e != nil {
		errs = append(errs, j.e.close())
	}
	return errors.Join(append(errs, j.lock.Release())...)
}

// engine returns the server at work, or why there is none.
func (j *Journal) engine() (*engine, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return nil, fault.Wrap(fault.Unreachable, flow.ErrClosed, "use the journal")
	case j.e == nil:
		return nil, j.down
	}
	return j.e, nil
}

// fail gives an error of the journal the kind that package fault knows.
func (j *Journal) fail(err error, format string, args ...any) error {
	j.mu.Lock()
	closed := j.closed
	j.mu.Unlock()
	if closed {
		return fault.Wrap(fault.Unreachable, flow.ErrClosed, format, args...)
	}
	switch {
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return fault.Wrap(fault.TimedOut, err, format, args...)
	case errors.Is(err, nats.ErrConnectionClosed):
		return fault.Wrap(fault.Unreachable, err, format, args...)
	}
	return fault.As(err, format, args...)
}

// errWrongSequence is the server's code for: the expected revision is not the newest.
const errWrongSequence = 10071

func isWrongSequence(err error) bool {
	api := (*jetstream.APIError)(nil)
	return errors.As(err, &api) && api.ErrorCode == errWrongSequence
}
