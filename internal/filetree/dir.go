package filetree

import (
	"io/fs"
	"os"

	"sallyport.dev/internal/fault"
)

// dirBatch is how many entries one [Dir.Next] reads at most: enough for one
// getdents buffer, few enough that a folder of any size is read in constant memory.
const dirBatch = 256

// Dir is a folder being read.
type Dir = interface {
	// Next returns the next entries, in no order, and io.EOF when there are no
	// more. A symbolic link is described as a link. The slice is the caller's.
	Next() ([]fs.FileInfo, error)
	Close() error
}

type dir struct {
	f    *os.File
	name string
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

// Next reads one batch. It uses Readdir, which asks for each entry relative to
// the open folder; the entries of ReadDir would look it up by its path again.
func (d *dir) Next() ([]fs.FileInfo, error) {
	for {
		infos, err := d.f.Readdir(dirBatch)
		infos = withoutParts(infos)
		switch {
		case len(infos) > 0:
			return infos, nil // an error comes again with the next call
		case err != nil:
			return nil, explainEnd(err, d.name)
		}
	}
}

func (d *dir) Close() error { return d.f.Close() }

func withoutParts(infos []fs.FileInfo) []fs.FileInfo {
	kept := infos[:0]
	for _, info := range infos {
		if !IsPart(info.Name()) {
			kept = append(kept, info)
		}
	}
	return kept
}
