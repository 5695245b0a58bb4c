//go:build !linux

package ftpio

import (
	"os"

	"sallyport.dev/internal/flow"
)

// renameNew renames a file unless the new name is taken, which is fs.ErrExist.
func renameNew(root *os.Root, from, to flow.Path) error { return renameLinked(root, from, to) }
