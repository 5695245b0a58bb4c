//go:build linux && (amd64 || arm64)

package filetree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// A folder may have a million entries, so what is done for each of them counts: they
// are read and described by two system calls, and in memory that is used again for
// the next ones.

// dir is a folder being read.
type dir struct {
	f    *os.File
	name string
	*dirMemory
}

// dirMemory is what reading a folder takes.
type dirMemory struct {
	buf     [32 << 10]byte // of getdents64(2)
	rest    []byte         // what of it is not read yet
	stat    syscall.Stat_t
	entries [dirBatch]entry
	infos   [dirBatch]fs.FileInfo // the entries
}

var dirMemories = sync.Pool{New: func() any {
	m := &dirMemory{}
	for i := range m.entries {
		m.infos[i] = &m.entries[i]
	}
	return m
}}

// Next reads one batch.
func (d *dir) Next() ([]fs.FileInfo, error) {
	if d.dirMemory == nil {
		d.dirMemory, _ = dirMemories.Get().(*dirMemory)
	}
	raw, err := d.f.SyscallConn()
	if err != nil {
		return nil, explain(err, d.name)
	}
	n := 0
	var failed error
	if err := raw.Control(func(fd uintptr) { n, failed = d.next(int(fd)) }); err != nil {
		return nil, explain(err, d.name)
	}
	if n > 0 {
		return d.infos[:n], nil // an error comes again with the next call
	}
	return nil, explainEnd(failed, d.name)
}

// Close closes the folder and gives its memory back.
func (d *dir) Close() error {
	if m := d.dirMemory; m != nil {
		d.dirMemory, m.rest = nil, nil
		for i := range m.entries { // a caller may have put them in another order
			m.infos[i] = &m.entries[i]
		}
		dirMemories.Put(m)
	}
	return d.f.Close()
}

// next fills entries, and returns how many there are. An error goes with none.
func (d *dir) next(fd int) (int, error) {
	n := 0
	for n < dirBatch {
		if len(d.rest) == 0 {
			if n > 0 {
				break // a caller has something to do meanwhile
			}
			got, err := syscall.ReadDirent(fd, d.buf[:])
			switch {
			case errors.Is(err, syscall.EINTR):
				continue
			case err != nil:
				return 0, os.NewSyscallError("getdents64", err)
			case got <= 0:
				return 0, io.EOF
			}
			d.rest = d.buf[:got]
		}
		name, err := d.entry()
		if err != nil {
			return 0, err
		}
		if skipped(name) {
			continue
		}
		switch err := lstatAt(fd, name, &d.stat); {
		case errors.Is(err, syscall.ENOENT): // gone meanwhile
		case err != nil:
			return 0, os.NewSyscallError("newfstatat", err)
		default:
			d.entries[n].set(string(name[:len(name)-1]), &d.stat)
			d.infos[n] = &d.entries[n]
			n++
		}
	}
	return n, nil
}

// entry takes one name from rest, with the NUL at its end. What the kernel writes for
// it is: its number and offset, 8 bytes each, its length, 2, its type, 1, and the name.
func (d *dir) entry() ([]byte, error) {
	const head = 8 + 8 + 2 + 1
	if len(d.rest) < head {
		return nil, io.ErrUnexpectedEOF
	}
	size := int(binary.NativeEndian.Uint16(d.rest[16:]))
	if size < head || size > len(d.rest) {
		return nil, io.ErrUnexpectedEOF
	}
	name := d.rest[head:size]
	d.rest = d.rest[size:]
	end := bytes.IndexByte(name, 0)
	if end < 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return name[:end+1], nil
}

// skipped reports whether name, which ends in NUL, is not shown.
func skipped(name []byte) bool {
	if name[0] != '.' {
		return false
	}
	base := string(name[:len(name)-1])
	return base == "." || base == ".." || IsPart(base)
}

// lstatAt describes a name, which ends in NUL, in the folder fd. It follows no link.
func lstatAt(fd int, name []byte, stat *syscall.Stat_t) error {
	const atSymlinkNofollow = 0x100
	for {
		_, _, errno := syscall.Syscall6(sysFstatat, uintptr(fd), uintptr(unsafe.Pointer(&name[0])), uintptr(unsafe.Pointer(stat)), atSymlinkNofollow, 0, 0)
		switch errno {
		case 0:
			return nil
		case syscall.EINTR:
		default:
			return errno
		}
	}
}

// entry is one name of a folder, described.
type entry struct {
	name     string
	size     int64
	mode     fs.FileMode
	modified time.Time
}

func (e *entry) Name() string       { return e.name }
func (e *entry) Size() int64        { return e.size }
func (e *entry) Mode() fs.FileMode  { return e.mode }
func (e *entry) ModTime() time.Time { return e.modified }
func (e *entry) IsDir() bool        { return e.mode.IsDir() }
func (e *entry) Sys() any           { return nil }

func (e *entry) set(name string, stat *syscall.Stat_t) {
	e.name, e.size, e.modified = name, stat.Size, time.Unix(stat.Mtim.Unix())
	e.mode = fs.FileMode(stat.Mode & 0o777)
	switch stat.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		e.mode |= fs.ModeDir
	case syscall.S_IFLNK:
		e.mode |= fs.ModeSymlink
	case syscall.S_IFIFO:
		e.mode |= fs.ModeNamedPipe
	case syscall.S_IFSOCK:
		e.mode |= fs.ModeSocket
	case syscall.S_IFBLK:
		e.mode |= fs.ModeDevice
	case syscall.S_IFCHR:
		e.mode |= fs.ModeDevice | fs.ModeCharDevice
	}
	if stat.Mode&syscall.S_ISUID != 0 {
		e.mode |= fs.ModeSetuid
	}
	if stat.Mode&syscall.S_ISGID != 0 {
		e.mode |= fs.ModeSetgid
	}
	if stat.Mode&syscall.S_ISVTX != 0 {
		e.mode |= fs.ModeSticky
	}
}
