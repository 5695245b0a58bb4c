package ftplog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/ftp/ftplog"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/testkit"
)

var at = time.Date(2026, 3, 5, 7, 8, 9, 0, time.UTC)

func event(verb, arg, path string) ftpserver.Event {
	return ftpserver.Event{
		Session: 7, At: at, Took: 1500 * time.Millisecond, Account: "anna",
		Peer: netip.MustParseAddrPort("192.0.2.9:4000"), Local: netip.MustParseAddrPort("192.0.2.1:21"),
		Verb: verb, Arg: arg, Path: path, Code: 226,
	}
}

func open(t *testing.T, o ftplog.Options) (l *ftplog.Log, text func() string) {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "site.log")
	}
	o.Logger = slog.New(slog.DiscardHandler)
	o.Site = "plant"
	l, err := ftplog.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, func() string {
		t.Helper()
		b, err := os.ReadFile(o.Path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

var all = ftplog.Kinds{Commands: true, Transfers: true, Infrastructure: true}

// hostile is a name that would write lines of its own.
const hostile = "a b\r\n2026-03-05 00:00:00 1.1.1.1 root\x1b[2J\u2028+%\xff"

func TestW3C(t *testing.T) {
	l, text := open(t, ftplog.Options{Format: "w3c", Kinds: all})
	up := event("STOR", "new file.txt", "/in/new file.txt")
	up.File, up.Received = true, 12
	l.Event(up)
	l.Event(event("PASS", "", ""))
	l.Event(event("PASS", "hunter2", "")) // nobody gives this; it would not be shown either
	l.Event(event("CWD", hostile, ""))
	l.Event(event("CWD", "-", "/-"))
	opened := event("STOR", "", "/in/x")
	opened.Kind, opened.Code = ftpserver.EventDataOpened, 0
	l.Event(opened)
	head, rows, ok := strings.Cut(text(), "time-taken\n")
	if !ok || !strings.HasPrefix(head, "#Software: Sallyport\n#Version: 1.0\n#Date: ") ||
		!strings.HasSuffix(head, "\n#Fields: date time c-ip cs-username s-ip s-port cs-method cs-uri-stem sc-status sc-win32-status sc-substatus x-session x-fullpath sc-bytes cs-bytes ") {
		t.Errorf("header: got %q", head)
	}
	const want = `2026-03-05 07:08:09 192.0.2.9 anna 192.0.2.1 21 STOR new+file.txt 226 0 0 7 /in/new+file.txt 0 12 1500
2026-03-05 07:08:09 192.0.2.9 anna 192.0.2.1 21 PASS *** 226 0 0 7 - 0 0 1500
2026-03-05 07:08:09 192.0.2.9 anna 192.0.2.1 21 PASS *** 226 0 0 7 - 0 0 1500
2026-03-05 07:08:09 192.0.2.9 anna 192.0.2.1 21 CWD a+b%0D%0A2026-03-05+00:00:00+1.1.1.1+root%1B[2J%E2%80%A8%2B%25%FF 226 0 0 7 - 0 0 1500
2026-03-05 07:08:09 192.0.2.9 anna 192.0.2.1 21 CWD %2D 226 0 0 7 /- 0 0 1500
2026-03-05 07:08:09 192.0.2.9 anna 192.0.2.1 21 DataChannelOpened - 0 0 0 7 /in/x 0 0 1500
`
	if rows != want {
		t.Errorf("got\n%s\nwant\n%s", rows, want)
	}
	for i, row := range strings.Split(strings.TrimSpace(rows), "\n") {
		if n := len(strings.Fields(row)); n != 16 {
			t.Errorf("row %d has %d fields", i, n)
		}
	}
}

func TestXferlog(t *testing.T) {
	l, text := open(t, ftplog.Options{Format: "xferlog", Kinds: all})
	down := event("RETR", "f", "/a b")
	down.File, down.Sent = true, 5
	l.Event(down)
	cut := event("STOR", "f", hostile)
	cut.File, cut.Text, cut.Code, cut.Err, cut.Account, cut.Took = true, true, 426, errors.New("cut"), "anonymous", 0
	l.Event(cut)
	l.Event(event("CWD", "x", "/x"))
	stamp := at.Local().Format("Mon Jan _2 15:04:05 2006")
	want := stamp + " 1 192.0.2.9 5 /a_b b _ o r anna ftp 0 * c\n" +
		stamp + " 1 192.0.2.9 0 a_b??2026-03-05_00:00:00_1.1.1.1_root?[2J?+%? a _ i a anonymous ftp 0 * i\n"
	if got := text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestJSON(t *testing.T) {
	l, text := open(t, ftplog.Options{Format: "json", Kinds: all})
	e := event("STOR", hostile, "/in/f")
	e.Err = errors.New("cut\nhere")
	l.Event(e)
	lines := strings.Split(strings.TrimSuffix(text(), "\n"), "\n")
	if len(lines) != 1 {
		t.Fatalf("got %d lines", len(lines))
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
		t.Fatal(err)
	}
	if got["site"] != "plant" || got["user"] != "anna" || got["command"] != "STOR" || got["path"] != "/in/f" || got["code"] != 226.0 || got["error"] != "cut\nhere" {
		t.Errorf("got %v", got)
	}
}

func TestKinds(t *testing.T) {
	for name, k := range map[string]ftplog.Kinds{
		"CWD": {Commands: true}, "STOR": {Transfers: true}, "EPSV DataChannelClosed": {Infrastructure: true},
	} {
		l, text := open(t, ftplog.Options{Format: "w3c", Kinds: k})
		up, closed := event("STOR", "f", "/f"), event("STOR", "", "/f")
		up.File, closed.Kind = true, ftpserver.EventDataClosed
		for _, e := range []ftpserver.Event{event("CWD", "x", "/x"), event("EPSV", "", ""), up, closed} {
			l.Event(e)
		}
		var got []string
		for _, row := range strings.Split(text(), "\n") {
			if f := strings.Fields(row); len(f) == 16 {
				got = append(got, f[6])
			}
		}
		if g := strings.Join(got, " "); g != name {
			t.Errorf("got %q, want %q", g, name)
		}
	}
}

// TestRotation puts files by when they are large and when their day is over, and
// keeps as many as it was told.
func TestRotation(t *testing.T) {
	dir := t.TempDir()
	names := func() string {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, e := range entries {
			all = append(all, strings.TrimPrefix(e.Name(), "x.log"))
		}
		return strings.Join(all, " ")
	}
	stranger := filepath.Join(dir, "x.log.old")
	if err := os.WriteFile(stranger, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, text := open(t, ftplog.Options{Path: filepath.Join(dir, "x.log"), Format: "json", Kinds: all, Daily: true, Keep: 2, MaxSize: 800})
	write := func(day int, arg string) {
		e := event("CWD", arg, "")
		e.At = time.Now().AddDate(0, 0, day).Truncate(24 * time.Hour).Add(time.Hour)
		l.Event(e)
	}
	stamp := func(day int) string {
		return time.Now().AddDate(0, 0, day).UTC().Format(".20060102-") + "010000"
	}
	write(0, "one")
	write(1, "two")
	if got, want := names(), " "+stamp(1)+" .old"; got != want {
		t.Fatalf("a day later: got %q, want %q", got, want)
	}
	if got := text(); strings.Contains(got, "one") || !strings.Contains(got, "two") {
		t.Errorf("got %q", got)
	}
	for i := range 6 { // some 200 bytes each
		write(1, fmt.Sprintf("more-%d", i))
	}
	write(2, "last")
	got := strings.Fields(names()) // the first is x.log itself
	if len(got) != 3 || !strings.HasPrefix(got[0], stamp(1)+".00") || got[1] != stamp(2) || got[2] != ".old" {
		t.Errorf("large ones, and the oldest gone: got %q", got)
	}
}

// TestReopen goes on in a new file after another program has renamed the old one.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	l, text := open(t, ftplog.Options{Path: path, Format: "json", Kinds: all})
	l.Event(event("CWD", "one", ""))
	if err := os.Rename(path, path+".1"); err != nil {
		testkit.Need(t, false, "a system that renames an open file", err.Error())
	}
	l.Event(event("CWD", "two", ""))
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Event(event("CWD", "three", ""))
	if got := text(); strings.Contains(got, "two") || !strings.Contains(got, "three") {
		t.Errorf("got %q", got)
	}
	old, err := os.ReadFile(path + ".1")
	if err != nil || strings.Count(string(old), "\n") != 2 {
		t.Errorf("the old one: %q, %v", old, err)
	}
}
