package ftpserver

import (
	"context"
	"crypto/x509"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"sallyport.dev/internal/secret"
)

// Tree is the files of an account. Names are virtual paths: absolute, separated
// by "/", cleaned. A Tree is used by many sessions at once. Its errors have a
// kind of package fault, which decides the reply, and a public text, which the
// client reads.
type Tree interface {
	// Stat describes name, following links.
	Stat(name string) (fs.FileInfo, error)
	// ReadDir opens the folder name to list it.
	ReadDir(name string) (Dir, error)
	// Open opens the regular file name for reading.
	Open(name string) (*os.File, error)
	// Create starts an upload that replaces name when it is committed.
	Create(name string) (Upload, error)
	// Resume starts an upload into the file name itself, from offset on; a
	// negative offset means its end. Past the end is refused as Invalid.
	Resume(name string, offset int64) (Upload, error)

	Mkdir(name string) error
	Rmdir(name string) error  // an empty folder, never a file
	Remove(name string) error // a file, never a folder
	Rename(oldname, newname string) error
	SetTime(name string, modified time.Time) error
	SetMode(name string, mode fs.FileMode) error // the permissions alone
	// Free returns how many bytes there is room for in the folder name.
	Free(name string) (uint64, error)
}

// Dir is a folder being listed.
type Dir = interface {
	// Next returns the next entries, in any order, and io.EOF after the last.
	// Links are described as links. What it returns is the caller's until the next
	// call.
	Next() ([]fs.FileInfo, error)
	Close() error
}

// Upload is a file being written. Either Commit or Abort ends it; what comes
// after the first of them does nothing.
type Upload = interface {
	// File takes the bytes. It stands where they belong and is a file of the
	// operating system, so that the kernel can fill it from a socket.
	File() *os.File
	// Commit closes the file and publishes it, or leaves nothing and says why.
	Commit() error
	// Abort closes the file and publishes nothing.
	Abort() error
}

// Login is one try to log in.
type Login struct {
	User     string
	Password secret.Text
	Peer     netip.AddrPort // the client's end of the control connection
	Local    netip.AddrPort // ours
	Host     string         // that the client named, in lower case; empty without
	TLS      bool           // the control connection is protected
	// Certificate is the client's, verified; nil if it showed none.
	Certificate *x509.Certificate
}

// Account is what a session may see once it has logged in.
type Account struct {
	Name string // as logs and session lists show it
	Tree Tree
	// Dir is the folder that the session starts in. Empty means the top.
	Dir string
	// ReadOnly refuses every command that changes something.
	ReadOnly bool
	// Release, if set, is called once when the session leaves the account.
	Release func()
}

// Authenticate says whether a login is good. An error of kind Unauthenticated is
// answered by the same words whatever its text; one of kind Denied or Busy shows
// its public text. It must not tell, by its duration either, whether the user
// exists. It is called with passwords only: every USER is asked for one.
type Authenticate func(ctx context.Context, login Login) (Account, error)

// Transfer is one file's way over a data connection, when it is over.
type Transfer struct {
	Session uint64
	Account string
	Peer    netip.AddrPort
	Verb    string // RETR, STOR or APPE
	Path    string // virtual
	Bytes   int64  // moved, counted on the data connection
	Took    time.Duration
	Err     error // nil: complete, and published if it was an upload
}
