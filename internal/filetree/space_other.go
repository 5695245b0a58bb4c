//go:build !linux && !darwin && !freebsd && !windows

package filetree

import (
	"os"

	"sallyport.dev/internal/fault"
)

// freeBytes does not know.
func freeBytes(*os.File) (uint64, error) {
	return 0, fault.New(fault.Unsupported, "this system does not tell how much room there is")
}
