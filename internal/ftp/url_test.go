package ftp_test

import (
	"strings"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

func TestParseURL(t *testing.T) {
	for _, tt := range []struct{ in, addr, user, path, out string }{
		{"ftp://host", "host:21", "", "", "ftp://host/"},
		{"ftp://erp@ftp-erp/out/", "ftp-erp:21", "erp", "out/", "ftp://erp@ftp-erp/out/"},
		{"FTP://h:2121/a%20b/%C3%BC", "h:2121", "", "a b/ü", "ftp://h:2121/a%20b/%C3%BC"},
		{"ftp://h/%2Fetc/x", "h:21", "", "/etc/x", "ftp://h/%2Fetc/x"},
		{"ftps://h/", "h:990", "", "", "ftps://h/"},
		{"ftpes://u:p@[::1]:21/x", "[::1]:21", "u", "x", "ftpes://u@[::1]/x"},
		{"ftp://h/a%3Fb%23c", "h:21", "", "a?b#c", "ftp://h/a%3Fb%23c"},
	} {
		u, err := ftp.ParseURL(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if u.Addr() != tt.addr || u.User != tt.user || u.Path != tt.path || u.String() != tt.out {
			t.Errorf("%s: got %s user %q path %q, %s; want %s %q %q, %s", tt.in, u.Addr(), u.User, u.Path, u, tt.addr, tt.user, tt.path, tt.out)
		}
	}
	for _, in := range []string{"http://h/", "ftp:///x", "ftp://h:0/", "ftp://h:99999/", "ftp://h/%0d%0aDELE%20x", "ftp://u:hunter2@h/\x01", "ftp://h/a?b", "h/path", "ftp://u:hunter2@h:x/"} {
		_, err := ftp.ParseURL(in)
		if fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
			t.Errorf("%q: got %v, want an invalid one with a hint", in, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error repeats the password: %v", in, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"ftp://u@h:1/a%20b", "ftpes://[::1]/%2Fx", "ftps://h//x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ftp.ParseURL(s)
		if err != nil {
			if u != (ftp.URL{}) {
				t.Errorf("%q: an error with %v", s, u)
			}
			return
		}
		again, err := ftp.ParseURL(u.String())
		if err != nil {
			t.Fatalf("%q became %q: %v", s, u, err)
		}
		if again.String() != u.String() || again.Path != u.Path || again.Addr() != u.Addr() || again.User != u.User {
			t.Errorf("%q: %+v, again %+v", s, u, again)
		}
	})
}
