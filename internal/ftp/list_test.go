package ftp_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// now is when the listings of the tests are read.
var now = time.Date(2024, 7, 15, 12, 0, 0, 0, time.UTC)

func utc(year int, month time.Month, day, hour, minute int) time.Time {
	return time.Date(year, month, day, hour, minute, 0, 0, time.UTC)
}

const day = 24 * time.Hour

// parseLine reads a single line, of a server that has not said what it is.
func parseLine(line string) (ftp.Entry, error) { return (&ftp.ListParser{Now: now}).Parse(line) }

func TestParseUnixLine(t *testing.T) {
	tests := []struct {
		name, line string
		want       ftp.Entry
	}{
		{
			"vsftpd_file", "-rw-r--r--    1 1000     1000         1234 May 28 09:15 a.txt",
			ftp.Entry{Name: "a.txt", Size: 1234, Time: utc(2024, 5, 28, 9, 15), TimePrecision: time.Minute, Mode: 0o644, Owner: "1000", Group: "1000", Links: 1},
		},
		{
			"vsftpd_dir_year", "drwxr-xr-x    2 0        0            4096 Jan 01  2023 out",
			ftp.Entry{Name: "out", Type: ftp.Dir, Size: 4096, Time: utc(2023, 1, 1, 0, 0), TimePrecision: day, Mode: 0o755, Owner: "0", Group: "0", Links: 2},
		},
		{
			"proftpd_link", "lrwxrwxrwx   1 ftp      ftp             7 Jul 15 11:59 link -> target with space",
			ftp.Entry{Name: "link", Type: ftp.Link, Target: "target with space", Size: 7, Time: utc(2024, 7, 15, 11, 59), TimePrecision: time.Minute, Mode: 0o777, Owner: "ftp", Group: "ftp", Links: 1},
		},
		{
			"iis_in_unix_style", "-rwxrwxrwx   1 owner    group         1803128 Jul 10 10:18 My File.zip",
			ftp.Entry{Name: "My File.zip", Size: 1803128, Time: utc(2024, 7, 10, 10, 18), TimePrecision: time.Minute, Mode: 0o777, Owner: "owner", Group: "group", Links: 1},
		},
		{
			"no_group", "-rw-r--r--   1 ftp          12 Jul 10 10:18 x",
			ftp.Entry{Name: "x", Size: 12, Time: utc(2024, 7, 10, 10, 18), TimePrecision: time.Minute, Mode: 0o644, Owner: "ftp", Links: 1},
		},
		{
			"group_with_spaces", "-rw-r--r--   1 me  Domain Users  12 Jul 10 10:18 x",
			ftp.Entry{Name: "x", Size: 12, Time: utc(2024, 7, 10, 10, 18), TimePrecision: time.Minute, Mode: 0o644, Owner: "me", Group: "Domain Users", Links: 1},
		},
		{
			"size_only", "-rw-r--r--   12 Jul 10 10:18 x",
			ftp.Entry{Name: "x", Size: 12, Time: utc(2024, 7, 10, 10, 18), TimePrecision: time.Minute, Mode: 0o644},
		},
		{
			"spaces_around_name", "-rw-r--r-- 1 a b 12 Jul 10 10:18   two in front, one behind ",
			ftp.Entry{Name: "  two in front, one behind ", Size: 12, Time: utc(2024, 7, 10, 10, 18), TimePrecision: time.Minute, Mode: 0o644, Owner: "a", Group: "b", Links: 1},
		},
		{
			"name_like_a_date", "-rw-r--r-- 1 a b 12 Jul 10 2020 1 Jan 02 2021 x",
			ftp.Entry{Name: "1 Jan 02 2021 x", Size: 12, Time: utc(2020, 7, 10, 0, 0), TimePrecision: day, Mode: 0o644, Owner: "a", Group: "b", Links: 1},
		},
		{
			"utf8", "-rw-r--r-- 1 a b 12 Jul 10 2020 Übergröße €.xml",
			ftp.Entry{Name: "Übergröße €.xml", Size: 12, Time: utc(2020, 7, 10, 0, 0), TimePrecision: day, Mode: 0o644, Owner: "a", Group: "b", Links: 1},
		},
		{
			"sticky_setgid_acl", "drwxrwsr-t+ 2 a b 12 Jul 10 2020 x",
			ftp.Entry{Name: "x", Type: ftp.Dir, Size: 12, Time: utc(2020, 7, 10, 0, 0), TimePrecision: day, Mode: 0o775 | fs.ModeSetgid | fs.ModeSticky, Owner: "a", Group: "b", Links: 2},
		},
		{
			"device", "brw-rw---- 1 root disk 8, 1 Jul 10 2020 sda1",
			ftp.Entry{Name: "sda1", Type: ftp.Other, Size: -1, Time: utc(2020, 7, 10, 0, 0), TimePrecision: day, Mode: 0o660, Owner: "root", Group: "disk", Links: 1},
		},
		{
			"dot", "drwxr-xr-x 2 a b 12 Jul 10 2020 .",
			ftp.Entry{Name: ".", Type: ftp.CurrentDir, Size: 12, Time: utc(2020, 7, 10, 0, 0), TimePrecision: day, Mode: 0o755, Owner: "a", Group: "b", Links: 2},
		},
		{
			"dotdot", "drwxr-xr-x 2 a b 12 Jul 10 2020 ..",
			ftp.Entry{Name: "..", Type: ftp.ParentDir, Size: 12, Time: utc(2020, 7, 10, 0, 0), TimePrecision: day, Mode: 0o755, Owner: "a", Group: "b", Links: 2},
		},
		{
			"iso_date", "-rw-r--r-- 1 a b 12 2023-05-28 09:15 x",
			ftp.Entry{Name: "x", Size: 12, Time: utc(2023, 5, 28, 9, 15), TimePrecision: time.Minute, Mode: 0o644, Owner: "a", Group: "b", Links: 1},
		},
		{
			"day_first", "-rw-r--r-- 1 a b 12 28. may 2023 x",
			ftp.Entry{Name: "x", Size: 12, Time: utc(2023, 5, 28, 0, 0), TimePrecision: day, Mode: 0o644, Owner: "a", Group: "b", Links: 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseLine(tt.line)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestListYear(t *testing.T) {
	cet := time.FixedZone("CET", 3600)
	tests := []struct {
		name, date string
		now        time.Time
		loc        *time.Location
		want       time.Time
	}{
		{"december_read_in_january", "Dec 31 23:59", utc(2024, 1, 1, 0, 1), nil, utc(2023, 12, 31, 23, 59)},
		{"january_read_in_january", "Jan  1 00:00", utc(2024, 1, 1, 0, 1), nil, utc(2024, 1, 1, 0, 0)},
		{"server_is_already_in_next_year", "Jan  1 00:30", utc(2023, 12, 31, 23, 50), nil, utc(2024, 1, 1, 0, 30)},
		{"more_than_a_day_ahead_is_last_year", "Jan  2 00:30", utc(2023, 12, 31, 23, 50), nil, utc(2023, 1, 2, 0, 30)},
		{"leap_day", "Feb 29 10:00", utc(2025, 1, 1, 0, 0), nil, utc(2024, 2, 29, 10, 0)},
		{"leap_day_before_1900_rule", "Feb 29 10:00", utc(2104, 2, 1, 0, 0), nil, utc(2096, 2, 29, 10, 0)},
		{"zone", "Jan  1 00:30", time.Date(2024, 1, 1, 0, 40, 0, 0, cet), cet, time.Date(2024, 1, 1, 0, 30, 0, 0, cet)},
		{"year_wins", "Jul 15  1999", now, nil, utc(1999, 7, 15, 0, 0)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := ftp.ParseUnixLine("-rw-r--r-- 1 a b 12 "+tt.date+" x", tt.now, tt.loc)
			if err != nil || !e.Time.Equal(tt.want) {
				t.Errorf("got %v, error %v, want %v", e.Time, err, tt.want)
			}
		})
	}
}

func TestListLineRefuses(t *testing.T) {
	for _, line := range []string{"", "  ", "total 12", "total 1.2M", "total 0"} {
		if _, err := parseLine(line); !errors.Is(err, ftp.ErrSkip) {
			t.Errorf("%q: got error %v, want ErrSkip", line, err)
		}
	}
	for _, line := range []string{
		"-rw-r--r-- 1 a b 12 Jul 10 2020", "-rw-r--r-- 1 a b 12 Jul 10 2020 ", "-rw-r--r-- 1 a b x Jul 10 2020 x", "-rw-r--r-- 1 a b 12 Jul 32 2020 x", "-rw-r--r-- 1 a b 12 Foo 10 2020 x",
		"-rw-r--r-- 1 a b 12 Feb 30 10:00 x", "-rw-r--r-- 1 a b 12 Jul 10 24:00 x", "xrw-r--r-- 1 a b 12 Jul 10 2020 x", "-rw-r--r- 1 a b 12 Jul 10 2020 x", "-rw-r--r-- 1 a b -5 Jul 10 2020 x",
		"ls: cannot access x: No such file", "-rw-r--r-- 1 a b 12 Jul 10 2020 a\x00b", "-rw-r--r-- 1 a b c d e f g h 12 Jul 10 2020 x", "total x", "lrwxrwxrwx 1 a b 12 Jul 10 2020  -> x",
		"13-28-24  09:15AM  1 x", "05-28-24  13:15PM  1 x", "05-28-24  09:15AM  <WHAT> x", "05-28-24  09:15AM  1", "05-28-24  09:15AM  -1 x", "05-28-24", "05-28-243  09:15AM  1 x",
		"-rw-r--r-- 1 a b 12 Jul 10 2020 " + strings.Repeat("x", 10000),
	} {
		got, err := parseLine(line)
		if fault.KindOf(err) != fault.Invalid || errors.Is(err, ftp.ErrSkip) {
			t.Errorf("%.80q: got error %v, want a SyntaxError", line, err)
		}
		if diff := cmp.Diff(ftp.Entry{}, got); diff != "" {
			t.Errorf("%.80q: an entry beside the error:\n%s", line, diff)
		}
	}
}

func TestParseDOSLine(t *testing.T) {
	tests := []struct {
		name, line string
		want       ftp.Entry
	}{
		{"iis_file", "05-28-24  09:15AM                 1234 a b.txt", ftp.Entry{Name: "a b.txt", Size: 1234, Time: utc(2024, 5, 28, 9, 15)}},
		{"iis_dir", "05-28-24  09:15PM       <DIR>          out", ftp.Entry{Name: "out", Type: ftp.Dir, Size: -1, Time: utc(2024, 5, 28, 21, 15)}},
		{"four_digits", "05-28-2024  12:15AM       <DIR>          out", ftp.Entry{Name: "out", Type: ftp.Dir, Size: -1, Time: utc(2024, 5, 28, 0, 15)}},
		{"noon", "05-28-99  12:15PM                    0 x", ftp.Entry{Name: "x", Size: 0, Time: utc(1999, 5, 28, 12, 15)}},
		{"junction", "05-28-24  09:15AM       <JUNCTION>     link [C:\\data x]", ftp.Entry{Name: "link", Type: ftp.Link, Target: "C:\\data x", Size: -1, Time: utc(2024, 5, 28, 9, 15)}},
		{"symlinkd", "05/28/2024  09:15AM    <SYMLINKD>     link", ftp.Entry{Name: "link", Type: ftp.Link, Size: -1, Time: utc(2024, 5, 28, 9, 15)}},
		{"24_hours", "05-28-24  21:15                 1,234,567 x", ftp.Entry{Name: "x", Size: 1234567, Time: utc(2024, 5, 28, 21, 15)}},
		{"leading_space_in_dir", "05-28-24  09:15AM       <DIR>            out ", ftp.Entry{Name: "  out ", Type: ftp.Dir, Size: -1, Time: utc(2024, 5, 28, 9, 15)}},
		{"leading_space_in_file", "05-28-24  09:15AM                 1234  x ", ftp.Entry{Name: " x ", Size: 1234, Time: utc(2024, 5, 28, 9, 15)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.TimePrecision = time.Minute
			got, err := parseLine(tt.line)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAppendLines(t *testing.T) {
	file := ftp.Entry{Name: "a b", Size: 1234, Time: utc(2024, 5, 28, 9, 5), Mode: 0o640 | fs.ModeSetuid, Owner: "me too", Group: "g", Links: 1}
	dir := ftp.Entry{Name: "out", Type: ftp.Dir, Size: -1, Time: utc(2023, 12, 1, 21, 15)}
	link := ftp.Entry{Name: "l\r\nn", Type: ftp.Link, Target: "t", Time: utc(2024, 7, 16, 0, 15)}
	for _, tt := range []struct{ name, got, want string }{
		{"unix_file", string(ftp.AppendUnixLine(nil, file, now)), "-rwSr-----    1 me_too   g                1234 May 28 09:05 a b"},
		{"unix_dir", string(ftp.AppendUnixLine(nil, dir, now)), "drwxr-xr-x    1 ftp      ftp                 0 Dec  1  2023 out"},
		{"unix_link_in_the_future", string(ftp.AppendUnixLine(nil, link, now)), "lrwxrwxrwx    1 ftp      ftp                 0 Jul 16  2024 l??n -> t"},
		{"dos_file", string(ftp.AppendDOSLine(nil, file)), "05-28-24  09:05AM                 1234 a b"},
		{"dos_dir", string(ftp.AppendDOSLine(nil, dir)), "12-01-23  09:15PM       <DIR>          out"},
		{"dos_link", string(ftp.AppendDOSLine(nil, link)), "07-16-24  12:15AM       <JUNCTION>     l??n [t]"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got  %q\nwant %q", tt.name, tt.got, tt.want)
		}
	}
}

func FuzzListLine(f *testing.F) {
	for _, s := range []string{
		"-rw-r--r--    1 1000     1000         1234 May 28 09:15 a.txt", "drwxr-xr-x    2 0        0            4096 Jan 01  2023 out", "lrwxrwxrwx   1 ftp ftp 7 Jul 15 11:59 link -> a -> b",
		"05-28-24  09:15AM       <DIR>          folder", "05-28-2024  12:15PM  1,234 x ", "05-28-24  09:15AM       <JUNCTION>     link [C:\\t]", "total 12", "brw-rw---- 1 root disk 8, 1 Jul 10 2020 sda1",
		"-rw-r--r-- 1 a b 12 Feb 29 10:00 x", "-rw-r--r-- 1 a b 12 2023-05-28 09:15 x", "drwxr-xr-x 1 9 9 9 Jul 15 23:00 ..",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		p := &ftp.ListParser{Now: now}
		e, err := p.Parse(line)
		if err == nil && p.Grammar() != "ls" && p.Grammar() != "dir" {
			return // others are read and not written
		}
		if err != nil {
			if diff := cmp.Diff(ftp.Entry{}, e); diff != "" {
				t.Fatalf("an entry beside the error:\n%s", diff)
			}
			return
		}
		if e.Name == "" || e.Size < -1 || e.Time.IsZero() != (e.TimePrecision == 0) || e.Links < 0 || strings.ContainsAny(e.Name+e.Target, "\r\n\x00") {
			t.Fatalf("got %+v", e)
		}
		if e.Time.IsZero() {
			return // ls's question marks, which are not written
		}
		format := func(e ftp.Entry) string { return string(ftp.AppendUnixLine(nil, e, now)) }
		if line[0] >= '0' && line[0] <= '9' {
			format = func(e ftp.Entry) string { return string(ftp.AppendDOSLine(nil, e)) }
			if e.Time.Year() >= 2070 || e.Time.Year() < 1970 {
				return // two digits cannot say it
			}
		}
		first := format(e)
		again, err := parseLine(first)
		if err != nil {
			if len(first) > len(line) && len(line) > 4096 {
				return // padding made it longer than the bound
			}
			t.Fatalf("%q does not parse: %v", first, err)
		}
		if again.Name != e.Name || again.Type != e.Type || again.Target != e.Target {
			t.Fatalf("got %+v from %q, want %+v", again, first, e)
		}
		// A time today but after now is shown by its year and loses its hour, so the
		// first round may change the date's column and no later one.
		second := format(again)
		last, err := parseLine(second)
		if third := format(last); err != nil || third != second || len(second) != len(first) {
			t.Fatalf("got  %q the third time, error %v,\nwant %q", third, err, second)
		}
	})
}

func BenchmarkAppendUnixLine(b *testing.B) {
	e := ftp.Entry{Name: "file-0000001.xml", Size: 1234, Time: utc(2024, 5, 28, 9, 15), Mode: 0o644, Owner: "svc-erp", Group: "interfaces", Links: 1}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = ftp.AppendUnixLine(buf[:0], e, now)
	}
}

func BenchmarkParseUnixLine(b *testing.B) {
	line := "-rw-r--r--    1 1000     1000         1234 May 28 09:15 file-0000001.xml"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ftp.ParseUnixLine(line, now, nil); err != nil {
			b.Fatal(err)
		}
	}
}
