// Package flow carries files from sources to sinks: nothing lost, nothing twice.
//
// A [Flow] says where files come from, when one is ready, where it goes and what
// becomes of it at the source. A [Runner] runs flows over a [Journal], the durable
// memory of what has happened to each file. Files move through a [Source] and one
// or more [Sink] values, which speak of files and never of protocols; nothing here
// knows where a protocol's client runs.
//
// One file's travel is a [Transfer]:
//
//	poll ── list, filter, ready ──► claimed (put-if-absent) ──► task
//	worker ─ open source ─ steps ─ temporary name ─ verify ──► intent ── rename
//	       ──► delivered (the commit point) ── source still as claimed? ── after ──► done
//	failure ── wait, longer each time ── again ── after the last attempt ──► failed
//
// Each arrow with a state is one durable write, by revision. Whatever moment the
// process ends at, the next one reads the state and goes on from there; see
// resume.go for how an unknown rename is settled.
//
// The package moves no byte through the journal and opens neither files nor
// connections; adapters in packages beside it do. Intervals are measured by the
// process's monotonic clock, so a clock that is set does no harm; moments that are
// written down or put into names come from [Runner.Now].
package flow

import (
	"context"
	"io"
	"time"

	"sallyport.dev/internal/expr"
	"sallyport.dev/internal/fault"
)

// Flow is one way for files. Only Name, Source and Sinks are required.
type Flow struct {
	// Name is the flow's name in documents, logs and the journal. Files claimed
	// under one name are not claimed again under it, whatever else changes.
	Name   string
	Source Source
	// Filter lets files through for which it is true. Nil lets all through.
	Filter *expr.Filter
	Ready  Ready
	// Steps change the bytes on their way, in order.
	Steps []Step
	// Sinks all get each file.
	Sinks []Delivery
	After After
	// Every is the time from one poll to the next. Zero means 30 s.
	Every time.Duration
	// Concurrency is how many files move at once. Zero means 4.
	Concurrency int
	Retry       Retry
}

// Delivery is a sink and how files arrive there.
type Delivery struct {
	Sink Sink
	// Name is the final name. Nil means the file's own path.
	Name *expr.Template
	// Existing is what to do when the final name is taken. Zero is [Fail].
	Existing Existing
}

// Existing is a policy for a final name that is taken.
type Existing uint8

// The policies.
const (
	Fail    Existing = iota // the transfer fails; the file there stays
	Replace                 // the file there is replaced
	Ignore                  // the file there stays, and counts as delivered
)

// String returns the policy as documents spell it.
func (e Existing) String() string { return name(int(e), "fail", "replace", "ignore") }

// ParseExisting returns the policy that documents spell as s.
func ParseExisting(s string) (Existing, error) {
	return parse[Existing](s, "what to do with an existing file", "fail", "replace", "ignore")
}

// Action is what becomes of a delivered file at its source.
type Action uint8

// The actions.
const (
	Keep   Action = iota // it stays, and a mark in the journal keeps it from travelling again
	Delete               // it is deleted
	Move                 // it is moved to another name
)

// String returns the action as documents spell it.
func (a Action) String() string { return name(int(a), "keep", "delete", "move") }

// ParseAction returns the action that documents spell as s.
func ParseAction(s string) (Action, error) {
	return parse[Action](s, "what to do with a delivered file", "keep", "delete", "move")
}

// After is what becomes of a file at the source once it is delivered.
type After struct {
	Do Action
	To *expr.Template // where to, for Move; relative to the source's directory
}

// When is a rule that tells a finished file from one still being written.
type When uint8

// The rules.
const (
	Unchanged When = iota // two looks, [Ready.For] apart, saw the same size and time
	Always                // at first sight
)

// String returns the rule as documents spell it.
func (w When) String() string { return name(int(w), "unchanged", "always") }

// ParseWhen returns the rule that documents spell as s.
func ParseWhen(s string) (When, error) {
	return parse[When](s, "when a file is ready", "unchanged", "always")
}

// Ready says when a file may be taken.
type Ready struct {
	When When
	// For is the time between the two looks of Unchanged. Zero means 5 s.
	For time.Duration
	// MinAge is how long a file must have been in sight, by our own clock, and not
	// have changed.
	MinAge time.Duration
}

// wait is how long a file must have stayed as it is.
func (r Ready) wait() time.Duration {
	if r.When == Always {
		return r.MinAge
	}
	if r.For == 0 {
		r.For = 5 * time.Second
	}
	return max(r.For, r.MinAge)
}

// Step changes a file's bytes as they pass. It must not hold the whole of them.
type Step func(ctx context.Context, f File, body io.Reader) (io.Reader, error)

func (f *Flow) every() time.Duration {
	if f.Every == 0 {
		return 30 * time.Second
	}
	return f.Every
}

func (f *Flow) concurrency() int {
	if f.Concurrency == 0 {
		return 4
	}
	return f.Concurrency
}

// check refuses a flow that could not run.
func (f *Flow) check() error {
	bad := func(what, hint string) error {
		return fault.New(fault.Invalid, "flow %q %s", f.Name, what).WithHint("%s", hint)
	}
	switch {
	case f.Name == "" || len(f.Name) > 64:
		return bad("needs a name", "give it one of at most 64 bytes")
	case f.Source == nil:
		return bad("has no source", "add source:")
	case len(f.Sinks) == 0:
		return bad("has no sinks", "add at least one entry to sinks:")
	case f.Every < 0 || f.Concurrency < 0 || f.Retry.Attempts < 0 || f.Ready.For < 0 || f.Ready.MinAge < 0:
		return bad("has a negative number", "leave it out for the default")
	case f.After.Do == Move && f.After.To == nil:
		return bad("moves files nowhere", "name the target: after: {move: \"archive/${file.name}\"}")
	}
	for _, d := range f.Sinks {
		if d.Sink == nil {
			return bad("has an empty sink", "give each entry of sinks: a kind, such as local:")
		}
	}
	return nil
}

func name(n int, names ...string) string {
	if n >= 0 && n < len(names) {
		return names[n]
	}
	return "unknown"
}

func parse[T ~uint8](s, what string, names ...string) (T, error) {
	for i, n := range names {
		if s == n {
			return T(i), nil
		}
	}
	return 0, fault.New(fault.Invalid, "%q does not say %s", s, what).WithHint("write one of %q", names)
}
