// Package lockfile keeps a second process out of a folder.
//
// The lock is the operating system's: it ends with the process that holds it,
// however that ends. The file stays behind and means nothing by itself.
package lockfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"

	"sallyport.dev/internal/fault"
)

// Lock is a held lock.
type Lock struct{ f *flock.Flock }

// Acquire takes the lock at path, making its folder (0700) if need be. A lock that
// another process holds is [fault.Busy]; the text names what is locked and, if
// it can be read, the holder's process id.
func Acquire(path, what string) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fault.As(err, "make folder for %s", what)
	}
	f := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	ok, err := f.TryLock()
	if err != nil {
		return nil, fault.As(err, "lock %s", what)
	}
	if !ok {
		holder := ""
		if b, err := os.ReadFile(path + ".pid"); err == nil && len(b) < 32 {
			if pid := strings.TrimSpace(string(b)); pid != "" {
				holder = " (process " + pid + ")"
			}
		}
		return nil, fault.New(fault.Busy, "%s is in use by another process%s", what, holder).
			WithHint("stop the other one, or give this one a folder of its own with --state DIR")
	}
	// The process id is for the message above alone. It has a file of its own
	// because Windows lets nobody write to a locked one.
	if err := os.WriteFile(path+".pid", fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600); err != nil {
		return nil, errors.Join(fault.As(err, "write lock file of %s", what), f.Unlock())
	}
	return &Lock{f}, nil
}

// Release gives the lock back.
func (l *Lock) Release() error { return l.f.Unlock() }
