package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"sallyport.dev/internal/expr"
)

func (c *checker) flows() {
	first := map[string]int{}
	for i, f := range c.doc.Flows {
		at := fmt.Sprintf("flows[%d]", i)
		c.name(at+".name", "a flow", f.Name)
		c.once(first, f.Name, at+".name", "flow", i)
		c.source(at+".source", f.Source)
		c.twins(at+".source", i, f.Source)
		for j, s := range f.Sinks {
			c.sink(fmt.Sprintf("%s.sinks[%d]", at, j), s, f.Source)
		}
		if f.Retry.Max < f.Retry.First {
			c.fault(at+".retry.max", "write the longest delay, at least "+durationText(f.Retry.First), "is shorter than the first delay")
		}
	}
}

func (c *checker) source(at string, s Source) {
	ftp, local := c.doc.Written(at+".ftp"), c.doc.Written(at+".local")
	if c.doc.Written(at) && ftp == local {
		c.fault(at, "write one of the two", "a source needs either ftp or local")
	}
	if s.FTP != nil {
		c.server(at+".ftp", *s.FTP)
	}
	if s.Local != nil {
		c.folder(at+".local.path", s.Local.Path)
	}
	if local && c.doc.Written(at+".directory") {
		c.fault(at+".directory", "write the whole folder in local.path", "is for ftp")
	}
	c.remote(at+".directory", s.Directory)
	c.match(at+".match", s.Match)
	if s.Filter != "" {
		_, err := expr.ParseFilter(s.Filter)
		c.expression(at+".filter", s.Filter, err)
	}
	if s.Ready.When == ReadyAlways && c.doc.Written(at+".ready.for") {
		c.fault(at+".ready.for", "write when: unchanged, or remove it", "is for when: unchanged")
	}
	if s.After.Action == AfterMove && s.After.Move != "" {
		c.template(at+".after.move", s.After.Move)
		c.movedInto(at+".after.move", s)
	}
}

// match checks a glob over file names. Folders are walked by no flow yet, so a
// slash in it would match nothing.
func (c *checker) match(at, glob string) {
	switch {
	case !doublestar.ValidatePattern(glob):
		c.fault(at, "such as *.xml or {orders,invoices}-*.csv", "%s is no glob: a bracket or brace is open, or a backslash stands last", quote(glob))
	case strings.Contains(glob, "/"):
		c.fault(at, "name the folder in directory or local.path", "%s has a slash, and file names have none", quote(glob))
	}
}

// movedInto warns of files that are moved within the folder they are taken from,
// and would be taken again.
func (c *checker) movedInto(at string, s Source) {
	t, err := expr.ParseTemplate(s.After.Move)
	if err != nil || !doublestar.ValidatePattern(s.Match) {
		return
	}
	sample := strings.NewReplacer("*", "a", "?", "a").Replace(s.Match)
	if ok, err := doublestar.Match(s.Match, sample); err != nil || !ok {
		return // a glob with sets: no sample to try it with
	}
	now := time.Date(2006, 1, 2, 15, 4, 5, 0, time.UTC)
	to, err := t.Execute(expr.Env{File: expr.NewFile(sample, 1, now), Now: now, Flow: "flow"})
	if err != nil {
		return // depends on the file
	}
	if ok, err := doublestar.Match(s.Match, to); err == nil && ok {
		c.warn(at, "move them into a folder, such as archive/${file.name}", "moved files stay where they were and match %s: they would be taken again", quote(s.Match))
	}
}

// twins warns of two flows that take the same files.
func (c *checker) twins(at string, i int, s Source) {
	for _, other := range c.doc.Flows[:i] {
		o := other.Source
		if s.Match == o.Match && s.Filter == o.Filter && samePlace(s.FTP, s.Directory, o.FTP, o.Directory) || sameFolder(s.Local, o.Local) && s.Match == o.Match {
			c.warn(at, "give each its own folder or match, or one flow two sinks", "takes the same files as flow %s", quote(other.Name))
		}
	}
}

func samePlace(a *FTPServer, adir string, b *FTPServer, bdir string) bool {
	return a != nil && b != nil && !a.Address.IsZero() && a.Address == b.Address && a.Location == b.Location &&
		a.User == b.User && strings.Trim(adir, "/") == strings.Trim(bdir, "/")
}

func sameFolder(a, b *LocalFolder) bool {
	return a != nil && b != nil && a.Path != "" && strings.TrimRight(a.Path, `/\`) == strings.TrimRight(b.Path, `/\`)
}

func (c *checker) sink(at string, s Sink, from Source) {
	ftp, local := c.doc.Written(at+".ftp"), c.doc.Written(at+".local")
	if ftp == local {
		c.fault(at, "write one of the two", "a sink needs either ftp or local")
	}
	back := false
	if t := s.FTP; t != nil {
		c.server(at+".ftp", t.FTPServer)
		c.remote(at+".ftp.directory", t.Directory)
		c.template(at+".ftp.name", t.Name)
		back = samePlace(&t.FTPServer, t.Directory, from.FTP, from.Directory)
	}
	if t := s.Local; t != nil {
		c.folder(at+".local.path", t.Path)
		c.template(at+".local.name", t.Name)
		back = back || sameFolder(&t.LocalFolder, from.Local)
	}
	if back {
		c.fault(at, "name another folder", "this is the folder that the files come from")
	}
}

// server checks how an FTP server is reached.
func (c *checker) server(at string, s FTPServer) {
	if !s.Address.IsZero() {
		c.dials(at+".address", s.Address)
	}
	user, password := c.doc.Written(at+".user"), c.doc.Written(at+".password")
	switch {
	case user && !password && !strings.EqualFold(s.User, "anonymous"):
		c.fault(at+".password", "write env:NAME or file:PATH", "is missing")
	case password && !user:
		c.fault(at+".user", "write the login name that the password belongs to", "is missing")
	}
	c.reach(at, s)
	c.location(at, s)
}

// location checks the way through the tunnel. Only the gateway knows all
// locations; a connector in the same document is a hint at what was meant.
func (c *checker) location(at string, s FTPServer) {
	if s.Location == "" {
		return
	}
	c.locationName(at+".location", s.Location)
	if c.doc.Gateway == nil {
		c.fault(at+".location", "write the gateway in this document too, or remove location to dial the server directly",
			"locations are reached through a gateway, and this document has none")
		return
	}
	n := c.doc.Connector
	if n == nil || n.Location == "" || strings.Contains(n.Location, " ") {
		return
	}
	if n.Location != s.Location {
		if near := nearest(s.Location, []string{n.Location}); near != "" {
			c.warn(at+".location", "did you mean "+near+"?", "the connector of this document serves another location")
		}
		return
	}
	if s.Address.IsZero() || slices.ContainsFunc(n.Mappings, func(m Mapping) bool { return m.covers(s.Address) }) {
		return
	}
	var hosts []string
	for _, m := range n.Mappings {
		if !m.Virtual.IsZero() {
			hosts = append(hosts, m.Virtual.String())
		}
	}
	c.warn(at+".address", known("mappings", s.Address.String(), hosts), "no mapping of this document's connector exposes %s", s.Address)
}

// covers reports whether the mapping exposes a.
func (m Mapping) covers(a Address) bool {
	return strings.EqualFold(m.Virtual.Host, a.Host) && (m.Virtual.Ports.Contains(a.Port) || m.DataPorts.Contains(a.Port))
}

// remote checks a folder on a server.
func (c *checker) remote(at, s string) {
	if slices.Contains(strings.Split(s, "/"), "..") {
		c.fault(at, "name the folder from the login directory down", "%s goes upwards", quote(s))
	}
}

// template checks the name that files get.
func (c *checker) template(at, s string) {
	_, err := expr.ParseTemplate(s)
	c.expression(at, s, err)
	if err == nil && (strings.HasPrefix(s, "/") || slices.Contains(strings.Split(s, "/"), "..")) {
		c.fault(at, "name it from the folder down, such as archive/${file.name}", "%s leads out of the folder", quote(s))
	}
}

// expression reports err at the very character, where the text stands in the
// document as it was read.
func (c *checker) expression(at, text string, err error) {
	if err == nil {
		return
	}
	problem, hint := hinted(err)
	f := c.doc.Fault(at, hint, "%s", problem)
	var ee *expr.Error
	if errors.As(err, &ee) {
		f.Problem, f.Hint = ee.Text, ee.Hint
		if from, ok := c.doc.verbatim(f.Pos, text); ok && ee.Line == 1 {
			f.Column = from + ee.Column - 1
		}
	}
	c.add(at, f)
}

func (c *checker) journal() {
	j := c.doc.Journal
	for i, s := range j.URLs {
		at := fmt.Sprintf("journal.urls[%d]", i)
		u, err := url.Parse(s)
		switch {
		case s == "":
		case err != nil || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) || u.Hostname() == "":
			c.fault(at, "such as tls://nats-1.example.com:4222", "is no URL of a NATS server")
		case u.User != nil:
			c.fault(at, "remove what stands before @", "credentials must not stand in the document")
		}
	}
	if !j.Embedded && !slices.Contains([]int{1, 3, 5}, j.Replicas) {
		c.fault("journal.replicas", "3 outlive the loss of one server, 5 of two", "a cluster keeps 1, 3 or 5 copies, not %d", j.Replicas)
	}
}
