package ftp_test

import (
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

func TestParseMLSx(t *testing.T) {
	at := time.Date(2024, 5, 28, 9, 15, 1, 0, time.UTC)
	tests := []struct {
		name, line string
		want       ftp.Entry
	}{
		{
			"proftpd", "modify=20240528091501;perm=adfrw;size=1234;type=file;unique=FE03U5A0041;UNIX.group=1000;UNIX.groupname=ftp;UNIX.mode=0644;UNIX.owner=1000;UNIX.ownername=svc; a b",
			ftp.Entry{Name: "a b", Size: 1234, Time: at, TimePrecision: time.Second, Mode: 0o644, Perm: "adfrw", Unique: "FE03U5A0041", Owner: "svc", Group: "ftp"},
		},
		{
			"pure_ftpd", "type=dir;sizd=4096;modify=20240528091501;UNIX.mode=02755;UNIX.uid=0;UNIX.gid=7;unique=802gec; out",
			ftp.Entry{Name: "out", Type: ftp.Dir, Size: -1, Time: at, TimePrecision: time.Second, Mode: 0o755 | fs.ModeSetgid, Unique: "802gec", Owner: "0", Group: "7"},
		},
		{
			"upper_case_and_fraction", "TYPE=File;MODIFY=20240528091501.250;SIZE=0;x.unknown=1; x",
			ftp.Entry{Name: "x", Time: at.Add(250 * time.Millisecond), TimePrecision: time.Millisecond},
		},
		{"link_with_target", "type=OS.unix=slink:/t; l", ftp.Entry{Name: "l", Type: ftp.Link, Target: "/t", Size: -1}},
		{"link_without_target", "type=OS.UNIX=symlink; l", ftp.Entry{Name: "l", Type: ftp.Link, Size: -1}},
		{"device", "type=OS.unix=chr-13/29; d", ftp.Entry{Name: "d", Type: ftp.Other, Size: -1}},
		{"cdir", "type=cdir; /home", ftp.Entry{Name: "/home", Type: ftp.CurrentDir, Size: -1}},
		{"pdir", "type=pdir; ..", ftp.Entry{Name: "..", Type: ftp.ParentDir, Size: -1}},
		{"no_facts", " name", ftp.Entry{Name: "name", Type: ftp.Other, Size: -1}},
		{"leading_space_in_name", "type=file;  name ", ftp.Entry{Name: " name ", Size: -1}},
		{"last_semicolon_missing", "type=file;size=5 x", ftp.Entry{Name: "x", Size: 5}},
		{"values_without_sense", "type=file;size=-5;modify=20241301000000;UNIX.mode=9; x", ftp.Entry{Name: "x", Size: -1}},
		{"equals_and_semicolon_in_name", "type=file; a=b;c", ftp.Entry{Name: "a=b;c", Size: -1}},
		{"utf8", "type=file; Übergröße.xml", ftp.Entry{Name: "Übergröße.xml", Size: -1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ftp.ParseMLSx(tt.line)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, line := range []string{"", " ", "type=file;", "type=file; ", "-rw-r--r-- 1 a b 1 Jan 1 2020 x", "type=file; a\rb", "type=file; a\x00"} {
		if got, err := ftp.ParseMLSx(line); fault.KindOf(err) != fault.Invalid || got != (ftp.Entry{}) {
			t.Errorf("%q: got %+v, error %v, want invalid", line, got, err)
		}
	}
}

func TestAppendMLSx(t *testing.T) {
	e := ftp.Entry{Name: "a\r\nb", Size: 3, Time: time.Date(2024, 5, 28, 9, 15, 1, 999e6, time.FixedZone("", 3600)), Mode: 0o1777, Perm: "r", Unique: "bad one", Owner: "o;x", Group: "g"}
	e.Mode = 0o777 | fs.ModeSticky
	for _, tt := range []struct{ got, want string }{
		{string(ftp.AppendMLSx(nil, e, ftp.AllFacts)), "type=file;size=3;modify=20240528081501;perm=r;UNIX.mode=01777;UNIX.group=g; a??b"},
		{string(ftp.AppendMLSx(nil, e, 0)), " a??b"},
		{string(ftp.AppendMLSx(nil, ftp.Entry{Name: "d", Type: ftp.Dir, Size: -1}, ftp.DefaultFacts)), "type=dir; d"},
		{string(ftp.AppendMLSx(nil, ftp.Entry{Name: "l", Type: ftp.Link, Target: "/a b", Size: -1}, ftp.DefaultFacts)), "type=OS.unix=slink; l"},
		{string(ftp.AppendMLSx(nil, ftp.Entry{Name: "l", Type: ftp.Link, Target: "/t", Size: -1}, ftp.DefaultFacts)), "type=OS.unix=slink:/t; l"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestFacts(t *testing.T) {
	f := ftp.ParseFacts("Size;TYPE;unix.MODE;nonsense;;")
	if want := ftp.FactType | ftp.FactSize | ftp.FactUnixMode; f != want {
		t.Errorf("got %v, want %v", f, want)
	}
	if got, want := f.String(), "type;size;UNIX.mode;"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := ftp.AllFacts.Feat(ftp.DefaultFacts), "MLST type*;size*;modify*;perm*;unique;UNIX.mode;UNIX.owner;UNIX.group;"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := ftp.ParseFacts(""); got != 0 || got.String() != "" {
		t.Errorf("got %v, want none", got)
	}
}

func TestTime(t *testing.T) {
	for s, want := range map[string]time.Time{
		"20240528091501":            time.Date(2024, 5, 28, 9, 15, 1, 0, time.UTC),
		"20240229235960":            time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC),
		"20240528091501.5":          time.Date(2024, 5, 28, 9, 15, 1, 5e8, time.UTC),
		"20240528091501.1234567899": time.Date(2024, 5, 28, 9, 15, 1, 123456789, time.UTC),
	} {
		if got, err := ftp.ParseTime(s); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v, error %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "2024052809150", "202405280915011", "20240528091501.", "20240528091501.x", "20230229000000", "20240001000000", "20240100000000", "20240101240000", "20240101006000", "20240101000061", "2024052809150x", "-0240528091501", "99991231235960"} {
		if got, err := ftp.ParseTime(s); fault.KindOf(err) != fault.Invalid || !got.IsZero() {
			t.Errorf("%q: got %v, error %v, want invalid", s, got, err)
		}
	}
	for want, in := range map[string]time.Time{
		"20240528091501":     time.Date(2024, 5, 28, 11, 15, 1, 999, time.FixedZone("", 7200)),
		"20240528091501.007": time.Date(2024, 5, 28, 9, 15, 1, 7e6, time.UTC),
		"00000101000000":     time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		if got := ftp.FormatTime(in); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "a b", "...", ".hidden", "ä"} {
		if err := ftp.CheckName(name); err != nil {
			t.Errorf("%q: got %v, want nil", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b", "/etc/passwd", `a\b`, "a\x00", "a\nb"} {
		if err := ftp.CheckName(name); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: got %v, want invalid", name, err)
		}
	}
}

func FuzzMLSx(f *testing.F) {
	for _, s := range []string{
		"type=file;size=3;modify=20240528091500; name", "Type=dir;perm=el;UNIX.mode=01777; a b", "type=OS.unix=slink:/t;unique=1g2; l", " only name", "modify=20240528091501.123456;UNIX.owner=a;unix.groupname=b; x", "a=;b=c;size=99999999999999999999; x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		e, err := ftp.ParseMLSx(line)
		if err != nil {
			if e != (ftp.Entry{}) {
				t.Fatalf("got %+v beside error %v", e, err)
			}
			return
		}
		first := string(ftp.AppendMLSx(nil, e, ftp.AllFacts))
		if strings.ContainsAny(first, "\r\n\x00") {
			t.Fatalf("more than one line: %q", first)
		}
		again, err := ftp.ParseMLSx(first)
		if err != nil {
			t.Fatalf("%q does not parse: %v", first, err)
		}
		want := e
		want.Time, again.Time = want.Time.Truncate(time.Millisecond), again.Time.Truncate(time.Millisecond)
		want.TimePrecision, again.TimePrecision = 0, 0 // a fraction of zeros is not written again
		if diff := cmp.Diff(want, again); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", first, diff)
		}
	})
}

func BenchmarkAppendMLSx(b *testing.B) {
	e := ftp.Entry{Name: "file-0000001.xml", Size: 1234, Time: time.Date(2024, 5, 28, 9, 15, 1, 0, time.UTC), Mode: 0o644, Perm: "adfrw", Unique: "802gec"}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = ftp.AppendMLSx(buf[:0], e, ftp.AllFacts)
	}
}

func BenchmarkParseMLSx(b *testing.B) {
	line := "type=file;size=1234;modify=20240528091501;perm=adfrw;unique=802gec;UNIX.mode=0644; file-0000001.xml"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ftp.ParseMLSx(line); err != nil {
			b.Fatal(err)
		}
	}
}
