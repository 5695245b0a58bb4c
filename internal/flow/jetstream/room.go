package jetstream

import (
	"context"
	"time"

	"sallyport.dev/internal/fault"
)

// room is the free space of the journal's disk, and how much of it must be left.
type room struct {
	dir   string
	floor int64 // bytes; negative is none
}

// check refuses with [fault.Full] when there is less room than the floor. A disk
// that does not say counts as one that has room.
func (r room) check() error {
	free, err := freeSpace(r.dir)
	if err != nil || free >= r.floor {
		return nil //nolint:nilerr // writing tells
	}
	return fault.New(fault.Full, "the disk of %q has %d MiB left, less than the %d MiB that the journal keeps free", r.dir, free>>20, r.floor>>20).
		WithHint("make room there; files stay at their source meanwhile, and are taken up by themselves")
}

// reviveEvery is how often a journal whose store broke looks for room.
const reviveEvery = time.Second

// keep starts another engine when the one at work could not write its store, once
// there is room again.
func (j *Journal) keep() {
	for {
		e, err := j.engine()
		if err != nil {
			return
		}
		select {
		case <-j.ending:
			return
		case <-e.broken:
		}
		if !j.replace(e) {
			return
		}
	}
}

// replace closes a broken engine and starts another one as soon as that goes. It
// reports false when the journal is closed first.
func (j *Journal) replace(e *engine) bool {
	j.log.Error("the journal stands still", "error", e.cause, "dir", j.dir)
	down := fault.Wrap(fault.Full, e.cause, "use the journal in %q", j.dir).
		WithHint("make room on its disk, and see the log; it goes on by itself once there is room")
	j.mu.Lock()
	j.e, j.down = nil, down
	j.mu.Unlock()
	if err := e.close(); err != nil {
		j.log.Warn("close the journal's server", "error", err)
	}
	tick := time.NewTicker(reviveEvery)
	defer tick.Stop()
	for {
		select {
		case <-j.ending:
			return false
		case <-tick.C:
		}
		if err := j.room.check(); err != nil {
			j.log.Debug("the journal waits for room", "error", err)
			continue
		}
		fresh, err := startEngine(context.Background(), j.dir, j.log)
		if err != nil {
			j.log.Warn("start the journal again", "error", err)
			continue
		}
		j.mu.Lock()
		j.e, j.down = fresh, nil
		j.mu.Unlock()
		j.log.Info("the journal works again", "dir", j.dir)
		return true
	}
}
