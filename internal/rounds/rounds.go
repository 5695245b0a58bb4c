// Package rounds lets one run of a costly thing serve all who ask for it at the
// same moment, such as a sync to disk.
package rounds

import "sync"

// Rounds runs a function for many callers. Its zero value is ready to use.
type Rounds struct {
	mu      sync.Mutex // guards the following
	running *round
	next    *round // joined by who comes while running runs
}

type round struct {
	done chan struct{}
	err  error
}

// Do returns what a run of f that began after the call has returned. Calls that
// come while f runs share the run that follows; there is one run at a time. Every
// call must bring the same f. There is no goroutine: callers run it for one
// another.
func (r *Rounds) Do(f func() error) error {
	r.mu.Lock()
	if r.running == nil {
		mine := &round{done: make(chan struct{})}
		r.running = mine
		r.mu.Unlock()
		return r.run(mine, f)
	}
	before, mine, lead := r.running, r.next, false
	if mine == nil {
		mine, lead = &round{done: make(chan struct{})}, true
		r.next = mine
	}
	r.mu.Unlock()
	if !lead {
		<-mine.done
		return mine.err
	}
	<-before.done // it may have begun before this call
	return r.run(mine, f)
}

func (r *Rounds) run(mine *round, f func() error) error {
	mine.err = f()
	r.mu.Lock()
	r.running, r.next = r.next, nil
	r.mu.Unlock()
	close(mine.done)
	return mine.err
}
