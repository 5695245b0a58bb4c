//go:build !linux || (!amd64 && !arm64)

package filetree

import (
	"io/fs"
	"os"
)

// dir is a folder being read.
type dir struct {
	f    *os.File
	name string
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
