package filetree

import (
	"os"
	"path/filepath"
	"syscall"

	"sallyport.dev/internal/fault"
)

const (
	nonblock  = 0 // a regular file never waits here, and os.Root opens no device
	directory = 0
	keepsMode = false
)

// localize returns rel in this system's spelling, if it means here what it says.
func localize(rel string) (string, error) {
	if err := windowsName(rel); err != nil {
		return "", err
	}
	name, err := filepath.Localize(rel)
	if err != nil {
		return "", fault.New(fault.Invalid, "%q is no name that Windows can hold", "/"+rel)
	}
	return name, nil
}

// syncFolder does nothing: NTFS writes a rename to its log by itself, and a
// folder cannot be flushed without rights that a service should not have.
func syncFolder(*os.Root) error { return nil }

// Numbers of winerror.h that package syscall does not name.
const (
	errorSharingViolation syscall.Errno = 32
	errorHandleDiskFull   syscall.Errno = 39
	errorDiskFull         syscall.Errno = 112
	errorInvalidName      syscall.Errno = 123
	errorDirNotEmpty      syscall.Errno = 145
	errorDirectory        syscall.Errno = 267
	errorDiskQuota        syscall.Errno = 1295
)

var errnos = map[syscall.Errno]meaning{
	syscall.ENOTDIR:       {fault.NotFound, "is not there: a file stands where a folder should"},
	syscall.EISDIR:        {fault.Denied, "is a folder, not a file"},
	syscall.ELOOP:         {fault.Denied, "is a link that leads nowhere"},
	errorSharingViolation: {fault.Busy, "is in use"},
	errorHandleDiskFull:   {fault.Full, "does not fit on the disk"},
	errorDiskFull:         {fault.Full, "does not fit on the disk"},
	errorInvalidName:      {fault.Invalid, "is no name that Windows can hold"},
	errorDirNotEmpty:      {fault.Denied, "is not empty (uploads under way count)"},
	errorDirectory:        {fault.NotFound, "is not there: a file stands where a folder should"},
	errorDiskQuota:        {fault.Full, "does not fit into the quota"},
}
