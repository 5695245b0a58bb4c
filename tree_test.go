package sallyport_test

import (
	"cmp"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The tests of this file hold the source to docs/explanation/architecture.md. When
// one fails, redraw the page or move the code: either is fine.

const (
	page   = "docs/explanation/architecture.md"
	module = "sallyport.dev/"
)

// pkg is one package as its files show it, whatever system they are for.
type pkg struct {
	comments []string        // files that have a package comment
	imports  map[string]bool // of the program's files, not of tests
}

// tree reads every package of the module, by its path in it.
func tree(t *testing.T) map[string]*pkg {
	t.Helper()
	pkgs := map[string]*pkg{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(name))
		p := pkgs[dir]
		if p == nil {
			p = &pkg{imports: map[string]bool{}}
			pkgs[dir] = p
		}
		if f.Doc != nil {
			p.comments = append(p.comments, name)
		}
		for _, im := range f.Imports {
			path, err := strconv.Unquote(im.Path.Value)
			if err != nil {
				return err
			}
			p.imports[path] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pkgs
}

// table returns the cells of the first table of the page under the heading, its
// head and rule left out.
func table(t *testing.T, heading string) [][]string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("%s has no heading %q", page, heading)
	}
	var rows [][]string
	for line := range strings.Lines(rest) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			if len(rows) > 0 || strings.HasPrefix(line, "#") {
				break
			}
			continue
		}
		var cells []string
		for _, c := range strings.Split(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(c))
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		t.Fatalf("%s has no table under %q", page, heading)
	}
	return rows[2:]
}

// names takes the code words out of a cell: "`ftp`, `netx`".
func names(cell string) []string {
	var all []string
	for i, part := range strings.Split(cell, "`") {
		if i%2 == 1 {
			all = append(all, part)
		}
	}
	return all
}

func TestPackageComments(t *testing.T) {
	for dir, p := range tree(t) {
		if len(p.comments) != 1 {
			t.Errorf("%s: got package comments in %d files %v, want one: what the package is, and what it is not",
				dir, len(p.comments), p.comments)
		}
	}
}

// kinds are the layers, from the ground up. Arrows point down or stay.
var kinds = []string{"ground", "grammar", "machine", "adapter", "edge", "test"}

type row struct {
	kind    string
	imports []string
}

// drawn reads the table of packages.
func drawn(t *testing.T) map[string]row {
	t.Helper()
	rows := map[string]row{}
	for _, cells := range table(t, "The packages") {
		if len(cells) != 4 || len(names(cells[1])) != 1 || !slices.Contains(kinds, cells[0]) {
			t.Fatalf("%s: got row %q, want kind, package, what it is, imports", page, cells)
		}
		rows[names(cells[1])[0]] = row{cells[0], names(cells[3])}
	}
	return rows
}

func TestArrows(t *testing.T) {
	rows := drawn(t)
	pkgs := tree(t)
	for dir, p := range pkgs {
		name := strings.TrimPrefix(dir, "internal/")
		if name == "." {
			continue // doc.go
		}
		r, ok := rows[name]
		if !ok {
			t.Errorf("package %s is not in the table of %s", name, page)
			continue
		}
		got := arrows(p, rows)
		want := slices.Sorted(slices.Values(r.imports))
		for _, to := range got {
			if !slices.Contains(want, to) {
				t.Errorf("%s imports %s, and %s draws no such arrow", name, to, page)
			}
			if slices.Index(kinds, rows[to].kind) > slices.Index(kinds, r.kind) {
				t.Errorf("%s (%s) imports %s (%s): arrows point down", name, r.kind, to, rows[to].kind)
			}
		}
		for _, to := range want {
			if !slices.Contains(got, to) {
				t.Errorf("%s draws an arrow from %s to %s, and there is none", page, name, to)
			}
		}
	}
	for name := range rows {
		if pkgs[name] == nil && pkgs["internal/"+name] == nil {
			t.Errorf("%s has package %s, and there is none", page, name)
		}
	}
}

// arrows lists the packages of ours that p imports, the ground left out: everybody
// may stand on it.
func arrows(p *pkg, rows map[string]row) []string {
	var to []string
	for path := range p.imports {
		if own, ok := strings.CutPrefix(path, module); ok {
			own = strings.TrimPrefix(own, "internal/")
			if rows[own].kind != "ground" {
				to = append(to, own)
			}
		}
	}
	slices.Sort(to)
	return to
}

// The ground imports nothing but the ground.
func TestGround(t *testing.T) {
	rows := drawn(t)
	for name, r := range rows {
		if r.kind == "ground" && len(r.imports) > 0 {
			t.Errorf("%s is ground and imports %v", name, r.imports)
		}
	}
}

func TestLibraries(t *testing.T) {
	rows := drawn(t)
	want := map[string][]string{}
	for _, cells := range table(t, "The libraries") {
		if len(cells) != 3 || len(names(cells[0])) != 1 {
			t.Fatalf("%s: got row %q, want library, where it lives, for what", page, cells)
		}
		want[names(cells[0])[0]] = names(cells[1])
	}
	got := map[string][]string{}
	for dir, p := range tree(t) {
		name := strings.TrimPrefix(dir, "internal/")
		if rows[name].kind == "test" {
			continue
		}
		for im := range p.imports {
			if lib := library(im); lib != "" && !slices.Contains(got[lib], name) {
				got[lib] = append(got[lib], name)
			}
		}
	}
	for lib, in := range got {
		slices.Sort(in)
		if !slices.Equal(in, slices.Sorted(slices.Values(want[lib]))) {
			t.Errorf("library %s lives in %v, and %s says %v: a library lives behind one package", lib, in, page, want[lib])
		}
	}
	for lib := range want {
		if got[lib] == nil {
			t.Errorf("%s has library %s, and nobody imports it", page, lib)
		}
	}
}

// library returns what an import path belongs to: "github.com/owner/name",
// "golang.org/x/name", or "" for ours and the standard library's.
func library(im string) string {
	parts := strings.Split(im, "/")
	if !strings.Contains(parts[0], ".") || strings.HasPrefix(im, module) {
		return ""
	}
	return path.Join(parts[:min(3, len(parts))]...)
}

// The table is in the order in which it is read: from the ground up.
func TestTableIsInOrder(t *testing.T) {
	var order []string
	for _, cells := range table(t, "The packages") {
		order = append(order, fmt.Sprintf("%d", slices.Index(kinds, cells[0])))
	}
	if !slices.IsSortedFunc(order, cmp.Compare[string]) {
		t.Errorf("%s: got kinds in order %v, want them from the ground up", page, order)
	}
}
