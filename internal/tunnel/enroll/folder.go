package enroll

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"sallyport.dev/internal/fault"
)

// maxFile bounds every file of a state folder, in bytes.
const maxFile = 64 << 10

// tmpMark is in the names of files and folders that were not finished. Nothing
// but the sweep ever looks at them.
const tmpMark = ".tmp-"

// folder is a state folder. Files in it are replaced whole.
type folder struct {
	root *os.Root
	dir  string // for texts to the owner
}

func openFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.As(err, "make state folder")
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.As(err, "open state folder")
	}
	return &folder{root: root, dir: dir}, nil
}

func (f *folder) close() error { return f.root.Close() }

// read returns the file's bytes, at most maxFile.
func (f *folder) read(name string) ([]byte, error) {
	file, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fault.New(fault.Invalid, "state file %q is longer than %d bytes", name, maxFile)
	}
	return b, nil
}

// readKey is read for a file that holds a key: one that everybody on the
// machine may read is refused.
func (f *folder) readKey(name string) ([]byte, error) {
	fi, err := f.root.Stat(name)
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && fi.Mode().Perm()&0o007 != 0 {
		return nil, fault.New(fault.Denied, "key file %q is open to everybody (mode %04o)", f.path(name), fi.Mode().Perm()).
			WithHint("chmod 600 %s; if strangers could read it, join or set up anew", f.path(name))
	}
	return f.read(name)
}

// path spells a name as the owner finds it.
func (f *folder) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// readJSON reads a file that holds one JSON value of exactly v's shape.
func (f *folder) readJSON(name string, v any) error {
	b, err := f.read(name)
	if err != nil {
		return err
	}
	return decodeStrict(b, v)
}

// decodeStrict refuses unknown keys and anything after the value.
func decodeStrict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

func (f *folder) writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return f.write(name, append(b, '\n'))
}

// write makes the file hold exactly b, mode 0600. After a crash at any instant
// it holds the old bytes or the new ones.
func (f *folder) write(name string, b []byte) error {
	tmp := name + tmpMark + newID(connectorRaw)
	err := f.writeNew(tmp, b)
	if err == nil {
		err = f.root.Rename(tmp, name)
	}
	if err != nil {
		if rerr := f.root.Remove(tmp); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
		return err
	}
	return f.syncDir(path.Dir(name))
}

// writeNew makes the file, which must not exist, and brings it to the disk.
func (f *folder) writeNew(name string, b []byte) error {
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(b)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// publish makes the folder name with one file in it, unless the folder is there
// already; of several processes that try, one wins and the others see its file.
// It reports whether this one won.
//
// A folder is used because renaming one never replaces another that has
// something in it, on any system, and needs no hard links.
func (f *folder) publish(name, file string, b []byte) (bool, error) {
	tmp := name + tmpMark + newID(connectorRaw)
	if err := f.root.Mkdir(tmp, 0o700); err != nil {
		return false, err
	}
	err := f.writeNew(tmp+"/"+file, b)
	if err == nil {
		err = f.syncDir(tmp)
	}
	if err == nil {
		if err = f.root.Rename(tmp, name); err == nil {
			return true, f.syncDir(".")
		}
		if _, serr := f.root.Stat(name + "/" + file); serr == nil {
			err = nil // somebody else was first
		}
	}
	return false, errors.Join(err, f.root.RemoveAll(tmp))
}

// syncDir brings a folder's names to the disk. Windows has no such call: there
// the file system's own journal keeps renames in order.
func (f *folder) syncDir(name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := f.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// list returns the names in a subfolder that end in suffix, without it.
func (f *folder) list(sub, suffix string) ([]string, error) {
	d, err := f.root.Open(sub)
	if err != nil {
		return nil, err
	}
	all, err := d.Readdirnames(-1)
	if err = errors.Join(err, d.Close()); err != nil {
		return nil, err
	}
	var names []string
	for _, n := range all {
		if n, ok := strings.CutSuffix(n, suffix); ok {
			names = append(names, n)
		}
	}
	return names, nil
}

func (f *folder) exists(name string) (bool, error) {
	_, err := f.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
