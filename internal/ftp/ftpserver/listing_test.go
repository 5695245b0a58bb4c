package ftpserver_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/ftp"
)

// lines splits a listing and sorts it: servers promise no order.
func lines(data string) []string {
	all := strings.SplitAfter(data, "\r\n")
	all = slices.DeleteFunc(all, func(l string) bool { return l == "" })
	for i := range all {
		all[i] = strings.TrimSuffix(all[i], "\r\n")
	}
	slices.Sort(all)
	return all
}

// listed is one line of LIST; the bubble's clock stands at the year 2000.
var listed = regexp.MustCompile(`^-rw-r--r-- +1 ftp +ftp +3 Dec 24 18:30 a\.xml$`)

func TestListings(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		when := time.Date(1999, 12, 24, 18, 30, 15, 0, time.UTC)
		for _, name := range []string{"a.xml", "b b.xml", "-dash", "sub/in.xml"} {
			s.write(name, "abc")
		}
		for _, name := range []string{"a.xml", "b b.xml", "-dash", "sub/in.xml", "sub"} {
			if err := os.Chtimes(filepath.Join(s.dir, name), when, when); err != nil {
				t.Fatal(err)
			}
		}
		for link, target := range map[string]string{"ln": "a.xml", "lndir": "sub", "out": "../..", "abs": s.dir, "gone": "nothing"} {
			if err := os.Symlink(target, filepath.Join(s.dir, link)); err != nil {
				t.Fatal(err)
			}
		}
		c := s.login()
		want := []string{"-dash", "a.xml", "abs", "b b.xml", "gone", "ln", "lndir", "out", "sub"}
		for command, want := range map[string][]string{
			"NLST": want, "NLST -la": want, "nlst -1": want, "NLST /": {"/-dash", "/a.xml", "/abs", "/b b.xml", "/gone", "/ln", "/lndir", "/out", "/sub"},
			"NLST sub": {"sub/in.xml"}, "NLST -a sub/": {"sub/in.xml"}, "NLST *.xml": {"a.xml", "b b.xml"}, "NLST sub/*.x?l": {"sub/in.xml"},
			"NLST lndir": {"lndir/in.xml"}, "NLST a.xml": {"a.xml"}, "NLST ./-dash": {"./-dash"}, "NLST none*": nil, "NLST b b.xml": {"b b.xml"},
		} {
			if got := lines(c.get(command)); !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", command, got, want)
			}
		}
		c.want("NLST *none*/x", 550)
		c.want("EPSV", 229)
		c.want("NLST [", 501)

		var got []string
		for _, l := range lines(c.get("LIST -a")) {
			e, err := ftp.ParseUnixLine(l, time.Now(), time.UTC)
			if err != nil {
				t.Errorf("LIST: %v", err)
			}
			got = append(got, fmt.Sprintf("%s %s %d", e.Name, e.Type, e.Size))
		}
		slices.Sort(got)
		for _, w := range []string{"-dash file 3", "a.xml file 3", "b b.xml file 3", "ln file 3"} {
			if !slices.Contains(got, w) {
				t.Errorf("LIST: got %q, want %q among them", got, w)
			}
		}
		if got := lines(c.get("LIST a.xml")); len(got) != 1 || !listed.MatchString(got[0]) {
			t.Errorf("LIST of a file: got %q", got)
		}

		entries := map[string]ftp.Entry{}
		for _, l := range lines(c.get("MLSD")) {
			e, err := ftp.ParseMLSx(l)
			if err != nil {
				t.Errorf("MLSD: %v", err)
			}
			entries[e.Name] = e
		}
		for name, typ := range map[string]ftp.EntryType{
			"-dash": ftp.File, "a.xml": ftp.File, "sub": ftp.Dir, "ln": ftp.File, "lndir": ftp.Dir, "out": ftp.Link, "abs": ftp.Link, "gone": ftp.Link,
		} {
			if e, ok := entries[name]; !ok || e.Type != typ {
				t.Errorf("MLSD: %q got %v, %v, want %s", name, e.Type, ok, typ)
			}
		}
		if e := entries["a.xml"]; e.Size != 3 || !e.Time.Equal(when) || e.Perm != "adfrw" {
			t.Errorf("MLSD: a.xml is %+v", e)
		}
		c.want("OPTS MLST size;", 200)
		if got := lines(c.get("MLSD sub")); !slices.Equal(got, []string{"size=3; in.xml"}) {
			t.Errorf("MLSD after OPTS: got %q", got)
		}
		c.want("MLSD a.xml", 501)
		if got := c.want("MLST sub/in.xml", 250).Lines; len(got) != 3 || got[1] != "size=3; /sub/in.xml" {
			t.Errorf("MLST: got %q", got)
		}
		if got := c.want("STAT -l sub", 212).Lines; len(got) != 3 || !strings.HasSuffix(got[1], " in.xml") {
			t.Errorf("STAT of a folder: got %q", got)
		}
		if got := c.want("STAT a.xml", 213).Lines; len(got) != 3 || !strings.HasSuffix(got[1], " a.xml") {
			t.Errorf("STAT of a file: got %q", got)
		}
	})
}

// TestManyEntries lists more than fit anywhere at once.
func TestManyEntries(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		const n = 3000
		for i := range n {
			s.write(fmt.Sprintf("d/%06d", i), "")
		}
		c := s.login()
		for _, command := range []string{"MLSD d", "LIST d", "NLST d"} {
			if got := len(lines(c.get(command))); got != n {
				t.Errorf("%s: got %d lines, want %d", command, got, n)
			}
		}
		r := c.want("STAT d", 212)
		if len(r.Lines) > 510 || r.Lines[len(r.Lines)-1] != "There are more; use LIST" {
			t.Errorf("STAT: got %d lines, the last %q", len(r.Lines), r.Lines[len(r.Lines)-1])
		}
	})
}

// TestNamesWithLineEnds: a file on the disk may have any name; it is one line.
func TestNamesWithLineEnds(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *site) {
		s.write("evil\r\n-rw-r--r-- 1 a b 3 Jan 1 00:00 fake", "x")
		c := s.login()
		for _, command := range []string{"LIST", "NLST", "MLSD"} {
			if got := lines(c.get(command)); len(got) != 1 {
				t.Errorf("%s: got %q, want one line", command, got)
			}
		}
	})
}
