package filetree

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"sallyport.dev/internal/fault"
)

// maxLinks is how many links one path may lead through, as in Linux.
const maxLinks = 40

// Real returns the virtual path of what name leads to, without links in it. The
// last element need not be there. It says what was so when it looked: whoever can
// move things in the tree can make it untrue.
func (t *Tree) Real(name string) (string, error) {
	if _, err := local(name); err != nil {
		return "", err
	}
	real, links := "/", 0
	for rest := name[1:]; rest != ""; {
		var step string
		step, rest, _ = strings.Cut(rest, "/")
		switch step {
		case "", ".":
			continue
		case "..": // of a link: what is before it has no links left in it
			if real == "/" {
				return "", outside(name)
			}
			real = path.Dir(real)
			continue
		}
		next := path.Join(real, step)
		target, err := t.link(next)
		switch {
		case errors.Is(err, fs.ErrNotExist) && rest == "":
			return next, nil
		case err != nil:
			return "", explain(err, name)
		case target == "":
			real = next
			continue
		}
		if links++; links > maxLinks || len(rest)+len(target) > maxPath {
			return "", fault.New(fault.Denied, "%q leads through too many links", name)
		}
		if path.IsAbs(target) || filepath.VolumeName(target) != "" {
			return "", outside(name)
		}
		rest = strings.TrimSuffix(target+"/"+rest, "/")
	}
	return real, nil
}

// link returns where the link name points to, with slashes; nothing if it is none.
func (t *Tree) link(name string) (string, error) {
	rel, err := local(name)
	if err != nil {
		return "", err
	}
	info, err := t.root.Lstat(rel)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return "", err
	}
	target, err := t.root.Readlink(rel)
	return filepath.ToSlash(target), err
}

func outside(name string) error {
	return fault.New(fault.Denied, "%q leads out of the folder that is served", name).
		WithHint("links are followed only within it, and an absolute link never")
}
