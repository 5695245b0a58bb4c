// Package access says who may do what with the files of a site.
//
// A site has rules: each allows or denies reading, writing or both from a folder
// down. [Rights] are the rules that concern one account. The rule nearest to a path
// decides; of several for the same folder a denial does; what no rule allows is
// denied. A [Guard] is a tree as far as somebody's rights go.
//
// Links inside a tree give nobody more than he has: what a path says and where it
// really leads must both be allowed. Nor does moving: a folder with rules in it, or
// above one with rules, stays where it is, and what somebody may not read he cannot
// move to where he may.
//
// The package knows no protocol, no passwords and no disk.
package access

import (
	"runtime"
	"slices"
	"strings"
)

// Permission is what may be done: any of [Read] and [Write].
type Permission uint8

// Read includes listing, Write everything that changes files and folders.
const (
	Read Permission = 1 << iota
	Write
)

func (p Permission) String() string {
	return [...]string{"do nothing with", "read", "write", "read and write"}[p&(Read|Write)]
}

// Rule is what is allowed, or denied, from the folder Path down.
type Rule struct {
	Path  string // virtual, clean and absolute
	Allow bool
	What  Permission
}

// Rights are the rules of a site that concern one account. The zero value may do
// nothing.
type Rights struct {
	rules []Rule
}

// New returns the rights that rules give.
func New(rules ...Rule) Rights { return Rights{slices.Clone(rules)} }

// May reports whether all of p is allowed at name, a virtual path.
func (r Rights) May(name string, p Permission) bool {
	for _, one := range []Permission{Read, Write} {
		if p&one != 0 && !r.may(name, one) {
			return false
		}
	}
	return true
}

func (r Rights) may(name string, p Permission) bool {
	near, allowed := -1, false
	for _, rule := range r.rules {
		if rule.What&p == 0 || !rule.covers(name) {
			continue
		}
		switch d := depth(rule.Path); {
		case d > near:
			near, allowed = d, rule.Allow
		case d == near:
			allowed = allowed && rule.Allow
		}
	}
	return allowed
}

// covers reports whether a rule holds at name. A denial holds in either case of its
// letters: whether the disk beneath tells them apart cannot be known. What is
// allowed is allowed as it is written, but on systems that never tell them apart.
func (r Rule) covers(name string) bool { return within(r.Path, name, !r.Allow || foldsCase) }

// Anywhere reports whether p is allowed at name or somewhere beneath it.
func (r Rights) Anywhere(name string, p Permission) bool {
	return r.may(name, p) || slices.ContainsFunc(r.rules, func(rule Rule) bool {
		return rule.Allow && within(name, rule.Path, foldsCase) && r.may(rule.Path, p)
	})
}

// Shown reports whether a listing shows name: what may be read, the folders on the
// way to what may be used, and a folder that a rule lets be written only, without
// what is in it.
func (r Rights) Shown(name string) bool {
	return r.Anywhere(name, Read) || slices.ContainsFunc(r.rules, func(rule Rule) bool {
		return within(name, rule.Path, foldsCase) && r.may(rule.Path, Write)
	})
}

// whole reports whether no rule of this account begins beneath name.
func (r Rights) whole(name string) bool {
	return !slices.ContainsFunc(r.rules, func(rule Rule) bool {
		return depth(rule.Path) > depth(name) && within(name, rule.Path, true)
	})
}

const foldsCase = runtime.GOOS == "windows" || runtime.GOOS == "darwin"

// within reports whether name is folder or beneath it.
func within(folder, name string, fold bool) bool {
	if fold {
		folder, name = folded(folder), folded(name)
	}
	return folder == "/" || name == folder || strings.HasPrefix(name, folder+"/")
}

func depth(name string) int {
	if name == "/" {
		return 0
	}
	return strings.Count(name, "/")
}

// short reports whether an element of name may be a second name of a file with a
// longer one, as Windows makes them: SECRET~1. No rule can see through it.
func short(name string) bool {
	for _, element := range strings.Split(name, "/") {
		stem, _, _ := strings.Cut(element, ".")
		if i := strings.LastIndexByte(stem, '~'); i >= 0 && len(stem) <= 8 && i+1 < len(stem) &&
			strings.Trim(stem[i+1:], "0123456789") == "" {
			return true
		}
	}
	return false
}
