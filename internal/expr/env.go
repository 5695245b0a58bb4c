package expr

import (
	"path"
	"strings"
	"time"
)

// Env is what an expression can see.
type Env struct {
	File File      `expr:"file"` // the file it is about
	Now  time.Time `expr:"now"`  // the moment the transfer began
	Flow string    `expr:"flow"` // the flow's name
}

// File is a file as an expression sees it.
type File struct {
	Name string    `expr:"name"` // last element of the path: "a.tar.gz"
	Stem string    `expr:"stem"` // name without its last extension: "a.tar"
	Ext  string    `expr:"ext"`  // last extension without its dot: "gz"; "" if none
	Path string    `expr:"path"` // path from the source's directory, with "/"
	Dir  string    `expr:"dir"`  // path without the name; "" at the top
	Size int64     `expr:"size"` // bytes; -1 if the source does not say
	Time time.Time `expr:"time"` // last modification, UTC; zero if the source does not say
}

// NewFile takes a path apart.
func NewFile(p string, size int64, modified time.Time) File {
	f := File{Name: path.Base(p), Path: p, Size: size, Time: modified.UTC()}
	if i := strings.LastIndexByte(p, '/'); i > 0 {
		f.Dir = p[:i]
	}
	f.Stem = f.Name
	if i := strings.LastIndexByte(f.Name, '.'); i > 0 { // a leading dot hides, it does not extend
		f.Stem, f.Ext = f.Name[:i], f.Name[i+1:]
	}
	return f
}

// noext cuts a name at its first dot, as Camel's file:name.noext does: "a.tar.gz"
// becomes "a". Folders stay.
func noext(args ...any) (any, error) {
	s, _ := args[0].(string) // the checker has seen to the type
	if i := firstDot(s); i > 0 {
		return s[:i], nil
	}
	return s, nil
}

// fullext is what noext cuts off, without the dot.
func fullext(args ...any) (any, error) {
	s, _ := args[0].(string)
	if i := firstDot(s); i > 0 {
		return s[i+1:], nil
	}
	return "", nil
}

func firstDot(s string) int {
	base := strings.LastIndexByte(s, '/') + 1
	if i := strings.IndexByte(s[base:], '.'); i > 0 {
		return base + i
	}
	return -1
}
