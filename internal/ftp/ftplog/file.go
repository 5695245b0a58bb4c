package ftplog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"sallyport.dev/internal/fault"
)

// file is a file that is appended to, and put by under a name with the time in it
// when it is large or its day is over. It is used under the log's lock.
type file struct {
	path    string
	maxSize int64
	daily   bool
	keep    int
	header  func(now time.Time) []byte

	f    *os.File // nil while it cannot be opened
	size int64
	day  string // of the first line
	done bool   // closed for good
}

const dayForm = "20060102"

// stamped is what the names of files that were put by end in.
var stamped = regexp.MustCompile(`^\.[0-9]{8}-[0-9]{6}(\.[0-9]{3})?$`)

func (f *file) open(now time.Time) error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o750); err != nil {
		return fault.As(err, "make the folder of the log %q", f.path)
	}
	out, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640) //nolint:gosec // a group may read logs, as everywhere
	if err != nil {
		return fault.As(err, "open the log %q", f.path).WithHint("is its folder writable for the user that this program runs as?")
	}
	info, err := out.Stat()
	if err != nil {
		return errors.Join(fault.As(err, "open the log %q", f.path), out.Close())
	}
	f.f, f.size, f.day = out, info.Size(), now.UTC().Format(dayForm)
	if f.size > 0 {
		f.day = info.ModTime().UTC().Format(dayForm)
	}
	return f.append(f.header(now))
}

// write appends a line, to a fresh file if its time has come.
func (f *file) write(line []byte, now time.Time) error {
	if f.done {
		return fault.New(fault.Canceled, "the log %q is closed", f.path)
	}
	var rotated error
	day := now.UTC().Format(dayForm)
	if f.f != nil && (f.daily && day > f.day || f.maxSize > 0 && f.size > 0 && f.size+int64(len(line)) > f.maxSize) {
		rotated = f.rotate(now)
		f.day = day // also when it failed: once a day is often enough
	}
	if f.f == nil {
		if err := f.open(now); err != nil {
			return errors.Join(rotated, err)
		}
	}
	return errors.Join(rotated, f.append(line))
}

func (f *file) append(b []byte) error {
	n, err := f.f.Write(b)
	f.size += int64(n)
	if err != nil {
		return fault.As(err, "write the log %q", f.path)
	}
	return nil
}

// rotate puts the file by, opens a fresh one and deletes the oldest.
func (f *file) rotate(now time.Time) error {
	if err := f.close(); err != nil {
		return err
	}
	old, err := f.old()
	if err != nil {
		return errors.Join(err, f.open(now))
	}
	name := filepath.Base(f.path) + "." + now.UTC().Format("20060102-150405")
	if len(old) > 0 && strings.HasPrefix(old[len(old)-1], name) { // within one second
		var n int
		_, _ = fmt.Sscanf(old[len(old)-1][len(name):], ".%d", &n) // 0 without a number
		name += fmt.Sprintf(".%03d", min(n+1, 999))
	}
	if err := os.Rename(f.path, filepath.Join(filepath.Dir(f.path), name)); err != nil {
		return errors.Join(fault.As(err, "put the log %q by", f.path), f.open(now))
	}
	return errors.Join(f.open(now), f.prune(append(old, name)))
}

// old lists the files that were put by, the oldest first.
func (f *file) old() ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(f.path))
	if err != nil {
		return nil, fault.As(err, "look for old files of the log %q", f.path)
	}
	base := filepath.Base(f.path)
	var old []string
	for _, e := range entries {
		if name := e.Name(); len(name) > len(base) && name[:len(base)] == base && stamped.MatchString(name[len(base):]) {
			old = append(old, name)
		}
	}
	slices.Sort(old)
	return old, nil
}

// prune deletes all but the youngest of old.
func (f *file) prune(old []string) error {
	var errs []error
	for f.keep > 0 && len(old) > f.keep {
		errs = append(errs, os.Remove(filepath.Join(filepath.Dir(f.path), old[0])))
		old = old[1:]
	}
	return errors.Join(errs...)
}

func (f *file) close() error {
	if f.f == nil {
		return nil
	}
	out := f.f
	f.f = nil
	if err := out.Close(); err != nil {
		return fault.As(err, "close the log %q", f.path)
	}
	return nil
}
