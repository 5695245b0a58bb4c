package access_test

import (
	"io/fs"
	"os"
	"strings"
	"testing"

	"sallyport.dev/internal/access"
	"sallyport.dev/internal/filetree"
)

// loose is a disk that knows a name in any case, with its accents apart, and with
// soft hyphens in it, as some do.
type loose struct{ *filetree.Tree }

func onDisk(name string) string {
	return strings.NewReplacer("\u00ad", "", "u\u0308", "ü", "U\u0308", "ü").Replace(strings.ToLower(name))
}

func (l loose) Stat(name string) (fs.FileInfo, error)     { return l.Tree.Stat(onDisk(name)) }
func (l loose) Open(name string) (*os.File, error)        { return l.Tree.Open(onDisk(name)) }
func (l loose) ReadDir(name string) (access.Dir, error)   { return l.Tree.ReadDir(onDisk(name)) }
func (l loose) Create(name string) (access.Upload, error) { return l.Tree.Create(onDisk(name)) }
func (l loose) Remove(name string) error                  { return l.Tree.Remove(onDisk(name)) }
func (l loose) Mkdir(name string) error                   { return l.Tree.Mkdir(onDisk(name)) }
func (l loose) Rename(a, b string) error                  { return l.Tree.Rename(onDisk(a), onDisk(b)) }

// Real says what it was asked, as such a disk does: there are no links in it.
func (l loose) Real(name string) (string, error) {
	_, err := l.Tree.Real(onDisk(name))
	return name, err
}

// TestAliases: a folder with rules is not reached by another of its names.
func TestAliases(t *testing.T) {
	s := newSite(t, []string{"/secret", "/übung/geheim"}, "secret/f", "übung/geheim/f", "übung/f", "straße/f")
	rules := access.New(
		access.Rule{Path: "/", Allow: true, What: access.Read | access.Write},
		access.Rule{Path: "/secret", What: access.Read | access.Write},
		access.Rule{Path: "/übung/geheim", What: access.Read | access.Write},
	)
	g := s.access.Guard(loose{s.tree}, "/", rules)
	for _, folder := range []string{
		"/secret", "/SECRET", "/sec\u00adret", "/übung/geheim", "/u\u0308bung/geheim", "/U\u0308BUNG/Geheim", "/übung/ge\u00adheim", "/\u00adübung/geheim",
	} {
		if f, err := g.Open(folder + "/f"); err == nil {
			_ = f.Close()
			t.Errorf("read %+q", folder+"/f")
		}
		if d, err := g.ReadDir(folder); err == nil {
			_ = d.Close()
			t.Errorf("listed %+q", folder)
		}
		if u, err := g.Create(folder + "/new"); err == nil {
			_ = u.Abort()
			t.Errorf("wrote %+q", folder+"/new")
		}
		for what, err := range map[string]error{
			"removed": g.Remove(folder + "/f"), "moved": g.Rename(folder, "/elsewhere"), "moved out of": g.Rename(folder+"/f", "/mine"), "made a folder in": g.Mkdir(folder + "/d"),
		} {
			if err == nil {
				t.Errorf("%s %+q", what, folder)
			}
		}
	}
	for _, name := range []string{"/übung/f", "/u\u0308bung/f", "/straße/f", "/stra\u00adße/f"} {
		f, err := g.Open(name)
		if err != nil {
			t.Errorf("%+q, about which no rule is: %v", name, err)
			continue
		}
		_ = f.Close()
	}
}

// TestAliasInHome: the same where the tree begins at somebody's home.
func TestAliasInHome(t *testing.T) {
	s := newSite(t, []string{"/home/secret", "/home", "/other"}, "home/secret/f", "home/f")
	home, err := s.tree.Sub("/home", false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = home.Close() })
	g := s.access.Guard(loose{home}, "/home", access.New(
		access.Rule{Path: "/home", Allow: true, What: access.Read},
		access.Rule{Path: "/home/secret", What: access.Read},
	))
	if f, err := g.Open("/sec\u00adret/f"); err == nil {
		_ = f.Close()
		t.Error("read what is denied by another name")
	}
	f, err := g.Open("/f")
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
}
