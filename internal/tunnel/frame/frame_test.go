package frame_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"sallyport.dev/internal/tunnel/frame"
)

var anID = frame.ID{0: 1, 15: 0xff}

func TestOpenRoundTrip(t *testing.T) {
	want := frame.Open{ID: anID, Host: "ftp-erp", Port: 21, Principal: "user:svc-cpi"}
	b, err := frame.AppendOpen(nil, want)
	if err != nil {
		t.Fatal(err)
	}
	typ, body, err := frame.ReadMessage(bytes.NewReader(b))
	if err != nil || typ != frame.TypeOpen {
		t.Fatalf("got %v %v, want open", typ, err)
	}
	got, err := frame.ParseOpen(body)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestOpenRefuses(t *testing.T) {
	good := frame.Open{ID: anID, Host: "h", Port: 21, Principal: "p"}
	for name, change := range map[string]func(*frame.Open){
		"flags":              func(o *frame.Open) { o.Flags = 1 },
		"port-zero":          func(o *frame.Open) { o.Port = 0 },
		"no-host":            func(o *frame.Open) { o.Host = "" },
		"host-too-long":      func(o *frame.Open) { o.Host = strings.Repeat("h", frame.MaxHost+1) },
		"host-with-space":    func(o *frame.Open) { o.Host = "a b" },
		"host-with-newline":  func(o *frame.Open) { o.Host = "a\n" },
		"no-principal":       func(o *frame.Open) { o.Principal = "" },
		"principal-control":  func(o *frame.Open) { o.Principal = "a\x00b" },
		"principal-too-long": func(o *frame.Open) { o.Principal = strings.Repeat("p", frame.MaxPrincipal+1) },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			change(&o)
			if b, err := frame.AppendOpen(nil, o); err == nil || len(b) != 0 {
				t.Errorf("got %d bytes, %v; want an error and nothing", len(b), err)
			}
		})
	}
}

func TestReadMessageBounds(t *testing.T) {
	for name, in := range map[string]string{
		"unknown-type":   "\x09\x00\x00",
		"type-zero":      "\x00\x00\x00",
		"too-long":       "\x02\xff\xff",
		"ping-with-body": "\x04\x00\x01x",
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := frame.ReadMessage(strings.NewReader(in))
			if se := (*frame.SyntaxError)(nil); !errors.As(err, &se) {
				t.Errorf("got %v, want a syntax error", err)
			}
		})
	}
	for in, want := range map[string]error{"": io.EOF, "\x02": io.ErrUnexpectedEOF, "\x02\x00\x05ab": io.ErrUnexpectedEOF} {
		if _, _, err := frame.ReadMessage(strings.NewReader(in)); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", in, err, want)
		}
	}
}

func TestHeader(t *testing.T) {
	var b [frame.HeaderLen]byte
	frame.PutHeader(b[:], frame.MaxData)
	if h, err := frame.ParseHeader(b[:]); err != nil || h.N != frame.MaxData || h.Reset || h.End() {
		t.Errorf("got %+v %v", h, err)
	}
	if h, err := frame.ParseHeader(frame.AppendEnd(nil)); err != nil || !h.End() {
		t.Errorf("got %+v %v, want an end mark", h, err)
	}
	r := frame.AppendReset(nil, frame.CodePeer)
	if h, err := frame.ParseHeader(r); err != nil || !h.Reset || h.End() {
		t.Errorf("got %+v %v, want a reset", h, err)
	}
	if c, err := frame.ParseCode(r[frame.HeaderLen:]); err != nil || c != frame.CodePeer {
		t.Errorf("got %v %v, want %v", c, err, frame.CodePeer)
	}
	if _, err := frame.ParseHeader([]byte{0x00, 0x10, 0x00, 0x01}); err == nil {
		t.Error("a frame of MaxData+1 bytes parsed")
	}
}

func TestControlRoundTrip(t *testing.T) {
	for _, want := range controls {
		b, err := frame.AppendControl(nil, want)
		if err != nil {
			t.Fatalf("%T: %v", want, err)
		}
		got, err := frame.ReadControl(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%T: %v", want, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%T: %s", want, d)
		}
	}
}

var controls = []frame.Control{
	&frame.Hello{Protocol: 1, Software: "0.1", Location: "plant1", Instance: anID, Mappings: []frame.Mapping{
		{Host: "ftp-erp", First: 21, Last: 21, Protocol: "ftp"}, {Host: "legacy", First: 5000, Last: 5010, Protocol: "tcp"},
	}},
	&frame.Welcome{Protocol: 1, Software: "0.1", Session: anID, Spares: 4},
	&frame.Refusal{Kind: "denied", Text: "revoked", Hint: "join anew"},
	&frame.Ping{Seq: 7},
	&frame.Pong{Seq: 7},
	&frame.Grow{Count: 3},
	&frame.Lookup{ID: 1, Principal: "user:a", Host: "10.0.0.5", Port: 40122},
	&frame.Found{ID: 1, Found: true},
	&frame.Renew{CSR: []byte{1, 2, 3}},
	&frame.Renewed{Certificate: []byte("-----BEGIN")},
	&frame.Drain{Reason: "stopping"},
}

func TestControlRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"type-zero":      "\x00{}",
		"type-unknown":   "\xff{}",
		"unknown-field":  "\x04{\"seq\":1,\"x\":2}",
		"two-objects":    "\x04{\"seq\":1}{}",
		"grow-too-much":  "\x06{\"count\":65}",
		"no-location":    "\x01{\"protocol\":1,\"instance\":\"00000000000000000000000000000000\"}",
		"ports-reversed": "\x01{\"protocol\":1,\"location\":\"l\",\"mappings\":[{\"host\":\"h\",\"first\":2,\"last\":1,\"protocol\":\"tcp\"}]}",
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := frame.ParseControl([]byte(in)); err == nil || m != nil {
				t.Errorf("got %v, %v; want nothing and an error", m, err)
			}
		})
	}
	if _, err := frame.ReadControl(strings.NewReader("\xff\xff\xff\xff")); err == nil {
		t.Error("a control message of 4 GiB was taken on")
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"a\r\nb":     "a  b",
		"\xff":       "\uFFFD",
		"abcdefghij": "abcdefgh",
		"abcdefgé":   "abcdefg",
		"":           "",
	} {
		if got := frame.Clean(in, 8); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzMessage(f *testing.F) {
	o, _ := frame.AppendOpen(nil, frame.Open{ID: anID, Host: "ftp-erp", Port: 21, Principal: "user:x"})
	s, _ := frame.AppendStatus(nil, frame.Status{Kind: "denied", Text: "no", Hint: "yes"})
	ok, _ := frame.AppendStatus(nil, frame.Status{})
	for _, b := range [][]byte{o, s, ok, frame.AppendPing(nil), frame.AppendPong(nil), frame.AppendAttach(nil, anID)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		typ, body, err := frame.ReadMessage(r)
		if err != nil {
			if typ != 0 || body != nil {
				t.Fatalf("error with %v %q", typ, body)
			}
			return
		}
		var out []byte
		switch typ {
		case frame.TypeAttach:
			var id frame.ID
			if id, err = frame.ParseAttach(body); err == nil {
				out = frame.AppendAttach(nil, id)
			}
		case frame.TypeOpen:
			var o frame.Open
			if o, err = frame.ParseOpen(body); err == nil {
				out, err = frame.AppendOpen(nil, o)
			} else if o != (frame.Open{}) {
				t.Fatalf("error with %+v", o)
			}
		case frame.TypeStatus:
			var s frame.Status
			if s, err = frame.ParseStatus(body); err == nil {
				out, err = frame.AppendStatus(nil, s)
			} else if s != (frame.Status{}) {
				t.Fatalf("error with %+v", s)
			}
		case frame.TypePing:
			out = frame.AppendPing(nil)
		case frame.TypePong:
			out = frame.AppendPong(nil)
		}
		if err == nil && !bytes.Equal(out, in[:len(out)]) {
			t.Fatalf("got %x, want what was parsed: %x", out, in)
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add(frame.AppendEnd(nil))
	f.Add(frame.AppendReset(nil, frame.CodeIdle))
	f.Add([]byte{0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := frame.ParseHeader(in)
		if err != nil {
			if h != (frame.Header{}) {
				t.Fatalf("error with %+v", h)
			}
			return
		}
		var out []byte
		switch {
		case h.End():
			out = frame.AppendEnd(nil)
		case h.Reset:
			c, err := frame.ParseCode(in[frame.HeaderLen:])
			if err != nil {
				return
			}
			out = frame.AppendReset(nil, c)
		default:
			out = make([]byte, frame.HeaderLen)
			frame.PutHeader(out, h.N)
		}
		if !bytes.Equal(out, in[:len(out)]) {
			t.Fatalf("got %x, want %x", out, in)
		}
	})
}

func FuzzControl(f *testing.F) {
	for _, m := range controls {
		b, err := frame.AppendControl(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[4:])
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := frame.ParseControl(in)
		if err != nil {
			if m != nil {
				t.Fatalf("error with %+v", m)
			}
			return
		}
		b, err := frame.AppendControl(nil, m)
		if err != nil {
			if len(in) < frame.MaxControl/8 {
				t.Fatalf("parsed, but cannot be written: %v", err)
			}
			return
		}
		again, err := frame.ReadControl(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("written, but cannot be read: %v", err)
		}
		if d := cmp.Diff(m, again); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzClean(f *testing.F) {
	f.Add("a\x00\xff\u2028é", 3)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = max(0, limit%2000)
		got := frame.Clean(s, limit)
		if len(got) > limit || !utf8.ValidString(got) {
			t.Fatalf("got %q for limit %d", got, limit)
		}
		if limit <= frame.MaxText {
			if _, err := frame.AppendStatus(nil, frame.Status{Kind: "denied", Text: got, Hint: got}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
