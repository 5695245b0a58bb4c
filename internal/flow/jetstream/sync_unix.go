//go:build unix

package jetstream

import (
	"errors"
	"os"
)

// syncDir syncs a folder, so that the names in it survive.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
