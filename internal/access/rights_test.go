package access

import "testing"

// TestRights asks what a handful of rules allow.
func TestRights(t *testing.T) {
	r := New(
		Rule{Path: "/", Allow: true, What: Read},
		Rule{Path: "/in", Allow: true, What: Write},
		Rule{Path: "/in/drop", Allow: false, What: Read},
		Rule{Path: "/secret", Allow: false, What: Read | Write},
		Rule{Path: "/secret/mine", Allow: true, What: Read | Write},
		Rule{Path: "/both", Allow: true, What: Read | Write},
		Rule{Path: "/both", Allow: false, What: Write},
	)
	for _, c := range []struct {
		name               string
		read, write, shown bool
	}{
		{"/", true, false, true},
		{"/a", true, false, true},
		{"/in", true, true, true},
		{"/in/a/b", true, true, true},
		{"/inside", true, false, true},
		{"/in/drop", false, true, true},
		{"/in/drop/a", false, true, false},
		{"/secret", false, false, true}, // on the way to mine
		{"/secret/other", false, false, false},
		{"/SECRET/other", false, false, false},
		{"/\u017fecret/other", false, false, false}, // the long s is one in lower case
		{"/secret/mine/a", true, true, true},
		{"/secret/mined", false, false, false},
		{"/both/a", true, false, true},
	} {
		if read, write, shown := r.May(c.name, Read), r.May(c.name, Write), r.Shown(c.name); read != c.read || write != c.write || shown != c.shown {
			t.Errorf("%s: got read %v, write %v, shown %v; want %v, %v, %v", c.name, read, write, shown, c.read, c.write, c.shown)
		}
		if got, want := r.May(c.name, Read|Write), c.read && c.write; got != want {
			t.Errorf("%s: both: got %v, want %v", c.name, got, want)
		}
	}
	var none Rights
	if none.May("/", Read) || none.Shown("/a") || none.Anywhere("/", Write) {
		t.Error("no rules, and something is allowed")
	}
}

func TestShort(t *testing.T) {
	for name, want := range map[string]bool{
		"/SECRET~1": true, "/a/PROGR~12.TXT/b": true, "/~1": true,
		"/a~": false, "/a~b": false, "/backup~2026": false, "/": false, "/longername~1": false,
	} {
		if got := short(name); got != want {
			t.Errorf("short(%q): got %v, want %v", name, got, want)
		}
	}
}
