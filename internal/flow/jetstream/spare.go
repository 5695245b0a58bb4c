package jetstream

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sallyport.dev/internal/fault"
)

// The server makes a block smaller by writing what is still needed into a new file
// and renaming that over the old one, without a sync. Should the machine end before
// the next round, a file system may know the name and not the content: then what
// was synced long ago is gone. So each block that was synced has a second name, a
// hard link in a folder of our own, until what has replaced it is synced as well.
// A start that finds the two to be different files takes the older one: it holds
// all that the newer one does, and messages that are dead and found to be.

// sparesOf returns the folder of the second names of a stream's blocks.
func sparesOf(dir, stream string) string { return filepath.Join(dir, "synced", stream) }

const spareTemp = ".new"

// indexName is what the server keeps beside blocks, to read them faster. Without it
// the blocks are read.
const indexName = "index.db"

// restoreBlocks puts blocks back that were replaced by files which may not have been
// synced. The server must not run. It reports how many it has put back.
func restoreBlocks(dir, stream string) (restored int, err error) {
	spares, blocks := sparesOf(dir, stream), blocksOf(dir, stream)
	entries, err := os.ReadDir(spares)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		spare, block := filepath.Join(spares, e.Name()), filepath.Join(blocks, e.Name())
		old, err := os.Lstat(spare)
		if err != nil {
			return restored, err
		}
		now, err := os.Lstat(block)
		switch {
		case !strings.HasSuffix(e.Name(), blockSuffix), errors.Is(err, fs.ErrNotExist):
			// A name that was being made, or a block without a message that is needed.
			if err := os.Remove(spare); err != nil {
				return restored, err
			}
			continue
		case err != nil:
			return restored, err
		case os.SameFile(old, now):
			continue
		}
		if err := restore(blocks, block, spare); err != nil {
			return restored, err
		}
		restored++
	}
	if restored == 0 {
		return 0, nil
	}
	return restored, syncDir(blocks)
}

// restore lets a block be its spare again. What the server remembers of the blocks
// would no longer be true.
func restore(blocks, block, spare string) error {
	temp := block + ".restored"
	if err := ignoreAbsent(os.Remove(temp)); err != nil {
		return err
	}
	if err := os.Link(spare, temp); err != nil {
		return err
	}
	if err := ignoreAbsent(os.Remove(filepath.Join(blocks, indexName))); err != nil {
		return err
	}
	return os.Rename(temp, block)
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// secure syncs a block under a second name that is not yet in force, and returns the
// file and what it was before. By then the block itself may have been replaced or
// removed: one that is gone is fs.ErrNotExist.
func (s *syncer) secure(name string) (*os.File, fs.FileInfo, error) {
	temp := filepath.Join(s.spares, name+spareTemp)
	if err := ignoreAbsent(os.Remove(temp)); err != nil {
		return nil, nil, err
	}
	if err := os.Link(filepath.Join(s.dir, name), temp); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		return nil, nil, fault.As(err, "give %q a second name", name).
			WithHint("the journal's folder must be on a file system with hard links")
	}
	f, err := os.OpenFile(temp, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// settle puts second names in force whose blocks are synced under both, and takes
// those away whose blocks are gone.
func (s *syncer) settle(fresh []string, now map[string]fs.FileInfo) error {
	for _, name := range fresh {
		spare := filepath.Join(s.spares, name)
		if err := os.Rename(spare+spareTemp, spare); err != nil {
			return err
		}
	}
	for name := range s.known {
		if now[name] != nil {
			continue
		}
		// A folder that changes while it is read may hide what is there.
		if _, err := os.Lstat(filepath.Join(s.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := ignoreAbsent(os.Remove(filepath.Join(s.spares, name))); err != nil {
			return err
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	return syncDir(s.spares)
}
