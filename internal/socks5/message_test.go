package socks5_test

import (
	"bytes"
	"io"
	"net/netip"
	"strings"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/socks5"
)

func TestReadRequest(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"name", "\x05\x01\x00\x03\x07ftp-erp\x00\x15", "ftp-erp:21"},
		{"ipv4", "\x05\x01\x00\x01\x0a\x00\x00\x05\x00\x15", "10.0.0.5:21"},
		{"ipv6", "\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\x9c\xba", "[2001:db8::7]:40122"},
		{"mapped_ipv4", "\x05\x01\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x00\x00\x05\x00\x15", "10.0.0.5:21"},
		{"address_as_name", "\x05\x01\x00\x03\x0810.0.0.5\x00\x15", "10.0.0.5:21"},
		{"ipv6_as_name", "\x05\x01\x00\x03\x032::\x00\x15", "[2::]:21"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := strings.NewReader(tt.in + "more")
			cmd, addr, err := socks5.ReadRequest(r)
			if err != nil || cmd != socks5.Connect || addr.String() != tt.want {
				t.Errorf("got %v %v, error %v, want CONNECT %s", cmd, addr, err, tt.want)
			}
			if rest, _ := io.ReadAll(r); string(rest) != "more" {
				t.Errorf("left %q unread, want %q", rest, "more")
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	tests := []struct {
		name, in string
		read     func(io.Reader) error
		want     fault.Kind
	}{
		{"empty_name", "\x05\x01\x00\x03\x00\x00\x15", readRequest, fault.Invalid},
		{"space_in_name", "\x05\x01\x00\x03\x03a b\x00\x15", readRequest, fault.Invalid},
		{"nul_in_name", "\x05\x01\x00\x03\x03a\x00b\x00\x15", readRequest, fault.Invalid},
		{"newline_in_name", "\x05\x01\x00\x03\x02a\n\x00\x15", readRequest, fault.Invalid},
		{"zone", "\x05\x01\x00\x03\x08fe80::1%\x00\x15", readRequest, fault.Invalid},
		{"unknown_type", "\x05\x01\x00\x02\x00\x00", readRequest, fault.Unsupported},
		{"other_version", "\x04\x01\x00\x01\x0a\x00\x00\x05\x00\x15", readRequest, fault.Invalid},
		{"socks4", "\x04\x01\x00\x15", readGreeting, fault.Unsupported},
		{"http", "CONNECT x:21 HTTP/1.1\r\n", readGreeting, fault.Unsupported},
		{"tls", "\x16\x03\x01", readGreeting, fault.Unsupported},
		{"garbage", "\x00\x00", readGreeting, fault.Invalid},
		{"credentials_version", "\x05\x01a\x01b", readCredentials, fault.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.read(strings.NewReader(tt.in)); fault.KindOf(err) != tt.want {
				t.Errorf("got error %v of kind %v, want %v", err, fault.KindOf(err), tt.want)
			}
		})
	}
	whole := "\x05\x01\x00\x03\x07ftp-erp\x00\x15"
	for n := range len(whole) {
		if err := readRequest(strings.NewReader(whole[:n])); err != io.ErrUnexpectedEOF {
			t.Errorf("cut after %d bytes: got error %v, want unexpected EOF", n, err)
		}
	}
}

func readRequest(r io.Reader) error     { _, _, err := socks5.ReadRequest(r); return err }
func readGreeting(r io.Reader) error    { _, err := socks5.ReadGreeting(r); return err }
func readCredentials(r io.Reader) error { _, _, err := socks5.ReadCredentials(r); return err }

func FuzzGreeting(f *testing.F) {
	f.Add([]byte("\x05\x01\x00"))
	f.Add([]byte("\x05\x03\x00\x01\x02rest"))
	f.Add([]byte("\x05\x00"))
	f.Add([]byte("\x04\x01"))
	f.Fuzz(func(t *testing.T, in []byte) {
		methods, err := socks5.ReadGreeting(bytes.NewReader(in))
		if err != nil {
			if methods != nil {
				t.Fatalf("got %v beside error %v", methods, err)
			}
			return
		}
		if out := socks5.AppendGreeting(nil, methods...); !bytes.HasPrefix(in, out) {
			t.Fatalf("formats as %x, came from %x", out, in)
		}
	})
}

func FuzzCredentials(f *testing.F) {
	f.Add([]byte("\x01\x02me\x04pass"))
	f.Add([]byte("\x01\x00\x00"))
	f.Add([]byte("\x01\x01u\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		user, password, err := socks5.ReadCredentials(bytes.NewReader(in))
		if err != nil {
			if user != "" || !password.Empty() {
				t.Fatalf("got %q beside error %v", user, err)
			}
			return
		}
		out, err := socks5.AppendCredentials(nil, user, password)
		if user == "" {
			if err == nil {
				t.Fatal("an empty user was formatted")
			}
			return
		}
		if err != nil || !bytes.HasPrefix(in, out) {
			t.Fatalf("formats as %x, error %v, came from %x", out, err, in)
		}
	})
}

func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"\x05\x01\x00\x03\x07ftp-erp\x00\x15", "\x05\x02\x00\x01\x0a\x00\x00\x05\x00\x15", "\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\x9c\xba",
		"\x05\x01\x00\x03\x032::\x00\x15", "\x05\x01\x00\x05", "\x05\x01\x00\x03\x00\x00\x15",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		cmd, addr, err := socks5.ReadRequest(bytes.NewReader(in))
		if err != nil {
			if cmd != 0 || addr != (socks5.Address{}) {
				t.Fatalf("got %v %v beside error %v", cmd, addr, err)
			}
			return
		}
		if ip, ok := addr.IP(); ok && (ip.Is4In6() || ip.Zone() != "") {
			t.Fatalf("got address %v, want a plain one", ip)
		}
		if strings.ContainsFunc(addr.Host, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Fatalf("got host %q", addr.Host)
		}
		out, err := socks5.AppendRequest(nil, cmd, addr)
		if err != nil {
			t.Fatalf("%v %v does not format: %v", cmd, addr, err)
		}
		cmd2, addr2, err := socks5.ReadRequest(bytes.NewReader(out))
		if err != nil || cmd2 != cmd || addr2 != addr {
			t.Fatalf("got %v %v, error %v after formatting, want %v %v", cmd2, addr2, err, cmd, addr)
		}
		if code, _, err := socks5.ReadReply(bytes.NewReader(out)); err != nil || byte(code) != byte(cmd) {
			t.Fatalf("as a reply: got %v, error %v", code, err)
		}
	})
}

func TestCredentialsBounds(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, c := range []struct{ user, password string }{{"", "p"}, {long, "p"}, {"u", long}} {
		if _, err := socks5.AppendCredentials(nil, c.user, secret.New(c.password)); fault.KindOf(err) != fault.Invalid || strings.Contains(err.Error(), long) {
			t.Errorf("user of %d bytes, password of %d: got error %v, want invalid", len(c.user), len(c.password), err)
		}
	}
}

func TestAddressIP(t *testing.T) {
	if ip, ok := (socks5.Address{Host: "10.0.0.5"}).IP(); !ok || ip != netip.MustParseAddr("10.0.0.5") {
		t.Errorf("got %v, %v, want 10.0.0.5", ip, ok)
	}
	if _, ok := (socks5.Address{Host: "ftp-erp"}).IP(); ok {
		t.Error("a name is an address")
	}
}
