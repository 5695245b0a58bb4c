package access

import (
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Some disks know one folder by many names: they fold case as Unicode has it, take
// letters and their accents together or apart, and leave out characters that are
// not seen. Rules speak of names, so whoever comes by a name that is not the rule's
// is asked for where he is.

// folded returns s with every letter in one of the cases that it has.
func folded(s string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf {
			if 'a' <= r && r <= 'z' {
				r -= 'a' - 'A'
			}
			return r
		}
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, s)
}

// aliased reports whether full, a path of the site without links in it, leads into a
// folder that a rule names, by a name that rules do not see as the same. Between
// plain ASCII names case is all that a disk may fold.
func (g *Guard) aliased(full string) bool {
	for _, folder := range g.site.Folders {
		head := ancestor(full, depth(folder))
		if folder == "/" || head == "" || isASCII(folder) && isASCII(head) || folded(folder) == folded(head) {
			continue
		}
		if g.sameFile(folder, head) {
			return true
		}
	}
	return false
}

// sameFile reports whether two paths of the site lead to one file or folder.
func (g *Guard) sameFile(a, b string) bool {
	var infos [2]os.FileInfo
	for i, full := range []string{a, b} {
		if !within(g.base, full, false) {
			return false // out of this tree's reach
		}
		name := full
		if g.base != "/" {
			name = strings.TrimPrefix(full, g.base)
		}
		if name == "" {
			name = "/"
		}
		info, err := g.tree.Stat(name)
		if err != nil {
			return false // nothing is there to be reached by another name
		}
		infos[i] = info
	}
	return os.SameFile(infos[0], infos[1])
}

// ancestor returns the first n elements of name, nothing if it has fewer.
func ancestor(name string, n int) string {
	if n > depth(name) {
		return ""
	}
	at := 0
	for range n {
		next := strings.IndexByte(name[at+1:], '/')
		if next < 0 {
			return name
		}
		at += 1 + next
	}
	return name[:at]
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
