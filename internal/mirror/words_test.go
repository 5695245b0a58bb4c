package mirror_test

import (
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/mirror"
)

func TestPartNames(t *testing.T) {
	e := mirror.Entry{Size: 5, Time: time.Unix(1700000000, 5)}
	one := mirror.PartName("in/a.xml", "here", e)
	if !strings.HasPrefix(one, "in/a.xml.sallyport-") || !mirror.IsPart(one[3:]) {
		t.Errorf("got %q, want a part beside in/a.xml", one)
	}
	e.Time = time.Unix(1700000000, 999)
	if again := mirror.PartName("in/a.xml", "here", e); again != one {
		t.Errorf("got %q and %q for the same second", one, again)
	}
	grown, later := e, e
	grown.Size++
	later.Time = later.Time.Add(time.Second)
	for name, other := range map[string]string{
		"size":   mirror.PartName("in/a.xml", "here", grown),
		"time":   mirror.PartName("in/a.xml", "here", later),
		"source": mirror.PartName("in/a.xml", "there", e),
	} {
		if other == one {
			t.Errorf("the part does not tell another %s", name)
		}
	}
	long := mirror.PartName(strings.Repeat("ä", 127), "here", e)
	if len(long) > 255 || !mirror.IsPart(long) || strings.ToValidUTF8(long, "?") != long {
		t.Errorf("got %q (%d bytes) for a long name", long, len(long))
	}
	for _, name := range []string{"a.part", "a.sallyport-12.part", "a.sallyport-0123456789aX.part", ".sallyport-0123456789abcdef.part", "a.sallyport-0123456789ab.par"} {
		if mirror.IsPart(name) {
			t.Errorf("%q is taken for a part", name)
		}
	}
}

func TestFilter(t *testing.T) {
	f := mirror.Filter{Include: []string{"*.xml", "top/*.txt"}, Exclude: []string{"tmp", "a/b/**", "*.bak.xml"}}
	for _, tt := range []struct {
		name   string
		folder bool
		want   bool
	}{
		{"a.xml", false, true},
		{"deep/er/a.xml", false, true},
		{"a.XML", false, false},
		{"top/x.txt", false, true},
		{"x/top/x.txt", false, false},
		{"tmp", true, false},
		{"x/tmp", true, false},
		{"a/b/c.xml", false, false},
		{"a/c.xml", false, true},
		{"old.bak.xml", false, false},
		{"any/folder", true, true},
	} {
		if got := f.Takes(tt.name, tt.folder); got != tt.want {
			t.Errorf("%q: got %v, want %v", tt.name, got, tt.want)
		}
	}
	if err := (mirror.Filter{Exclude: []string{"[a"}}).Check(); err == nil {
		t.Error("[a passes for a pattern")
	}
}

func TestNamesForWindows(t *testing.T) {
	for _, name := range []string{"C:x", "a|b", "a.", "a ", "x\x01", "a\\b", "\xff", "a?b"} {
		if mirror.WindowsFlaw(name) == "" {
			t.Errorf("%q passes", name)
		}
	}
	for _, name := range []string{"a.xml", "ä b.txt", ".hidden", "a..b"} {
		if why := mirror.WindowsFlaw(name); why != "" {
			t.Errorf("%q: %s", name, why)
		}
	}
	for _, name := range []string{"..", "", "/abs"} {
		if mirror.HoldLocalFor(name) == nil {
			t.Errorf("%q passes", name)
		}
	}
}
