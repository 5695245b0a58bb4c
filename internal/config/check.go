package config

import (
	"fmt"
	"strings"
)

// checker looks at what no single value shows: whether the parts of a document
// fit together. It sees the document with its defaults, and passes over what the
// decoder has found fault with.
type checker struct {
	doc    *Document
	faults Faults
	bad    map[string]bool // paths that the decoder found fault with
	listen []listener
}

type listener struct {
	path string
	Address
	site *Binding // nil: of another part
}

func (c *checker) fault(path, hint, format string, args ...any) {
	c.add(path, c.doc.Fault(path, hint, format, args...))
}

func (c *checker) warn(path, hint, format string, args ...any) {
	f := c.doc.Fault(path, hint, format, args...)
	f.Warning = true
	c.add(path, f)
}

// add reports f, unless the value at path could not even be read: then what is
// looked at here is a default.
func (c *checker) add(path string, f Fault) {
	if !c.bad[path] {
		c.faults = append(c.faults, f)
	}
}

func (c *checker) document() {
	d := c.doc
	if len(c.bad) == 0 && len(d.Sites) == 0 && d.Gateway == nil && d.Connector == nil && len(d.Flows) == 0 {
		c.fault("", "write at least one of sites, gateway, connector and flows", "the document names no part to run")
	}
	c.folder("state", d.State)
	c.journal()
	c.accounts()
	c.sites()
	c.gateway()
	c.connector()
	c.flows()
}

// name checks the name of a part. It goes into subjects of the journal, folder
// names and command lines, so its letters are few.
func (c *checker) name(path, what, name string) {
	if name != "" && (len(name) > 63 || !plainKey(name) || strings.ContainsAny(name[:1], "-_")) {
		c.fault(path, "write up to 63 letters, digits, '-' and '_', a letter or digit first", "%s can be no name of %s", quote(name), what)
	}
}

// locationName checks the name of a location, which may have dots too.
func (c *checker) locationName(path, name string) {
	if name != "" && (len(name) > 63 || !plainKey(strings.ReplaceAll(name, ".", "")) || strings.ContainsAny(name[:1], ".-_")) {
		c.fault(path, "write up to 63 letters, digits, '.', '-' and '_', a letter or digit first", "%s can be no name of a location", quote(name))
	}
}

// once reports a name that was there before. first maps names to indexes.
func (c *checker) once(first map[string]int, name, path, what string, i int) {
	if name == "" {
		return
	}
	if j, twice := first[name]; twice {
		at := c.doc.Pos(strings.Replace(path, fmt.Sprintf("[%d]", i), fmt.Sprintf("[%d]", j), 1))
		c.fault(path, "keep one, or name it otherwise", "%s %s is there already, in line %d", what, quote(name), at.Line)
		return
	}
	first[name] = i
}

// folder checks a path of this machine: absolute, or relative to the working
// folder in so many words, since a forgotten slash would make a new folder.
// Documents are checked on other machines than they run on, so that every system's
// spelling is taken.
func (c *checker) folder(path, s string) {
	if s == "" || s == "." || s == ".." {
		return
	}
	for _, head := range []string{"/", "./", "../", `.\`, `..\`, `\\`} {
		if strings.HasPrefix(s, head) {
			return
		}
	}
	if len(s) > 2 && s[1] == ':' && (s[2] == '\\' || s[2] == '/') {
		return // C:\ or C:/
	}
	hint := "write /" + s + " or ./" + s
	if len(s) > 200 || strings.HasPrefix(s, "~") {
		hint = "such as /srv/files; ~ is not expanded"
	}
	c.fault(path, hint, "must be absolute, or begin with ./")
}

// listens checks an address to listen on against those before it.
func (c *checker) listens(path string, a Address) {
	if c.bad[path] {
		return
	}
	for _, l := range c.listen {
		if a.Port != 0 && a.Port == l.Port && sameHost(a, l.Address) {
			c.fault(path, "give each listener a port of its own", "%s is taken already by %s (%s)", a, c.doc.places.shown(l.path), l.Address)
			return
		}
	}
	c.listen = append(c.listen, listener{path, a, nil})
}

// dials checks an address to dial.
func (c *checker) dials(path string, a Address) {
	switch {
	case a.Host == "":
		c.fault(path, "write HOST:PORT", "%s names no host", a)
	case a.Host == "0.0.0.0" || a.Host == "::":
		c.fault(path, "write the address of the server", "%s is an address to listen on, not to dial", a)
	case a.Port == 0:
		c.fault(path, "write a port from 1 to 65535", "port 0 cannot be dialled")
	}
}
