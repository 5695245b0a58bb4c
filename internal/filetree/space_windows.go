package filetree

import (
	"os"

	"golang.org/x/sys/windows"
)

// freeBytes returns how many bytes this user may still write to the disk that the
// open folder d is on. Windows asks by path; should another folder stand there by
// now, the answer is about that one, and nothing else comes of it.
func freeBytes(d *os.File) (uint64, error) {
	path, err := windows.UTF16PtrFromString(d.Name())
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(path, &free, nil, nil)
	return free, err
}
