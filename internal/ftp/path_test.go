package ftp_test

import (
	"path"
	"strings"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

func TestJoinPath(t *testing.T) {
	for _, tt := range []struct{ cwd, arg, want string }{
		{"/", "", "/"}, {"/in", "", "/in"}, {"/in", "a", "/in/a"}, {"/in", "/a", "/a"}, {"/in", "..", "/"}, {"/in", "../../../etc", "/etc"}, {"/", "../..", "/"},
		{"/in", "./a//b/", "/in/a/b"}, {"", "a", "/a"}, {"/in", "a b ", "/in/a b "}, {"/", "\xff\\..\\x", "/\xff\\..\\x"}, {"/in", "//a", "/a"}, {"/in", "...", "/in/..."}, {"/", "ä/ö", "/ä/ö"},
	} {
		if got, err := ftp.JoinPath(tt.cwd, tt.arg); err != nil || got != tt.want {
			t.Errorf("JoinPath(%q, %q): got %q, error %v, want %q", tt.cwd, tt.arg, got, err, tt.want)
		}
	}
	for _, arg := range []string{"a\x00", "a\rb", "a\n", strings.Repeat("x", 5000), strings.Repeat("/../x", 10000)} {
		if got, err := ftp.JoinPath("/", arg); fault.KindOf(err) != fault.Invalid || got != "" {
			t.Errorf("JoinPath of %.10q…: got %q, error %v, want invalid", arg, got, err)
		}
	}
	long := "/" + strings.Repeat("x", ftp.MaxPath-1)
	if got, err := ftp.JoinPath(long, ".."); err != nil || got != "/" {
		t.Errorf("got %q, error %v, want /", got, err)
	}
}

func TestQuotedPath(t *testing.T) {
	for p, want := range map[string]string{"/": `"/"`, `/a"b`: `"/a""b"`, `"`: `""""`, "/a b": `"/a b"`} {
		if got := ftp.QuotePath(p); got != want {
			t.Errorf("QuotePath(%q): got %s, want %s", p, got, want)
		}
	}
	for text, want := range map[string]string{
		`"/in" is the current directory`: "/in", // proftpd, vsftpd
		`"/in" is current directory.`:    "/in", // IIS
		`"/a""b" created`:                `/a"b`,
		`Created dir "/x"`:               "/x",
		`"/in"`:                          "/in",
	} {
		if got, err := ftp.ParseQuotedPath(text); err != nil || got != want {
			t.Errorf("ParseQuotedPath(%q): got %q, error %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", "/in", `"/in`, `""`, `"/in""`, "\"a\x00\""} {
		if got, err := ftp.ParseQuotedPath(text); fault.KindOf(err) != fault.Invalid || got != "" {
			t.Errorf("ParseQuotedPath(%q): got %q, error %v, want invalid", text, got, err)
		}
	}
}

func FuzzPath(f *testing.F) {
	f.Add("/", "../a")
	f.Add("/in/out", `x"y//./..`)
	f.Add("../..", "..")
	f.Add("/a", "\xff..\\")
	f.Fuzz(func(t *testing.T, cwd, arg string) {
		p, err := ftp.JoinPath(cwd, arg)
		if err != nil {
			if p != "" {
				t.Fatalf("got %q beside error %v", p, err)
			}
			return
		}
		if !strings.HasPrefix(p, "/") || path.Clean(p) != p || len(p) > ftp.MaxPath || strings.ContainsAny(p, "\x00\r\n") || strings.HasPrefix(p, "/../") || p == "/.." {
			t.Fatalf("JoinPath(%q, %q): got %q", cwd, arg, p)
		}
		if again, err := ftp.JoinPath("/elsewhere", p); err != nil || again != p {
			t.Fatalf("not stable: got %q, error %v, want %q", again, err, p)
		}
		if got, err := ftp.ParseQuotedPath(ftp.QuotePath(p) + " created"); err != nil || got != p {
			t.Fatalf("quoted: got %q, error %v, want %q", got, err, p)
		}
	})
}
