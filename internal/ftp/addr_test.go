package ftp_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

func TestParsePort(t *testing.T) {
	got, err := ftp.ParsePort("10,0,0,7,156,186")
	if want := netip.MustParseAddrPort("10.0.0.7:40122"); err != nil || got != want {
		t.Errorf("got %v, error %v, want %v", got, err, want)
	}
	for _, arg := range []string{
		"", "10,0,0,7,156", "10,0,0,7,156,186,1", "10,0,0,7,156,", ",10,0,0,7,156,186", "256,0,0,7,156,186", "10,0,0,7,156,1860", "10,0,0,7,156,-1",
		" 10,0,0,7,156,186", "10,0,0,7,156,186 ", "10, 0,0,7,156,186", "10.0.0.7,156,186", "10,0,0,7,0x9c,186", "10,0,0,7,0,0", "10,0,0,7,+1,1", "١,0,0,7,1,1",
	} {
		if got, err := ftp.ParsePort(arg); fault.KindOf(err) != fault.Invalid || got != (netip.AddrPort{}) {
			t.Errorf("ParsePort(%q): got %v, error %v, want invalid", arg, got, err)
		}
	}
}

func TestParseEprt(t *testing.T) {
	for arg, want := range map[string]string{
		"|1|132.235.1.2|6275|":           "132.235.1.2:6275",
		"|2|1080::8:800:200C:417A|5282|": "[1080::8:800:200c:417a]:5282",
		"|2|::ffff:10.0.0.7|5282|":       "10.0.0.7:5282",
		"!1!10.0.0.7!1!":                 "10.0.0.7:1",
		"~2~::1~65535~":                  "[::1]:65535",
		"|2|fe80:0:0:0:0:0:0:1|5282|":    "[fe80::1]:5282",
		"#1#10.0.0.7#40122#":             "10.0.0.7:40122",
		"|1|10.0.0.7|00080|":             "10.0.0.7:80",
		"|2|2001:db8::7|40122|":          "[2001:db8::7]:40122",
	} {
		if got, err := ftp.ParseEprt(arg); err != nil || got != netip.MustParseAddrPort(want) {
			t.Errorf("ParseEprt(%q): got %v, error %v, want %s", arg, got, err, want)
		}
	}
	for _, arg := range []string{
		"", "|", "||||", "|1|10.0.0.7|0|", "|1|10.0.0.7|65536|", "|1|::1|21|", "|2|10.0.0.7|21|", "|2|fe80::1%eth0|21|", "|1|10.0.0.7|21", "1|10.0.0.7|21|",
		"|1|10.0.0.07|21|", "|1|host|21|", "|1|10.0.0.7|21|x|", " 1 10.0.0.7 21 ", "|x|10.0.0.7|21|", "|1|10.0.0.7|2 1|", "|1|" + strings.Repeat("1", 4000) + "|21|",
	} {
		if got, err := ftp.ParseEprt(arg); fault.KindOf(err) != fault.Invalid || got != (netip.AddrPort{}) {
			t.Errorf("ParseEprt(%q): got %v, error %v, want invalid", arg, got, err)
		}
	}
	if _, err := ftp.ParseEprt("|3|x|21|"); !errors.Is(err, ftp.ErrProtocol) || fault.KindOf(err) != fault.Unsupported {
		t.Errorf("protocol 3: got error %v, want ErrProtocol", err)
	}
}

func TestParsePasvReply(t *testing.T) {
	const want = "10.0.0.7:40122"
	for _, text := range []string{
		"Entering Passive Mode (10,0,0,7,156,186).", // vsftpd, proftpd, IIS
		"Entering Passive Mode (10,0,0,7,156,186)",  // pure-ftpd
		"Entering passive mode 10,0,0,7,156,186",
		"=10,0,0,7,156,186",
		"10,0,0,7,156,186",
		"v2, 3 free; 10,0,0,7,156,186, go",
		"Passive, (10,0,0,7,156,186)",
	} {
		if got, err := ftp.ParsePasvReply(ftp.NewReply(227, text)); err != nil || got.String() != want {
			t.Errorf("%q: got %v, error %v, want %s", text, got, err, want)
		}
	}
	for _, r := range []ftp.Reply{
		ftp.NewReply(229, "(10,0,0,7,156,186)"),
		ftp.NewReply(227, "(10,0,0,7,156)"),
		ftp.NewReply(227, "(10,0,0,7,156,186,1)"),
		ftp.NewReply(227, "(10,0,0,300,156,186)"),
		ftp.NewReply(227, "(10,0,0,7,0,0)"),
		ftp.NewReply(227, "(10, 0, 0, 7, 156, 186)"),
		ftp.NewReply(227, "(10,0,,7,156,186)"),
		ftp.NewReply(227, "(10,0,0,7,1560,186) (10,0,0,7,156,186)"),
		ftp.NewReply(227, ""),
		{Code: 227},
	} {
		if got, err := ftp.ParsePasvReply(r); fault.KindOf(err) != fault.Invalid || got != (netip.AddrPort{}) {
			t.Errorf("%v: got %v, error %v, want invalid", r, got, err)
		}
	}
}

func TestParseEpsvReply(t *testing.T) {
	for _, text := range []string{
		"Entering Extended Passive Mode (|||40122|)", "Entering Extended Passive Mode (|||40122|).", "Extended Passive mode OK (|||40122|)", "EPSV (ok) (!!!40122!)", "(((((40122()",
	} {
		if got, err := ftp.ParseEpsvReply(ftp.NewReply(229, text)); err != nil || got != 40122 {
			t.Errorf("%q: got %d, error %v, want 40122", text, got, err)
		}
	}
	for _, r := range []ftp.Reply{
		ftp.NewReply(227, "(|||40122|)"), ftp.NewReply(229, "|||40122|"), ftp.NewReply(229, "(|||0|)"), ftp.NewReply(229, "(|||65536|)"), ftp.NewReply(229, "(||40122|)"),
		ftp.NewReply(229, "(|||40122)"), ftp.NewReply(229, "(|||40122|"), ftp.NewReply(229, "(|||4 0|)"), ftp.NewReply(229, "(|1|10.0.0.8|40122|)"), ftp.NewReply(229, "(||!40122|)"),
		ftp.NewReply(229, "(1114012211)"), ftp.NewReply(229, "(   40122 )"), ftp.NewReply(229, "(||||)"), {Code: 229},
	} {
		if got, err := ftp.ParseEpsvReply(r); fault.KindOf(err) != fault.Invalid || got != 0 {
			t.Errorf("%v: got %d, error %v, want invalid", r, got, err)
		}
	}
}

func TestFormatAddresses(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("10.0.0.7:40122"), netip.MustParseAddrPort("[2001:db8::7]:40122")
	mapped := netip.MustParseAddrPort("[::ffff:10.0.0.7]:40122")
	for _, tt := range []struct{ got, want string }{
		{ftp.FormatPort(v4), "10,0,0,7,156,186"},
		{ftp.FormatPort(mapped), "10,0,0,7,156,186"},
		{ftp.FormatPort(v6), ""},
		{ftp.FormatPort(netip.AddrPort{}), ""},
		{ftp.FormatEprt(v4), "|1|10.0.0.7|40122|"},
		{ftp.FormatEprt(mapped), "|1|10.0.0.7|40122|"},
		{ftp.FormatEprt(v6), "|2|2001:db8::7|40122|"},
		{ftp.FormatEprt(netip.MustParseAddrPort("[fe80::1%eth0]:1")), "|2|fe80::1|1|"},
		{ftp.FormatEprt(netip.AddrPort{}), ""},
		{string(ftp.FormatPasvReply(v4).Append(nil)), "227 Entering Passive Mode (10,0,0,7,156,186).\r\n"},
		{string(ftp.FormatPasvReply(v6).Append(nil)), "522 PASV speaks IPv4 only, use EPSV (2)\r\n"},
		{string(ftp.FormatEpsvReply(40122).Append(nil)), "229 Entering Extended Passive Mode (|||40122|)\r\n"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestParseEpsvArg(t *testing.T) {
	for arg, want := range map[string]ftp.EpsvArg{"": ftp.EpsvAny, "1": ftp.EpsvIPv4, "2": ftp.EpsvIPv6, "ALL": ftp.EpsvAll, "all": ftp.EpsvAll} {
		if got, err := ftp.ParseEpsvArg(arg); err != nil || got != want {
			t.Errorf("%q: got %v, error %v, want %v", arg, got, err, want)
		}
	}
	if _, err := ftp.ParseEpsvArg("3"); !errors.Is(err, ftp.ErrProtocol) {
		t.Errorf("3: got error %v, want ErrProtocol", err)
	}
	for _, arg := range []string{"x", " 1", "-1", "ALL "} {
		if _, err := ftp.ParseEpsvArg(arg); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: got error %v, want invalid", arg, err)
		}
	}
}

func FuzzAddresses(f *testing.F) {
	for _, s := range []string{
		"10,0,0,7,156,186", "(10,0,0,7,156,186).", "|1|10.0.0.7|40122|", "|2|::ffff:1.2.3.4|1|", "|2|2001:db8::7|40122|", "x (|||40122|)", "NLST 227 Entering (1,2,3,4,5,6)", "1,2,3,4,5,6,7", "|3|x|1|",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if ap, err := ftp.ParsePort(s); err == nil {
			checkAddr(t, ap)
			if again, err := ftp.ParsePort(ftp.FormatPort(ap)); err != nil || again != ap {
				t.Errorf("PORT: got %v, error %v, want %v", again, err, ap)
			}
		}
		if ap, err := ftp.ParseEprt(s); err == nil {
			checkAddr(t, ap)
			if again, err := ftp.ParseEprt(ftp.FormatEprt(ap)); err != nil || again != ap {
				t.Errorf("EPRT: got %v, error %v, want %v", again, err, ap)
			}
		}
		if ap, err := ftp.ParsePasvReply(ftp.NewReply(227, s)); err == nil {
			checkAddr(t, ap)
			if six := ftp.FormatPort(ap); strings.Count(s, ",") < 5 {
				t.Errorf("%q gave %s", s, six)
			}
			if again, err := ftp.ParsePasvReply(ftp.FormatPasvReply(ap)); err != nil || again != ap {
				t.Errorf("PASV: got %v, error %v, want %v", again, err, ap)
			}
		}
		if port, err := ftp.ParseEpsvReply(ftp.NewReply(229, s)); err == nil {
			if again, err := ftp.ParseEpsvReply(ftp.FormatEpsvReply(port)); err != nil || again != port || port == 0 {
				t.Errorf("EPSV: got %v, error %v, want %v", again, err, port)
			}
		}
	})
}

func checkAddr(t *testing.T, ap netip.AddrPort) {
	t.Helper()
	if !ap.IsValid() || ap.Port() == 0 || ap.Addr().Is4In6() || ap.Addr().Zone() != "" {
		t.Errorf("got %v, want a plain address and a port", ap)
	}
}
