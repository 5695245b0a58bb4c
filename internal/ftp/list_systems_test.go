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

// Lines as real servers wrote them, as far as a source is named: documents of their
// makers, and what users of other clients sent to the authors of these.

// listing is a whole listing and what must come of it.
type listing struct {
	name, system, lines string
	grammar             string
	want                []ftp.Entry
}

func (l listing) test(t *testing.T) {
	t.Helper()
	p := &ftp.ListParser{System: l.system, Now: now}
	got, err := parseAll(p, l.lines)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l.want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if p.Grammar() != l.grammar {
		t.Errorf("read as %q, want %q", p.Grammar(), l.grammar)
	}
}

// parseAll reads a listing to its end or its first error.
func parseAll(p *ftp.ListParser, lines string) ([]ftp.Entry, error) {
	var all []ftp.Entry
	for line := range strings.SplitSeq(lines, "\n") {
		e, err := p.Parse(line)
		switch {
		case errors.Is(err, ftp.ErrSkip):
		case err != nil:
			return all, err
		default:
			all = append(all, e)
		}
	}
	return all, p.End()
}

const minute = time.Minute

func TestListings(t *testing.T) {
	for _, l := range []listing{
		// Novell's documents, and users of Cyberduck and KDE.
		{"netware", "NETWARE  remote system type.", "total 0\n" +
			"d [RWCEAFMS] Admin                     512 Oct 13  2003 PSI\n" +
			"d [R----F--] supervisor            512       Jan 16 18:53    login\n" +
			"- [RWCEAFMS] rwinston                        19968 Mar 12 15:20 Executive Summary.doc\n" +
			"d [----AF--]          0                        512 Feb 22 17:32 _ADMIN", "NetWare", []ftp.Entry{
			{Name: "PSI", Type: ftp.Dir, Size: 512, Time: utc(2003, 10, 13, 0, 0), TimePrecision: day, Owner: "Admin"},
			{Name: "login", Type: ftp.Dir, Size: 512, Time: utc(2024, 1, 16, 18, 53), TimePrecision: minute, Owner: "supervisor"},
			{Name: "Executive Summary.doc", Size: 19968, Time: utc(2024, 3, 12, 15, 20), TimePrecision: minute, Owner: "rwinston"},
			{Name: "_ADMIN", Type: ftp.Dir, Size: 512, Time: utc(2024, 2, 22, 17, 32), TimePrecision: minute, Links: 0},
		}},
		// Hellsoft's server for NetWare, with ls's columns.
		{"hellsoft", "NETWARE", "-[R----F-]  1 raw       anon     214059      Oct 20 15:27   cx.exe", "NetWare", []ftp.Entry{
			{Name: "cx.exe", Size: 214059, Time: utc(2023, 10, 20, 15, 27), TimePrecision: minute, Owner: "raw", Group: "anon", Links: 1},
		}},
		// MultiNet, UCX, CMU-IP and TCPware, from the sources of Mozilla's parser.
		{"vms", "VMS V7.1", "\nDirectory SYS$SYSDEVICE:[ANONYMOUS]\n\n" +
			"00README.TXT;1      2 30-DEC-1996 17:44 [SYSTEM] (RWED,RWED,RE,RE)\n" +
			"CORE.DIR;1          1  8-SEP-1996 16:09 [SYSTEM] (RWE,RWE,RE,RE)\n" +
			"CII-MANUAL.TEX;2  213/216  29-JAN-1996 03:33:12  [ANONYMOU,ANONYMOUS]   (RWED,RWED,,)\n" +
			"CII-MANUAL.TEX;1  213/216  29-JAN-1996 03:33  [ANONYMOU,ANONYMOUS]   (RWED,RWED,,)\n" +
			"README.FTP;1        %RMS-E-PRV, insufficient privilege or file protection violation\n" +
			"FOO.BAR;1 4 5-MAR-1993 18:09:01.12\n" +
			"THIS-IS-A-LONG-VMS-FILENAME.AND-THIS-IS-A-LONG-VMS-FILETYPE;1\n" +
			"                     213/216  29-JAN-1996 03:33  [ANONYMOU,ANONYMOUS] (RWED,RWED,,)\n" +
			"\nTotal of 7 files, 1300 blocks.", "VMS", []ftp.Entry{
			{Name: "00README.TXT;1", Size: -1, Time: utc(1996, 12, 30, 17, 44), TimePrecision: minute, Mode: 0o755, Owner: "SYSTEM"},
			{Name: "CORE", Type: ftp.Dir, Size: -1, Time: utc(1996, 9, 8, 16, 9), TimePrecision: minute, Mode: 0o755, Owner: "SYSTEM"},
			{Name: "CII-MANUAL.TEX;2", Size: -1, Time: utc(1996, 1, 29, 3, 33).Add(12 * time.Second), TimePrecision: time.Second, Mode: 0o700, Owner: "ANONYMOUS", Group: "ANONYMOU"},
			{Name: "CII-MANUAL.TEX;1", Size: -1, Time: utc(1996, 1, 29, 3, 33), TimePrecision: minute, Mode: 0o700, Owner: "ANONYMOUS", Group: "ANONYMOU"},
			{Name: "README.FTP;1", Size: -1},
			{Name: "FOO.BAR;1", Size: -1, Time: utc(1993, 3, 5, 18, 9).Add(1120 * time.Millisecond), TimePrecision: 10 * time.Millisecond},
			{Name: "THIS-IS-A-LONG-VMS-FILENAME.AND-THIS-IS-A-LONG-VMS-FILETYPE;1", Size: -1, Time: utc(1996, 1, 29, 3, 33), TimePrecision: minute, Mode: 0o700, Owner: "ANONYMOUS", Group: "ANONYMOU"},
		}},
		{"vms_cmu", "", "[VMSSERV.FILES]ALARM.DIR;1 1/3 5-MAR-1993 18:09", "VMS", []ftp.Entry{
			{Name: "ALARM", Type: ftp.Dir, Size: -1, Time: utc(1993, 3, 5, 18, 9), TimePrecision: minute},
		}},
		{"vms_empty", "VMS OpenVMS V8.4", "%DIRECT-W-NOFILES, no files found", "VMS", nil},
		// z/OS: IBM's Communications Server, and listings in tests of zowe and Sqoop.
		{"mvs", "MVS is the operating system of this server. FTP Server is running on z/OS.", "Volume Unit    Referred Ext Used Recfm Lrecl BlkSz Dsorg Dsname\n" +
			"F1DBAR 3390   2016/12/19  3   19  FB      80  3120  PO  CB12V51.CNTL\n" +
			"F1SYS1 3390   **NONE**    1  300  VB   27994 27998  PS  CB12V51.LOG\n" +
			"XRFS95 3390   2017/08/04  313875  FB    1024 27648  PS  'USERHLQI.T2.HISPAXZ'\n" +
			"TST017 3390   2023/09/08  2   59  FBA    133 32718  PO-E  NAME\n" +
			"SESPUS 3380                                        VSAM DDIR.D\n" +
			"x31167 Tape                                             UNLOAD.EDH.UNLOADT\n" +
			"Migrated                                                DEV.DATA\n" +
			"ARCIVE Not Direct Access Device                         VLOG.G0001V00\n" +
			"                                                   GDG  NEW.VLOG\n" +
			"VSM123 3390   **NONE**    1   45  ?        0     0 NONE NEW.VLOG.G0120V00\n" +
			"Pseudo Directory                                        TEST", "MVS", []ftp.Entry{
			{Name: "CB12V51.CNTL", Type: ftp.Dir, Size: -1},
			{Name: "CB12V51.LOG", Size: -1},
			{Name: "'USERHLQI.T2.HISPAXZ'", Size: -1},
			{Name: "NAME", Type: ftp.Dir, Size: -1},
			{Name: "DDIR.D", Type: ftp.Other, Size: -1},
			{Name: "UNLOAD.EDH.UNLOADT", Size: -1},
			{Name: "DEV.DATA", Type: ftp.Other, Size: -1},
			{Name: "VLOG.G0001V00", Type: ftp.Other, Size: -1},
			{Name: "NEW.VLOG", Type: ftp.Other, Size: -1},
			{Name: "NEW.VLOG.G0120V00", Type: ftp.Other, Size: -1},
			{Name: "TEST", Type: ftp.Dir, Size: -1},
		}},
		{"mvs_members", "MVS", " Name     VV.MM   Created       Changed      Size  Init   Mod   Id\n" +
			"ALLJ2     01.00 1998/08/07 1998/08/07 11:24     2     2     0 TODD\n" +
			"BLSGPROF\n$2CPF1    01.01 2001/10/18 2001/10/18 11:58    29    29     0 QFX3076", "MVS", []ftp.Entry{
			{Name: "ALLJ2", Size: -1, Time: utc(1998, 8, 7, 11, 24), TimePrecision: minute, Owner: "TODD"},
			{Name: "BLSGPROF", Size: -1},
			{Name: "$2CPF1", Size: -1, Time: utc(2001, 10, 18, 11, 58), TimePrecision: minute, Owner: "QFX3076"},
		}},
		{"mvs_modules", "MVS", " Name      Size     TTR   Alias-of AC --------- Attributes --------- Amode Rmode\n" +
			"EAGKCPT   000058   000009          00 FO             RN RU            31    ANY\n" +
			"EAGRTPRC  005F48   000011 EAGRTALT 00 FO             RN RU            31    ANY", "MVS", []ftp.Entry{
			{Name: "EAGKCPT", Size: -1}, {Name: "EAGRTPRC", Size: -1},
		}},
		{"mvs_hfs", "MVS is the operating system of this server.", "total 554\n" +
			"lrwxrwxrwx     1 CLASGEN  GRP2611        9 Jul 13 19:13 $SYSNAME -> $SYSNAME/\n" +
			"-rwx------     1 CLASGEN  GRP2611     1749 Aug 25  2004 DetailMerge", "ls", []ftp.Entry{
			{Name: "$SYSNAME", Type: ftp.Link, Target: "$SYSNAME/", Size: 9, Time: utc(2024, 7, 13, 19, 13), TimePrecision: minute, Mode: 0o777, Owner: "CLASGEN", Group: "GRP2611", Links: 1},
			{Name: "DetailMerge", Size: 1749, Time: utc(2004, 8, 25, 0, 0), TimePrecision: day, Mode: 0o700, Owner: "CLASGEN", Group: "GRP2611", Links: 1},
		}},
		// IBM i: IBM's "File and directory entries in i5/OS format", and users of
		// Apache's commons-net. Only the second date tells its order.
		{"os400", "OS/400 is the remote operating system. The TCP/IP version is \"V5R3M0\".", "" +
			"BAILEYSE     5263360 06/11/97 12:27:39 *FILE     BPTFSAVF\n" +
			"QSYS           77824 12/17/01 15:33:14 *DIR      QOpenSys/\n" +
			"RGOVINDAN        932 03/29/01 14:59:53 *STMF     /cert.txt\n" +
			"QSYS        12832768 04/14/03 16:47:25 *LIB      /QSYS.LIB/\n" +
			"                4019 04/03/03 18:58:16 *STMF     a name of words.zip", "OS/400", []ftp.Entry{
			{Name: "BPTFSAVF", Size: 5263360, Owner: "BAILEYSE"},
			{Name: "QOpenSys", Type: ftp.Dir, Size: 77824, Time: utc(2001, 12, 17, 15, 33).Add(14 * time.Second), TimePrecision: time.Second, Owner: "QSYS"},
			{Name: "cert.txt", Size: 932, Time: utc(2001, 3, 29, 14, 59).Add(53 * time.Second), TimePrecision: time.Second, Owner: "RGOVINDAN"},
			{Name: "QSYS.LIB", Type: ftp.Dir, Size: 12832768, Time: utc(2003, 4, 14, 16, 47).Add(25 * time.Second), TimePrecision: time.Second, Owner: "QSYS"},
			{Name: "a name of words.zip", Size: 4019, Time: utc(2003, 4, 3, 18, 58).Add(16 * time.Second), TimePrecision: time.Second},
		}},
		{"os400_library", "OS/400", "" +
			"CFT            45056 04/12/06 14:19:31 *FILE     AFTFRE1.FILE\n" +
			"CFT                                    *MEM      AFTFRE1.FILE/AFTFRE1.MBR\n" +
			"CFT            36864 28/11/06 15:19:30 *FILE     AFTFRE2.FILE\n" +
			"CFT                                    *MEM      AFTFRE2.FILE/AFTFRE2.MBR", "OS/400", []ftp.Entry{
			{Name: "AFTFRE1.FILE", Type: ftp.Dir, Size: 45056, Owner: "CFT"},
			{Name: "AFTFRE2.FILE", Type: ftp.Dir, Size: 36864, Owner: "CFT"}, // 2006, or 2028
		}},
		{"os400_members", "OS/400", "CFT                                    *MEM      AFTFRE1.FILE/A.MBR\nCFT                                    *MEM      AFTFRE1.FILE/B.MBR", "OS/400", []ftp.Entry{
			{Name: "A.MBR", Size: -1, Owner: "CFT"}, {Name: "B.MBR", Size: -1, Owner: "CFT"},
		}},
		// cr.yp.to/ftp/list/eplf.html
		{"eplf", "", "+i8388621.48594,m825718503,r,s280,\tdjb.html\n+i8388621.50690,m824255907,/,\t514\n+up644,\t.x y", "EPLF", []ftp.Entry{
			{Name: "djb.html", Size: 280, Time: time.Unix(825718503, 0).UTC(), TimePrecision: time.Second, Unique: "8388621.48594"},
			{Name: "514", Type: ftp.Dir, Size: -1, Time: time.Unix(824255907, 0).UTC(), TimePrecision: time.Second, Unique: "8388621.50690"},
			{Name: ".x y", Type: ftp.Other, Size: -1, Mode: 0o644},
		}},
		// Windows CE: four digits of a year, 24 hours.
		{"windows_ce", "Windows_CE", "01-01-2003  00:05       <DIR>          Temp", "dir", []ftp.Entry{
			{Name: "Temp", Type: ftp.Dir, Size: -1, Time: utc(2003, 1, 1, 0, 5), TimePrecision: minute},
		}},
		// Old Mac servers (NetPresenz): resource fork, data fork, size.
		{"netpresenz", "MACOS", "-------r--         326  1391972  1392298 Nov 22  1995 MegaPhone.sit\ndrwxrwxr-x               folder        2 May 10  1996 network", "ls", []ftp.Entry{
			{Name: "MegaPhone.sit", Size: 1392298, Time: utc(1995, 11, 22, 0, 0), TimePrecision: day, Mode: 0o004, Owner: "1391972", Links: 326},
			{Name: "network", Type: ftp.Dir, Size: 2, Time: utc(1996, 5, 10, 0, 0), TimePrecision: day, Mode: 0o775, Owner: "folder"},
		}},
	} {
		t.Run(l.name, l.test)
	}
}

func TestListOdd(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		want       ftp.Entry
	}{
		{"no_look", "-????????? ? ?    ?         ?            ?  no look", ftp.Entry{Name: " no look", Size: -1}},
		{"no_look_dir", "d????????? ? ? ? ? ? d", ftp.Entry{Name: "d", Type: ftp.Dir, Size: -1}},
		{"device", "crw-rw-rw-  1 root  wheel    3,   2 Jul 10 10:18 null", ftp.Entry{Name: "null", Type: ftp.Other, Size: -1, Mode: 0o666, Owner: "root", Group: "wheel", Links: 1, Time: utc(2024, 7, 10, 10, 18), TimePrecision: minute}},
		{"device_without_space", "brw-rw----  1 root  disk    8,0 Jul 10 10:18 sda", ftp.Entry{Name: "sda", Type: ftp.Other, Size: -1, Mode: 0o660, Owner: "root", Group: "disk", Links: 1, Time: utc(2024, 7, 10, 10, 18), TimePrecision: minute}},
		{"bsd_full_time", "-rw-r--r--  1 me  staff  12 May 28 09:15:30 2023 x y", ftp.Entry{Name: "x y", Size: 12, Mode: 0o644, Owner: "me", Group: "staff", Links: 1, Time: utc(2023, 5, 28, 9, 15).Add(30 * time.Second), TimePrecision: time.Second}},
		{"iso_seconds", "-rw-r--r-- 1 a b 12 2023-05-28 09:15:30 x", ftp.Entry{Name: "x", Size: 12, Mode: 0o644, Owner: "a", Group: "b", Links: 1, Time: utc(2023, 5, 28, 9, 15).Add(30 * time.Second), TimePrecision: time.Second}},
		{"arrows", "lrwxrwxrwx 1 a b 6 Jul 10 2020 a -> b -> c -> d", ftp.Entry{Name: "a -> b", Target: "c -> d", Type: ftp.Link, Size: 6, Mode: 0o777, Owner: "a", Group: "b", Links: 1, Time: utc(2020, 7, 10, 0, 0), TimePrecision: day}},
		{"selinux", "-rw-r--r--. 1 a b 12 Jul 10 2020 x", ftp.Entry{Name: "x", Size: 12, Mode: 0o644, Owner: "a", Group: "b", Links: 1, Time: utc(2020, 7, 10, 0, 0), TimePrecision: day}},
		{"mac_attributes", "-rwSr-Sr-T@ 1 a b 12 Jul 10 2020 x", ftp.Entry{Name: "x", Size: 12, Mode: 0o644 | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky, Owner: "a", Group: "b", Links: 1, Time: utc(2020, 7, 10, 0, 0), TimePrecision: day}},
	} {
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
	e, err := parseLine("-rw-r--r-- 1 a b 12 2023-05-28 09:15:30.123456789 +0200 x")
	if want := time.Date(2023, 5, 28, 7, 15, 30, 123456789, time.UTC); err != nil || !e.Time.Equal(want) || e.TimePrecision != 1 {
		t.Errorf("full time: got %v, %v, %v", e.Time, e.TimePrecision, err)
	}
}

// TestListLanguages has the date as ls writes it in the languages that it speaks
// (coreutils, abmon of glibc's locales), some in the bytes of older character sets.
func TestListLanguages(t *testing.T) {
	want := utc(2023, 3, 5, 0, 0)
	for name, date := range map[string]string{
		"de": "5. Mär 2023", "de_old": " 5. Mrz  2023", "de_latin1": "5. M\xe4r 2023", "fr": "5 mars 2023", "fr_month": "mars 5 2023", "es": "mar  5  2023",
		"it": " 5 mar  2023", "nl": "mrt 5 2023", "pl": "mar 5 2023", "cs": "bře 5 2023", "cs_latin2": "b\xf8e 5 2023", "fi": "maalis 5 2023", "hu": "márc 5 2023",
		"hu_point": "márc. 5 2023", "ru": "мар 5 2023", "ru_koi8": "\xcd\xc1\xd2 5 2023", "ru_1251": "\xec\xe0\xf0 5 2023", "uk": "бер 5 2023",
		"tr": "Mar 5 2023", "pt": "Mar 5 2023", "zh": "3月  5 2023", "zh_gbk": "3\xd4\xc2  5 2023", "ja": "3月  5  2023年", "ja_sjis": "3\x8c\x8e  5  2023",
		"ko": " 3월  5  2023", "sv": "5 mar 2023", "upper": "MAR 5 2023", "ja_day": "3月 5日 2023",
	} {
		e, err := parseLine("-rw-r--r--   1 owner  group   12 " + date + " name")
		if err != nil || !e.Time.Equal(want) || e.Name != "name" || e.Size != 12 {
			t.Errorf("%s: got %+v, %v", name, e, err)
		}
	}
	for _, word := range []string{"итого", "insgesamt", "合計", "总用量"} {
		if _, err := parseLine(word + " 12"); !errors.Is(err, ftp.ErrSkip) {
			t.Errorf("%s: %v", word, err)
		}
	}
}

// TestListNeverGuesses has lines that are no entries. None may be dropped, and none
// be taken for an entry by another grammar than the one of the lines before.
func TestListNeverGuesses(t *testing.T) {
	const unix, dos = "-rw-r--r-- 1 a b 12 Jul 10 2020 x\n", "05-28-24  09:15AM  1 x\n"
	for name, l := range map[string]struct{ system, lines string }{
		"chatter":               {"", unix + "ls: cannot open directory '.': Permission denied"},
		"chatter_first":         {"UNIX", "/bin/ls: x: No such file or directory\n" + unix},
		"two_grammars":          {"", unix + dos},
		"two_grammars_back":     {"", dos + unix},
		"total_in_dir":          {"", dos + "total 12"},
		"netware_then_ls":       {"NETWARE", "d [R----F--] supervisor 512 Jan 16 18:53 login\n" + unix},
		"vms_on_unix":           {"UNIX Type: L8", "A.TXT;1 2 30-DEC-1996 17:44 [SYSTEM] (RWED,RWED,RE,RE)"},
		"vms_total_is_off":      {"VMS", "Directory A:[B]\nA.TXT;1 2 30-DEC-1996 17:44 [SYSTEM] (RWED,RWED,RE,RE)\nTotal of 2 files, 4 blocks."},
		"vms_second_line_gone":  {"VMS", "Directory A:[B]\nA-LONG-NAME.TXT;1\n"},
		"vms_second_line_other": {"VMS", "A-LONG-NAME.TXT;1\nB.TXT;1 2 30-DEC-1996 17:44"},
		"vms_no_version":        {"VMS", "Directory A:[B]\nA.TXT 2 30-DEC-1996 17:44 [SYSTEM] (RWED,RWED,RE,RE)"},
		"vms_protection":        {"VMS", "A.TXT;1 2 30-DEC-1996 17:44 [SYSTEM] (RWED,RWED,RE)"},
		"mvs_no_heading":        {"MVS", "ALLJ2     01.00 1998/08/07 1998/08/07 11:24     2     2     0 TODD"},
		"mvs_unknown_state":     {"MVS", "Volume Unit    Referred Ext Used Recfm Lrecl BlkSz Dsorg Dsname\nSOMETHING NEW IS.HERE"},
		"mvs_dsorg":             {"MVS", "Volume Unit    Referred Ext Used Recfm Lrecl BlkSz Dsorg Dsname\nF1DBAR 3390   2016/12/19  3   19  FB      80  3120  XX  CB12V51.CNTL"},
		"mvs_member_chatter":    {"MVS", " Name     VV.MM   Created       Changed      Size  Init   Mod   Id\nerror"},
		"os400_chatter":         {"OS/400", "BAILEYSE     5263360 06/11/97 12:27:39 *FILE     BPTFSAVF\nCPF9801 Object not found."},
		"os400_no_such_day":     {"OS/400", "BAILEYSE     5263360 32/13/32 12:27:39 *FILE     X"},
		"os400_orders_clash":    {"OS/400", "A 1 13/12/97 12:27:39 *STMF X\nA 1 12/13/97 12:27:39 *STMF Y"},
		"eplf_no_tab":           {"", "+i8388621.48594,m825718503,r,s280 djb.html"},
		"ls_seconds_no_year":    {"", "-rw-r--r-- 1 a b 12 May 28 09:15:30 x"},
		"unlooked_columns":      {"", "-????????? ? ? ? x"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := parseAll(&ftp.ListParser{System: l.system, Now: now}, l.lines); fault.KindOf(err) != fault.Invalid {
				t.Errorf("got %+v, error %v, want a SyntaxError", got, err)
			}
		})
	}
}

func TestListOrder(t *testing.T) {
	const line = "QSYS 1 03/04/05 10:00:00 *STMF x"
	for order, want := range map[ftp.DateOrder]time.Time{
		ftp.OrderUnknown: {}, ftp.DayMonthYear: utc(2005, 4, 3, 10, 0), ftp.MonthDayYear: utc(2005, 3, 4, 10, 0), ftp.YearMonthDay: utc(2003, 4, 5, 10, 0),
	} {
		p := &ftp.ListParser{System: "OS/400", Now: now, Order: order}
		if e, err := p.Parse(line); err != nil || !e.Time.Equal(want) || p.Order != order {
			t.Errorf("%v: got %v, %v, order %v", order, e.Time, err, p.Order)
		}
	}
}

// fuzzListing has a listing read whole: the properties hold for every grammar.
func fuzzListing(f *testing.F, system string, seeds ...string) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		p := &ftp.ListParser{System: system, Now: now}
		grammar := ""
		for line := range strings.SplitSeq(lines, "\n") {
			e, err := p.Parse(line)
			if grammar != "" && p.Grammar() != grammar {
				t.Fatalf("the grammar changed from %q to %q at %q", grammar, p.Grammar(), line)
			}
			grammar = p.Grammar()
			if err != nil {
				if diff := cmp.Diff(ftp.Entry{}, e); diff != "" {
					t.Fatalf("an entry beside the error:\n%s", diff)
				}
				if strings.TrimSpace(line) != "" && !errors.Is(err, ftp.ErrSkip) && fault.KindOf(err) != fault.Invalid {
					t.Fatalf("%q: %v", line, err)
				}
				continue
			}
			switch {
			case e.Name == "" || strings.ContainsAny(e.Name+e.Target+e.Owner+e.Group, "\r\n\x00") || !strings.Contains(lines, e.Name):
				t.Fatalf("name %q from %q", e.Name, line)
			case e.Size < -1 || e.Links < 0 || e.Time.IsZero() != (e.TimePrecision == 0) || e.Time.Year() > 9999:
				t.Fatalf("%+v from %q", e, line)
			}
		}
	})
}

func FuzzNetWare(f *testing.F) {
	fuzzListing(f, "NETWARE", "total 0\nd [RWCEAFMS] Admin  512 Oct 13  2003 PSI\n- [R----F--] x 12 Jan 16 18:53    a b")
}

func FuzzVMS(f *testing.F) {
	fuzzListing(f, "VMS", "Directory A:[B]\n\nA.TXT;1 2/3 30-DEC-1996 17:44:01.12 [G,O] (RWED,R,,)\nB.DIR;1\n  2 1-JAN-2000 00:00\nTotal of 2 files.", "[A.B]C.DIR;1 1/3 5-MAR-1993 18:09", "A.B;1 %RMS-E-PRV")
}

func FuzzMVS(f *testing.F) {
	fuzzListing(f, "MVS", "Volume Unit    Referred Ext Used Recfm Lrecl BlkSz Dsorg Dsname\nF1DBAR 3390   2016/12/19  3   19  FB      80  3120  PO  CB12V51.CNTL\nMigrated  A.B",
		" Name     VV.MM   Created       Changed      Size  Init   Mod   Id\nALLJ2     01.00 1998/08/07 1998/08/07 11:24     2     2     0 TODD\nX", " Name      Size     TTR\nEAGKCPT   000058   000009          00 FO")
}

func FuzzOS400(f *testing.F) {
	fuzzListing(f, "OS/400", "BAILEYSE     5263360 06/11/97 12:27:39 *FILE     BPTFSAVF\nQSYS 1 13/12/01 15:33:14 *DIR      QOpenSys/", "CFT *MEM A.FILE/A.MBR", " 1 01.02.03 04.05.06 *STMF a b")
}

func FuzzEPLF(f *testing.F) {
	fuzzListing(f, "", "+i8388621.48594,m825718503,r,s280,\tdjb.html\n+i8388621.50690,m824255907,/,\t514\n+up644,\t.x y")
}

func FuzzDOSLine(f *testing.F) {
	fuzzListing(f, "Windows_NT", "05-28-24  09:15AM       <DIR>          folder\n05-28-2024  12:15PM  1,234 x ", "05/28/24  21:15       <JUNCTION>     link [C:\\t]")
}
