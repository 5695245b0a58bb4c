package flow

import (
	"context"
	"io"
	"iter"
)

// Source is where a flow's files come from. Its methods may be called from many
// goroutines. Errors are of a kind that package fault knows.
type Source interface {
	// Properties says what the source is and can do. It does not block.
	Properties() SourceProperties
	// List yields the files that match, each once, in no order. A listing that
	// breaks off yields an error last: it is never a shorter listing.
	List(ctx context.Context) iter.Seq2[File, error]
	// Open reads a file from its first byte. The reader gives io.EOF only when the
	// whole file has been read, as far as the source can tell at that moment; Close
	// after that says whether it was. Close before the end gives the file up.
	// A file that is not there is [fault.NotFound].
	Open(ctx context.Context, f File) (io.ReadCloser, error)
	// Unchanged reports whether the file is still as it was listed.
	// A file that is not there is [fault.NotFound].
	Unchanged(ctx context.Context, f File) (bool, error)
	// Delete deletes the file. One that is not there is [fault.NotFound].
	Delete(ctx context.Context, f File) error
	// Move renames the file, making folders as needed. It replaces nothing: a
	// taken name is [fault.Exists]. A file that is not there is [fault.NotFound].
	Move(ctx context.Context, f File, to Path) error
}

// SourceProperties is what is particular about a source.
type SourceProperties struct {
	// Identity names the place the files come from, without secrets and without
	// what may change while the place stays the same. It is part of what a file is
	// claimed under.
	Identity string
}

// Sink is where files go. Its methods may be called from many goroutines. Errors
// are of a kind that package fault knows.
type Sink interface {
	// Properties says what the sink is and can do. It does not block.
	Properties() SinkProperties
	// Write writes body under a temporary name, making folders as needed, and
	// returns when the sink has the whole of it, as durable as the sink can make
	// it. An error from body ends the write with that error, and what was written
	// does not look whole.
	Write(ctx context.Context, temp Path, body io.Reader) (Written, error)
	// Publish gives the file its final name. Unless replace is set, a taken name is
	// [fault.Exists]. When it returns nil the new name is as durable as the sink
	// can make it. Publishing a file that has the final name beside the temporary
	// one, because an earlier Publish was cut short, completes it.
	Publish(ctx context.Context, temp, final Path, replace bool) error
	// Look says what is under a name. A name that is not taken is no error.
	// With hash set it also reads what is there, if it can.
	Look(ctx context.Context, name Path, hash bool) (Look, error)
	// Discard removes a temporary file. One that is not there is no error.
	Discard(ctx context.Context, temp Path) error
}

// SinkProperties is what is particular about a sink.
type SinkProperties struct {
	// Identity names the place the files go to, without secrets.
	Identity string
	// Blind is set for a sink that cannot say what it holds. After a crash a file
	// may arrive there twice.
	Blind bool
}

// Written is what a sink has taken.
type Written struct {
	Size int64  // bytes, as the sink itself counts them; -1 if it cannot
	Hash []byte // SHA-256 as the sink itself has computed it; nil if it has not
}

// Look is what a sink holds under a name.
type Look struct {
	There bool
	Size  int64  // bytes; -1 if the sink does not say
	Hash  []byte // SHA-256; nil if it was not asked for or cannot be had
}
