//go:build unix

package ftpio

import (
	"os"
	"syscall"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
)

// openFlags keep an open from waiting for the other end of a pipe.
const openFlags = syscall.O_NONBLOCK

func syncFolder(root *os.Root, dir string) error {
	d, err := root.Open(local(flow.Path(dir)))
	if err != nil {
		return fault.As(err, "sync folder %q", dir)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fault.As(err, "sync folder %q", dir)
	}
	return nil
}
