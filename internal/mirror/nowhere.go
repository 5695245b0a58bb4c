package mirror

import (
	"context"
	"io"
	"iter"
	"time"

	"sallyport.dev/internal/fault"
)

// Nowhere is a folder on this machine that a dry run would make, by its name.
type Nowhere string

func (n Nowhere) none() error {
	return fault.New(fault.NotFound, "there is no folder %q", string(n))
}

// String implements [Store], and so do the others; nothing is there.
func (n Nowhere) String() string { return string(n) }

// List implements [Store].
func (n Nowhere) List(context.Context, string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) { yield(Entry{}, n.none()) }
}

// Stat implements [Store].
func (n Nowhere) Stat(context.Context, string) (Entry, error) { return Entry{}, n.none() }

// Open implements [Store].
func (n Nowhere) Open(context.Context, string, int64) (io.ReadCloser, error) { return nil, n.none() }

// Create implements [Store].
func (n Nowhere) Create(context.Context, string, int64) (Writer, error) { return nil, n.none() }

// Rename implements [Store].
func (n Nowhere) Rename(context.Context, string, string) error { return n.none() }

// Remove implements [Store].
func (n Nowhere) Remove(context.Context, string) error { return n.none() }

// RemoveFolder implements [Store].
func (n Nowhere) RemoveFolder(context.Context, string) error { return n.none() }

// MakeFolder implements [Store].
func (n Nowhere) MakeFolder(context.Context, string) error { return n.none() }

// SetTime implements [Store].
func (n Nowhere) SetTime(context.Context, string, time.Time) error { return n.none() }

// Habits implements [Store].
func (n Nowhere) Habits(context.Context) (Habits, error) { return Habits{KeepsTimes: true}, nil }

// Hold implements [Store].
func (n Nowhere) Hold(name string) error { return holdLocal(name) }
