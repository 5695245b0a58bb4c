package mirror

import (
	"context"
	"io"
	"iter"
	"path"
	"strings"
	"time"

	"sallyport.dev/internal/fault"
)

// Kind is what an [Entry] is.
type Kind uint8

// The kinds of entries.
const (
	File Kind = iota
	Folder
	Link  // symbolic; [Store.Stat] says what it leads to
	Other // device, socket, pipe, unknown
)

var kinds = [...]string{"file", "folder", "link", "other"}

// String returns "file", "folder", "link" or "other".
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return "unknown"
}

// Entry is one name in a folder.
type Entry struct {
	Name string // the store's bytes, not checked
	Kind Kind
	Size int64     // bytes; -1 unknown
	Time time.Time // of the last change; zero unknown
	// Precision is how exact Time is: it may be earlier than the truth by less than
	// that.
	Precision time.Duration
}

// Store is a folder that files are read from or written to. Names are paths below
// it, separated by "/"; "" is the folder itself. A Store is safe for use by several
// goroutines at once.
type Store interface {
	// String names the store, for people.
	String() string
	// List gives the entries of a folder as they come. A listing that is not whole
	// ends with an error.
	List(ctx context.Context, dir string) iter.Seq2[Entry, error]
	// Stat says what is at name, following a link where it leads to something within
	// the store. The fault of a name that is not there is of kind NotFound.
	Stat(ctx context.Context, name string) (Entry, error)
	// Open reads the file from offset on. io.EOF means that it is whole as far as the
	// store can tell.
	Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error)
	// Create writes the file from offset on; at 0 it is made anew.
	Create(ctx context.Context, name string, offset int64) (Writer, error)
	// Rename puts the file from in the place of to.
	Rename(ctx context.Context, from, to string) error
	// Remove removes a file or link, RemoveFolder an empty folder.
	Remove(ctx context.Context, name string) error
	RemoveFolder(ctx context.Context, name string) error
	// MakeFolder makes a folder, and those above it within the store, if it is not
	// there.
	MakeFolder(ctx context.Context, name string) error
	// SetTime sets the time of the last change, as exactly as the store can.
	SetTime(ctx context.Context, name string, t time.Time) error
	// Habits say what the store can do.
	Habits(ctx context.Context) (Habits, error)
	// Hold reports why the store cannot hold a file of that plain name.
	Hold(name string) error
}

// Habits are what a store can do.
type Habits struct {
	KeepsTimes bool // SetTime works
	Folds      bool // names that differ only in upper and lower case are one
}

// Writer is a file being written. One of Commit and Abort must be called.
type Writer interface {
	io.Writer
	// Commit ends the file. Only when it returns nil has the store said that it has
	// all of it.
	Commit() error
	// Abort gives up. What was written may stay, for a later run.
	Abort() error
}

// join joins a path below a store with a plain name.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// dirOf returns the folder that holds name.
func dirOf(name string) string {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i]
	}
	return ""
}

// base returns the last element of name.
func base(name string) string { return path.Base(name) }

func notThere(err error) bool { return fault.KindOf(err) == fault.NotFound }
