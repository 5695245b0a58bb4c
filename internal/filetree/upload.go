package filetree

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"sallyport.dev/internal/fault"
)

// Upload is a file being written. Either Commit or Abort ends it; what comes
// after the first of them does nothing.
type Upload = interface {
	// File is where the bytes go, positioned where they belong.
	File() *os.File
	// Commit closes the file and publishes it. After an error nothing is
	// published and nothing is left behind.
	Commit() error
	// Abort closes the file and takes it away, unless the policy keeps parts. Bytes
	// already added to a file that was there before stay in it.
	Abort() error
}

const (
	partPrefix = ".sallyport-"
	partSuffix = ".part"
	partRandom = 16 // hexadecimal digits between them
)

// IsPart reports whether base, the last element of a path, is the hidden name of
// an upload that is not whole: ".sallyport-<16 hexadecimal digits>.part", in
// either case, since some disks do not tell them apart. One found while no server
// runs was left behind by a crash.
func IsPart(base string) bool {
	if len(base) != len(partPrefix)+partRandom+len(partSuffix) {
		return false // most names, quickly
	}
	mid, ok := strings.CutPrefix(strings.ToLower(base), partPrefix)
	if !ok {
		return false
	}
	mid, ok = strings.CutSuffix(mid, partSuffix)
	if !ok || len(mid) != partRandom {
		return false
	}
	_, err := hex.DecodeString(mid)
	return err == nil
}

func partName() string {
	var b [partRandom / 2]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	return partPrefix + hex.EncodeToString(b[:]) + partSuffix
}

// Create starts an upload that Commit publishes as name, in the place of a file
// that may be there, whose permissions it takes over. Until then no other process
// that minds [Tree.Sweep]'s locks takes it for a stale one.
func (t *Tree) Create(name string) (Upload, error) {
	rel, err := inner(name)
	if err != nil {
		return nil, err
	}
	folder, base, err := t.parent(name, rel)
	if err != nil {
		return nil, err
	}
	u := &replacing{tree: t, folder: folder, name: name, base: base, part: partName()}
	if err := u.open(); err != nil {
		return nil, errors.Join(err, u.closeFolder())
	}
	return u, nil
}

// parent opens the folder that holds rel. Part and final name are both looked up
// in that one open folder, so that nothing moved meanwhile comes between them.
func (t *Tree) parent(name, rel string) (*os.Root, string, error) {
	i := strings.LastIndexByte(rel, os.PathSeparator)
	if i < 0 {
		return t.root, rel, nil
	}
	folder, err := t.root.OpenRoot(rel[:i])
	if err != nil {
		return nil, "", explain(err, path.Dir(name))
	}
	return folder, rel[i+1:], nil
}

// replacing is an upload under a hidden name.
type replacing struct {
	tree   *Tree
	folder *os.Root
	f      *os.File
	name   string // virtual, final
	base   string // final, in folder
	part   string // hidden, in folder
	ended  bool
}

func (u *replacing) open() error {
	if err := u.tree.replaceable(u.folder, u.base, u.name); err != nil {
		return err
	}
	mode := u.tree.FileMode.Perm()
	switch info, err := u.folder.Lstat(u.base); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return explain(err, u.name)
	case info.Mode().IsRegular():
		mode = info.Mode().Perm()
	case info.Mode()&fs.ModeSymlink == 0:
		return notRegular(info, u.name)
	}
	// Nobody who may not read the file in the end may open it now.
	made := mode
	if mode == 0 {
		made = 0o666
	}
	// Nonblock changes nothing for a regular file, but that package os does not try it.
	f, err := u.folder.OpenFile(u.part, os.O_WRONLY|os.O_CREATE|os.O_EXCL|nonblock, made)
	if err != nil {
		return explain(err, u.name)
	}
	u.f = f
	if err := u.dress(mode); err != nil {
		return errors.Join(explain(err, u.name), u.discard())
	}
	return nil
}

// dress gives the part the permissions and the owner that the file is to have.
func (u *replacing) dress(mode fs.FileMode) error {
	_, _ = lock(u.f) // where nothing can be locked, the part's age keeps it from being swept
	if mode != 0 && keepsMode {
		if err := u.f.Chmod(mode); err != nil {
			return err
		}
	}
	if o := u.tree.Owner; o != nil {
		return u.f.Chown(o.UID, o.GID)
	}
	return nil
}

func (u *replacing) File() *os.File { return u.f }

func (u *replacing) Commit() error {
	if u.ended {
		return nil
	}
	u.ended = true
	if err := u.publish(); err != nil {
		// The file may be closed already, and the part gone: what counts is that
		// nothing stays behind.
		_ = u.discard()
		if u.tree.KeepExisting && errors.Is(err, fs.ErrExist) {
			err = errExists(u.name) // since the upload began
		}
		return errors.Join(explain(err, u.name), u.closeFolder())
	}
	return u.closeFolder()
}

func (u *replacing) publish() error {
	if u.tree.Sync {
		if err := u.f.Sync(); err != nil {
			return err
		}
	}
	if err := u.f.Close(); err != nil { // a full or remote disk may say so only now
		return err
	}
	if err := rename(u.folder, u.part, u.base, u.tree.KeepExisting); err != nil {
		return err
	}
	if u.tree.Sync {
		return syncFolder(u.folder)
	}
	return nil
}

func (u *replacing) Abort() error {
	if u.ended {
		return nil
	}
	if u.tree.KeepParts && u.begun() {
		return u.Commit()
	}
	u.ended = true
	err := u.discard()
	if err != nil {
		err = explain(err, u.name)
	}
	return errors.Join(err, u.closeFolder())
}

// begun reports whether anything came. What did not begin takes no file's place.
func (u *replacing) begun() bool {
	info, err := u.f.Stat()
	return err == nil && info.Size() > 0
}

// discard closes the file and removes the part.
func (u *replacing) discard() error {
	err := u.f.Close()
	if rerr := u.folder.Remove(u.part); !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

func (u *replacing) closeFolder() error {
	if u.folder == u.tree.root {
		return nil
	}
	return u.folder.Close()
}

// Resume opens the file name to write from offset on, in bytes: what was there
// before stays, and Abort does not take it away. A negative offset means the end
// of the file; one that is not there yet is an upload as of [Tree.Create]. An
// offset past the end is refused, since it would leave a hole.
func (t *Tree) Resume(name string, offset int64) (Upload, error) {
	rel, err := inner(name)
	if err != nil {
		return nil, err
	}
	// No O_APPEND: with it the kernel refuses to splice.
	f, err := t.root.OpenFile(rel, os.O_WRONLY|nonblock, 0)
	if offset <= 0 && errors.Is(err, fs.ErrNotExist) {
		return t.Create(name)
	}
	if err != nil {
		return nil, explain(err, name)
	}
	info, err := regular(f, name)
	if err != nil {
		return nil, err
	}
	if t.KeepExisting {
		_ = f.Close() // nothing was written through it
		return nil, errExists(name)
	}
	whence := io.SeekStart
	switch {
	case offset < 0:
		offset, whence = 0, io.SeekEnd
	case offset > info.Size():
		_ = f.Close() // nothing was written through it
		return nil, fault.New(fault.Invalid, "%q ends before byte %d", name, offset).
			WithHint("it has %d bytes", info.Size())
	}
	if _, err := f.Seek(offset, whence); err != nil {
		_ = f.Close() // as above
		return nil, explain(err, name)
	}
	return &inPlace{f: f, name: name, sync: t.Sync}, nil
}

// inPlace is an upload into a file that is visible all the while.
type inPlace struct {
	f     *os.File
	name  string
	sync  bool
	ended bool
}

func (u *inPlace) File() *os.File { return u.f }

func (u *inPlace) Commit() error {
	if u.ended {
		return nil
	}
	u.ended = true
	var err error
	if u.sync {
		err = u.f.Sync()
	}
	if err = errors.Join(err, u.f.Close()); err != nil {
		return explain(err, u.name)
	}
	return nil
}

func (u *inPlace) Abort() error {
	if u.ended {
		return nil
	}
	u.ended = true
	if err := u.f.Close(); err != nil {
		return explain(err, u.name)
	}
	return nil
}
