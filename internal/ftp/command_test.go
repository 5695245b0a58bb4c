package ftp_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

func TestParseCommand(t *testing.T) {
	tests := []struct {
		name, line string
		want       ftp.Command
	}{
		{"plain", "RETR a.txt", ftp.Command{Verb: "RETR", Arg: "a.txt"}},
		{"lower_case", "retr a.txt", ftp.Command{Verb: "RETR", Arg: "a.txt"}},
		{"no_argument", "PASV", ftp.Command{Verb: "PASV"}},
		{"empty_argument", "LIST ", ftp.Command{Verb: "LIST"}},
		{"spaces_kept", "STOR  two spaces  ", ftp.Command{Verb: "STOR", Arg: " two spaces  "}},
		{"digits_in_verb", "XSHA512 a", ftp.Command{Verb: "XSHA512", Arg: "a"}},
		{"interrupt_and_synch", "\xff\xf4\xff\xf2ABOR", ftp.Command{Verb: "ABOR"}},
		{"synch_taken_out_of_band", "\xff\xf4\xffABOR", ftp.Command{Verb: "ABOR"}},
		{"interrupt_taken_out_of_band", "\xff\xf2ABOR", ftp.Command{Verb: "ABOR"}},
		{"negotiation", "\xff\xfb\x01USER me", ftp.Command{Verb: "USER", Arg: "me"}},
		{"doubled_iac", "RETR a\xff\xffb", ftp.Command{Verb: "RETR", Arg: "a\xffb"}},
		{"lone_iac_kept", "RETR a\xffb", ftp.Command{Verb: "RETR", Arg: "a\xffb"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ftp.ParseCommand([]byte(tt.line))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseCommand(%q) (-want +got):\n%s", tt.line, diff)
			}
		})
	}
}

func TestParseCommandRefuses(t *testing.T) {
	for _, line := range []string{
		"", " ", " USER x", "\x16\x03\x01\x02", "GET / HTTP/1.1 \x00", "USER a\x00b", "USER a\rb", "US-ER x", "1234", "ABCDEFGHIJKLMNOPQ", "\xff", "\xff\xfb",
	} {
		got, err := ftp.ParseCommand([]byte(line))
		if se := (*ftp.SyntaxError)(nil); !errors.As(err, &se) {
			t.Errorf("ParseCommand(%q): got error %v, want a SyntaxError", line, err)
		}
		if got != (ftp.Command{}) {
			t.Errorf("ParseCommand(%q): got %v beside the error, want nothing", line, got)
		}
		if k := fault.KindOf(err); k != fault.Invalid {
			t.Errorf("ParseCommand(%q): got kind %v, want invalid", line, k)
		}
	}
}

func TestCommandSecretsNeverShow(t *testing.T) {
	for _, c := range []ftp.Command{
		{Verb: "PASS", Arg: "hunter2"}, {Verb: "pass", Arg: "hunter2"}, {Verb: "ACCT", Arg: "hunter2"},
		{Verb: "PASS ", Arg: "hunter2"}, {Verb: "SITE", Arg: "PSWD old hunter2"}, {Verb: "SITE", Arg: "  chpass hunter2"},
	} {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("got", "command", c)
		err := &ftp.ReplyError{Command: c, Reply: ftp.NewReply(ftp.CodeNotLoggedIn, "no")}
		for _, shown := range []string{c.String(), fmt.Sprint(c), log.String(), err.Error(), fault.Public(err)} {
			if strings.Contains(shown, "hunter2") {
				t.Errorf("the secret of %s shows in %q", c.Verb, shown)
			}
		}
	}
	_, err := ftp.ParseCommand([]byte("PASS hunt\x00er2"))
	if err == nil || strings.Contains(err.Error(), "hunt") {
		t.Errorf("got %v, want an error without the password", err)
	}
	if got, want := (ftp.Command{Verb: "RETR", Arg: "a\x1bb"}).String(), `RETR "a\x1bb"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCommandAppendRefusesInjection(t *testing.T) {
	for _, c := range []ftp.Command{
		{Verb: "RETR", Arg: "a\r\nDELE b"}, {Verb: "RETR", Arg: "a\nb"}, {Verb: "RETR", Arg: "a\x00"}, {Verb: "RE TR"}, {Verb: ""}, {Verb: "A\r\nB"},
	} {
		b, err := c.Append([]byte("x"))
		if err == nil || string(b) != "x" {
			t.Errorf("Append(%v): got %q and error %v, want nothing appended and an error", c, b, err)
		}
	}
}

func FuzzCommand(f *testing.F) {
	for _, s := range []string{
		"USER anonymous", "PASS a b", "\xff\xf4\xff\xf2ABOR", "RETR a\xff\xff\xffb", "EPRT |1|10.0.0.1|40122|", "OPTS UTF8 ON", "AUTH TLS", "PORT 10,0,0,1,156,186",
		"EPSV ALL", "LIST -la", "SITE CHMOD 644 x", "CLNT NcFTP 3", "\xff\xfd\x06NOOP", "\x16\x03\x01", "GET / HTTP/1.1", "STOR  x ", "MLSD\t",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		c, err := ftp.ParseCommand(line)
		if err != nil {
			if c != (ftp.Command{}) {
				t.Fatalf("got %v beside error %v", c, err)
			}
			return
		}
		out, err := c.Append(nil)
		if err != nil {
			t.Fatalf("%v parses but does not format: %v", c, err)
		}
		if bytes.Count(out, []byte("\n")) != 1 || !bytes.HasSuffix(out, []byte("\r\n")) {
			t.Fatalf("formats as more than one line: %q", out)
		}
		again, err := ftp.ParseCommand(bytes.TrimSuffix(out, []byte("\r\n")))
		if err != nil || again != c {
			t.Fatalf("got %v, error %v after formatting, want %v", again, err, c)
		}
		if s := c.String(); strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7F }) {
			t.Fatalf("shows control characters: %q", s)
		}
	})
}
