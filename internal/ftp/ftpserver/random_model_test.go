package ftpserver_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"sallyport.dev/internal/filetree"
)

// modelFS is what the folder should hold: the content of each file, and the
// folders.
type modelFS struct {
	files map[string]string
	dirs  map[string]bool
}

func newModelFS() *modelFS {
	return &modelFS{files: map[string]string{}, dirs: map[string]bool{"/": true}}
}

func (m *modelFS) file(name string) bool { _, ok := m.files[name]; return ok }
func (m *modelFS) dir(name string) bool  { return m.dirs[name] }
func (m *modelFS) any(name string) bool  { return m.file(name) || m.dir(name) }

// free reports whether name is not there and could be made.
func (m *modelFS) free(name string) bool { return !m.any(name) && m.dir(path.Dir(name)) }

func (m *modelFS) below(dir string) (names []string) {
	for _, all := range []map[string]bool{m.dirs, asSet(m.files)} {
		for name := range all {
			if name != dir && strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/") {
				names = append(names, name)
			}
		}
	}
	return names
}

func asSet(files map[string]string) map[string]bool {
	set := make(map[string]bool, len(files))
	for name := range files {
		set[name] = true
	}
	return set
}

// children counts what a listing of dir has.
func (m *modelFS) children(dir string) (n int) {
	for _, name := range m.below(dir) {
		if path.Dir(name) == dir {
			n++
		}
	}
	return n
}

// rename reports whether from could be moved to to, and does it.
func (m *modelFS) rename(from, to string) bool {
	switch {
	case from == "/" || to == "/" || !m.any(from) || !m.dir(path.Dir(to)):
		return false
	case from == to:
		return true
	case m.dir(to), m.dir(from) && (m.file(to) || strings.HasPrefix(to, from+"/")):
		return false
	}
	for _, name := range append(m.below(from), from) {
		moved := to + strings.TrimPrefix(name, from)
		if m.dirs[name] {
			delete(m.dirs, name)
			m.dirs[moved] = true
		} else {
			m.files[moved] = m.files[name]
			delete(m.files, name)
		}
	}
	return true
}

// written is old with content put at offset, as an upload into the file does it.
func written(old string, offset int, content string) string {
	tail := ""
	if end := offset + len(content); end < len(old) {
		tail = old[end:]
	}
	return old[:offset] + content + tail
}

// compare wants the folder to hold exactly what the model does.
func (m *modelFS) compare(t testing.TB, root string) {
	t.Helper()
	found := newModelFS()
	if err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := "/" + strings.TrimPrefix(strings.TrimPrefix(filepath.ToSlash(file), filepath.ToSlash(root)), "/")
		if filetree.IsPart(d.Name()) {
			t.Errorf("left behind: %s", name)
			return nil
		}
		if d.IsDir() {
			found.dirs[name] = true
			return nil
		}
		b, err := os.ReadFile(file)
		found.files[name] = string(b)
		return err
	}); err != nil {
		t.Error(err)
	}
	for name, want := range m.files {
		if got, ok := found.files[name]; !ok || got != want {
			t.Errorf("%s: got %.60q (there: %v), want %.60q", name, got, ok, want)
		}
	}
	for name := range m.dirs {
		if !found.dirs[name] {
			t.Errorf("folder %s is not there", name)
		}
	}
	if len(found.files) != len(m.files) || len(found.dirs) != len(m.dirs) {
		t.Errorf("got files %v and folders %v, want as many as %v and %v", found.files, found.dirs, m.files, m.dirs)
	}
}
