package filetree

import (
	"io/fs"
	"os"

	"sallyport.dev/internal/fault"
)

// dirBatch is how many entries one [Dir.Next] returns at most: few enough that a
// folder of any size is read in constant memory.
const dirBatch = 256

// Dir is a folder being read.
type Dir = interface {
	// Next returns the next entries, in no order, and io.EOF when there are no
	// more. A symbolic link is described as a link. What it returns is the caller's
	// until the next call.
	Next() ([]fs.FileInfo, error)
	Close() error
}

// ReadDir opens the folder name to read its entries. The caller closes it.
func (t *Tree) ReadDir(name string) (Dir, error) {
	rel, err := local(name)
	if err != nil {
		return nil, err
	}
	f, err := t.root.OpenFile(rel, os.O_RDONLY|nonblock|directory, 0)
	if err != nil {
		return nil, explain(err, name)
	}
	info, err := f.Stat()
	if err == nil && !info.IsDir() {
		err = fault.New(fault.Denied, "%q is not a folder", name)
	}
	if err != nil {
		_ = f.Close() // nothing was written through it
		return nil, explain(err, name)
	}
	return &dir{f: f, name: name}, nil
}
