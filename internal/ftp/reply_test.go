package ftp_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

func crlf(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n" }

func TestReadReply(t *testing.T) {
	tests := []struct {
		name, in string
		want     ftp.Reply
	}{
		{"vsftpd_banner", crlf("220 (vsFTPd 3.0.3)"), ftp.NewReply(220, "(vsFTPd 3.0.3)")},
		{"proftpd_banner", crlf("220 ProFTPD Server (Debian) [::ffff:127.0.0.1]"), ftp.NewReply(220, "ProFTPD Server (Debian) [::ffff:127.0.0.1]")},
		{
			"pure_ftpd_banner",
			crlf("220---------- Welcome to Pure-FTPd [privsep] [TLS] ----------", "220-You are user number 1 of 50 allowed.", "220-Local time is now 10:15. Server port: 21.", "220 You will be disconnected after 15 minutes of inactivity."),
			ftp.NewReply(220, "--------- Welcome to Pure-FTPd [privsep] [TLS] ----------", "You are user number 1 of 50 allowed.", "Local time is now 10:15. Server port: 21.", "You will be disconnected after 15 minutes of inactivity."),
		},
		{
			"filezilla_banner",
			crlf("220-FileZilla Server 1.8.1", "220 Please visit https://filezilla-project.org/"),
			ftp.NewReply(220, "FileZilla Server 1.8.1", "Please visit https://filezilla-project.org/"),
		},
		{
			"vsftpd_feat",
			crlf("211-Features:", " EPRT", " EPSV", " MDTM", " REST STREAM", "211 End"),
			ftp.NewReply(211, "Features:", "EPRT", "EPSV", "MDTM", "REST STREAM", "End"),
		},
		{
			"iis_feat",
			crlf("211-Extended features supported:", " LANG EN*", " UTF8", " AUTH TLS;TLS-C;SSL;TLS-P;", "211 END"),
			ftp.NewReply(211, "Extended features supported:", "LANG EN*", "UTF8", "AUTH TLS;TLS-C;SSL;TLS-P;", "END"),
		},
		{
			"mlst_by_rfc",
			crlf("250-Listing /a", " type=file;size=3; /a b", "250 End"),
			ftp.NewReply(250, "Listing /a", "type=file;size=3; /a b", "End"),
		},
		{
			"mlst_with_code",
			crlf("250-Begin", "250- type=file;size=3; a", "250 End."),
			ftp.NewReply(250, "Begin", "type=file;size=3; a", "End."),
		},
		{
			"tempting_digits",
			crlf("211-Status", "226 not the end", "2110 neither", "211", "211-nor this", "250-", " 211 indented", "211 the end"),
			ftp.NewReply(211, "Status", "226 not the end", "2110 neither", "211", "nor this", "250-", "211 indented", "the end"),
		},
		{"iis_empty_text", crlf("226 "), ftp.NewReply(226, "")},
		{"bare_code", crlf("226"), ftp.NewReply(226, "")},
		{"bare_lf", "200 ok\n", ftp.NewReply(200, "ok")},
		{"empty_lines_between", crlf("214-", "", "214 "), ftp.NewReply(214, "", "", "")},
		{"doubled_iac", crlf("257 \"/\xff\xff\""), ftp.NewReply(257, "\"/\xff\"")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, in := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in)), iotest.DataErrReader(strings.NewReader(tt.in))} {
				r := ftp.NewReader(in, 0)
				got, err := r.ReadReply()
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if _, err := r.ReadReply(); err != io.EOF {
					t.Errorf("after the reply: got error %v, want EOF", err)
				}
			}
		})
	}
}

func TestReadReplyRefuses(t *testing.T) {
	tests := []struct {
		name, in string
		syntax   bool
	}{
		{"http", crlf("HTTP/1.1 400 Bad Request"), true},
		{"ssh", crlf("SSH-2.0-OpenSSH_9.2p1"), true},
		{"two_digits", crlf("22 x"), true},
		{"code_too_low", crlf("099 x"), true},
		{"code_too_high", crlf("600 x"), true},
		{"letter_after_code", crlf("220x"), true},
		{"tab_after_code", crlf("220\tx"), true},
		{"empty_line", crlf(""), true},
		{"cut_in_the_line", "220 hel", false},
		{"cut_between_lines", "220-hello\r\n", false},
		{"too_many_lines", "211-\r\n" + strings.Repeat(" x\r\n", ftp.MaxReplyLines) + "211 \r\n", true},
		{"too_many_bytes", "211-\r\n" + strings.Repeat(strings.Repeat("x", 4000)+"\r\n", 20) + "211 \r\n", true},
		{"line_too_long", "220 " + strings.Repeat("x", 5000) + "\r\n", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ftp.NewReader(strings.NewReader(tt.in), 0).ReadReply()
			if err == nil || err == io.EOF {
				t.Fatalf("got %v, error %v, want a true error", got, err)
			}
			if se := (*ftp.SyntaxError)(nil); errors.As(err, &se) != tt.syntax {
				t.Errorf("got error %v, want a SyntaxError: %v", err, tt.syntax)
			}
			if !tt.syntax && err != io.ErrUnexpectedEOF {
				t.Errorf("got error %v, want unexpected EOF", err)
			}
			if diff := cmp.Diff(ftp.Reply{}, got); diff != "" {
				t.Errorf("a reply beside the error:\n%s", diff)
			}
		})
	}
}

func TestReplyAppend(t *testing.T) {
	tests := []struct {
		name string
		r    ftp.Reply
		want string
	}{
		{"one_line", ftp.NewReply(200, "ok"), crlf("200 ok")},
		{"no_line", ftp.Reply{Code: 200}, crlf("200 ")},
		{"lines", ftp.NewReply(211, "Features:", "EPSV", "End"), crlf("211-Features:", " EPSV", "211 End")},
		{"cannot_end_early", ftp.NewReply(211, "a", "211 End", "b"), crlf("211-a", " 211 End", "211 b")},
		{"cannot_inject", ftp.NewReply(550, "a\r\n226 done\x00"), crlf("550 a??226 done?")},
		{"iac", ftp.NewReply(257, "\xff"), crlf("257 \xff\xff")},
		{"impossible_code", ftp.NewReply(7, "x"), crlf("451 x")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(tt.r.Append(nil)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestReadLineGoesOnAfterTooLong(t *testing.T) {
	long := strings.Repeat("x", 100000)
	exact := strings.Repeat("y", 64)
	in := "NOOP\r\n" + long + "\r\nQUIT\n" + exact + "\r\n" + exact + "y\r\n" + exact + "\n" + "USER"
	for name, in := range map[string]io.Reader{"whole": strings.NewReader(in), "bytewise": iotest.OneByteReader(strings.NewReader(in))} {
		t.Run(name, func(t *testing.T) {
			r := ftp.NewReader(in, 64)
			for i, want := range []string{"NOOP", "", "QUIT", exact, "", exact} {
				line, err := r.ReadLine()
				if want == "" {
					if !errors.Is(err, ftp.ErrLineTooLong) {
						t.Fatalf("line %d: got %q, error %v, want line too long", i, line, err)
					}
				} else if err != nil || string(line) != want {
					t.Fatalf("line %d: got %q, error %v, want %q", i, line, err, want)
				}
			}
			if _, err := r.ReadLine(); err != io.ErrUnexpectedEOF {
				t.Errorf("got error %v at the end, want unexpected EOF", err)
			}
		})
	}
}

// A deadline in the middle of a line must not lose what came before it.
func TestReadLineSurvivesTimeout(t *testing.T) {
	r := ftp.NewReader(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("AB\r\n"))), 0)
	if _, err := r.ReadLine(); err != iotest.ErrTimeout {
		t.Fatalf("got error %v, want the timeout", err)
	}
	if line, err := r.ReadLine(); err != nil || string(line) != "AB" {
		t.Errorf("got %q, error %v, want the whole line", line, err)
	}
}

func TestReaderBufferedAndReset(t *testing.T) {
	r := ftp.NewReader(strings.NewReader("AUTH TLS\r\nUSER injected\r\n"), 0)
	if _, err := r.ReadCommand(); err != nil {
		t.Fatal(err)
	}
	if got, want := r.Buffered(), len("USER injected\r\n"); got != want {
		t.Errorf("got %d bytes read ahead, want %d", got, want)
	}
	r.Reset(strings.NewReader("NOOP\r\n"))
	if c, err := r.ReadCommand(); err != nil || c.Verb != "NOOP" {
		t.Errorf("after Reset: got %v, error %v, want NOOP", c, err)
	}
}

func TestReplyErrorKinds(t *testing.T) {
	tests := []struct {
		name string
		cmd  string
		code ftp.Code
		text string
		want fault.Kind
	}{
		{"vsftpd_full", "USER", 421, "There are too many connected users, please try later.", fault.Busy},
		{"no_data", "RETR", 425, "Failed to establish connection.", fault.Unreachable},
		{"aborted", "STOR", 426, "Failure reading network stream.", fault.Unreachable},
		{"iis_locked", "DELE", 550, "The process cannot access the file because it is being used by another process. ", fault.Busy},
		{"iis_missing", "RETR", 550, "The system cannot find the file specified. ", fault.NotFound},
		{"iis_denied", "STOR", 550, "Access is denied. ", fault.Denied},
		{"proftpd_missing", "RETR", 550, "x: No such file or directory", fault.NotFound},
		{"proftpd_denied", "STOR", 550, "x: Permission denied", fault.Denied},
		{"proftpd_busy", "LIST", 450, "x: No such file or directory", fault.NotFound},
		{"vsftpd_any", "RETR", 550, "Failed to open file.", fault.NotFound},
		{"vsftpd_store", "STOR", 553, "Could not create file.", fault.Invalid},
		{"pure_ftpd", "RETR", 550, "Can't open x: No such file or directory", fault.NotFound},
		{"pure_ftpd_mkdir", "MKD", 550, "Can't create directory: File exists", fault.Exists},
		{"rmd", "RMD", 550, "Directory not empty", fault.Exists},
		{"quota", "STOR", 552, "Transfer aborted. Disk quota exceeded", fault.Full},
		{"space", "STOR", 452, "No space", fault.Full},
		{"login", "PASS", 530, "Login incorrect.", fault.Unauthenticated},
		{"unknown", "MLSD", 500, "Unknown command.", fault.Unsupported},
		{"unimplemented", "MLSD", 502, "Command not implemented.", fault.Unsupported},
		{"parameter", "TYPE", 504, "no", fault.Unsupported},
		{"argument", "PORT", 501, "Illegal PORT command.", fault.Invalid},
		{"mkd_exists", "MKD", 521, "Directory exists", fault.Exists},
		{"local", "RETR", 451, "oops", fault.Busy},
		{"unknown_4yz", "RETR", 499, "?", fault.Busy},
		{"unknown_59x", "RETR", 599, "?", fault.NotFound},
		{"not_a_refusal", "RETR", 200, "?", fault.Internal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := error(&ftp.ReplyError{Command: ftp.Command{Verb: tt.cmd, Arg: "x"}, Reply: ftp.NewReply(tt.code, tt.text)})
			if got := fault.KindOf(err); got != tt.want {
				t.Errorf("%v: got kind %v, want %v", err, got, tt.want)
			}
		})
	}
}

func TestReplyErrorIgnoresTheName(t *testing.T) {
	err := &ftp.ReplyError{Command: ftp.Command{Verb: "RETR", Arg: "in/access denied.txt"}, Reply: ftp.NewReply(550, "access denied.txt: No such file")}
	if got := err.Fault(); got != fault.NotFound {
		t.Errorf("got %v, want not-found", got)
	}
	want := `RETR "in/access denied.txt": 550 "access denied.txt: No such file"`
	if got := fault.Public(err); got != want {
		t.Errorf("got public text %s, want %s", got, want)
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{
		crlf("220 ready"), crlf("220-a", "220 b"), crlf("211-F", " EPSV", "211 End"), crlf("250-x", "250- type=dir; a", "250 y"), crlf("227 Entering (1,2,3,4,5,6)"),
		crlf("211-", "226 x", "211", "211 "), "226\n", "\xff\xff", crlf("257 \"/\xff\xff\xff\""), crlf("200 a\rb"), crlf("150 x", "226 y"),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := ftp.NewReader(bytes.NewReader(in), 0).ReadReply()
		if err != nil {
			if r.Code != 0 || r.Lines != nil {
				t.Fatalf("got %v beside error %v", r, err)
			}
			return
		}
		if len(r.Lines) == 0 || len(r.Lines) > ftp.MaxReplyLines || len(r.Text()) > ftp.MaxReplyBytes {
			t.Fatalf("out of bounds: %d lines, %d bytes", len(r.Lines), len(r.Text()))
		}
		out := r.Append(nil)
		again, err := ftp.NewReader(bytes.NewReader(out), 0).ReadReply()
		if err != nil {
			if len(out) > ftp.DefaultMaxLine { // doubling IACs made a line longer than the bound
				return
			}
			t.Fatalf("%q does not parse: %v", out, err)
		}
		// A CR or NUL inside a line becomes "?", so compare what was formatted.
		if twice := again.Append(nil); !bytes.Equal(out, twice) {
			t.Fatalf("got %q the second time, want %q", twice, out)
		}
		if again.Code != r.Code || len(again.Lines) != len(r.Lines) {
			t.Fatalf("got %v after formatting, want %v", again, r)
		}
	})
}

// The reader must give the same lines however the bytes are cut, keep to its
// bound, and lose nothing but what is too long.
func FuzzReader(f *testing.F) {
	f.Add([]byte("USER a\r\nPASS b\n\r\n"), uint8(3))
	f.Add([]byte(strings.Repeat("x", 40)+"\nNOOP\r\n"), uint8(16))
	f.Add([]byte("\r\r\n\n\r"), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, bound uint8) {
		limit := int(bound)%32 + 1
		whole, wholeErr := readLines(ftp.NewReader(bytes.NewReader(in), limit), limit, t)
		cut, cutErr := readLines(ftp.NewReader(iotest.OneByteReader(bytes.NewReader(in)), limit), limit, t)
		if diff := cmp.Diff(whole, cut); diff != "" || wholeErr != cutErr {
			t.Fatalf("cut differently: %v, %v\n%s", wholeErr, cutErr, diff)
		}
		var want []string
		rest := string(in)
		for {
			line, after, ok := strings.Cut(rest, "\n")
			if !ok {
				break
			}
			if line = strings.TrimSuffix(line, "\r"); len(line) > limit {
				line = "too long"
			}
			want, rest = append(want, line), after
		}
		if diff := cmp.Diff(want, whole); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		if wantErr := map[bool]error{true: io.EOF, false: io.ErrUnexpectedEOF}[rest == ""]; wholeErr != wantErr {
			t.Fatalf("got error %v at the end, want %v", wholeErr, wantErr)
		}
	})
}

func readLines(r *ftp.Reader, limit int, t *testing.T) (lines []string, err error) {
	t.Helper()
	for {
		line, err := r.ReadLine()
		switch {
		case errors.Is(err, ftp.ErrLineTooLong):
			lines = append(lines, "too long")
		case err != nil:
			return lines, err
		default:
			lines = append(lines, string(line))
		}
		if r.Buffered() > limit+2 {
			t.Fatalf("%d bytes read ahead, bound is %d", r.Buffered(), limit)
		}
	}
}
