package flow

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sallyport.dev/internal/expr"
	"sallyport.dev/internal/fault"
)

// Bounds of names, in bytes.
const (
	MaxPath    = 4096
	MaxElement = 255
)

// tempPrefix begins the names that files have while they are being written.
const tempPrefix = ".sallyport-"

// Path is a file's path from the directory of its source or sink: elements
// separated by "/", raw bytes as the other side has them, never absolute, without
// "." and "..".
type Path string

// ParsePath cleans s and checks that it is a [Path]. The error is [fault.Invalid].
func ParsePath(s string) (Path, error) {
	refuse := func(why string) (Path, error) {
		return "", fault.New(fault.Invalid, "name %.200q %s", s, why).
			WithHint("a name is relative to the directory and stays in it, at most %d bytes an element", MaxElement)
	}
	switch {
	case s == "":
		return refuse("is empty")
	case len(s) > MaxPath:
		return refuse(fmt.Sprintf("is over %d bytes", MaxPath))
	case strings.ContainsAny(s, "\x00\r\n"):
		return refuse("has a NUL or line end in it")
	case s[0] == '/':
		return refuse("is absolute")
	case s[len(s)-1] == '/':
		return refuse("names a folder")
	}
	for e := range strings.SplitSeq(s, "/") {
		if e == ".." {
			return refuse("leads out of its directory")
		}
		if len(e) > MaxElement {
			return refuse("has an element that is too long")
		}
	}
	p := path.Clean(s)
	if p == "." {
		return refuse("names the directory itself")
	}
	if strings.HasPrefix(path.Base(p), tempPrefix) {
		return refuse("has the form of a temporary name")
	}
	return Path(p), nil
}

// Dir returns the path without its last element; "" at the top.
func (p Path) Dir() string {
	if i := strings.LastIndexByte(string(p), '/'); i >= 0 {
		return string(p[:i])
	}
	return ""
}

// Base returns the last element.
func (p Path) Base() string { return string(p[strings.LastIndexByte(string(p), '/')+1:]) }

// Temporary reports whether the name is one that files have while being written.
func (p Path) Temporary() bool { return strings.HasPrefix(p.Base(), tempPrefix) }

// LogValue quotes the path: it comes from other machines.
func (p Path) LogValue() slog.Value { return slog.StringValue(strconv.Quote(string(p))) }

// MarshalJSON gives a string, or {"bytes": base64} for a path that is not UTF-8.
func (p Path) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(p)) {
		return json.Marshal(string(p))
	}
	return json.Marshal(rawPath{[]byte(p)})
}

// UnmarshalJSON reads what MarshalJSON gives.
func (p *Path) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		var raw rawPath
		if err := json.Unmarshal(b, &raw); err != nil {
			return err
		}
		*p = Path(raw.Bytes)
		return nil
	}
	return json.Unmarshal(b, (*string)(p))
}

type rawPath struct {
	Bytes []byte `json:"bytes"`
}

// File is a file as its source lists it. Together with the source's identity these
// facts make the key it is claimed under: a file with any of them changed is
// another file.
type File struct {
	Path Path      `json:"path"`
	Size int64     `json:"size"`          // bytes; -1 if the source does not say
	Time time.Time `json:"time,omitzero"` // last modification; zero if the source does not say
	ID   string    `json:"id,omitempty"`  // the source's own name for this file's content, such as an inode; may be empty
}

// same reports whether two looks saw the same content, as far as the source says.
func (f File) same(g File) bool {
	return f.Path == g.Path && f.Size == g.Size && f.Time.Equal(g.Time) && f.ID == g.ID
}

func (f File) env(now time.Time, flow string) expr.Env {
	return expr.Env{File: expr.NewFile(string(f.Path), f.Size, f.Time), Now: now, Flow: flow}
}

// key identifies a claimed file: 128 bits of a hash over its source and its facts.
type key [16]byte

func keyOf(source string, f File) key {
	h := sha256.New()
	for _, s := range []string{source, string(f.Path), f.ID} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s))) // lengths keep the fields apart
		h.Write(n[:])
		h.Write([]byte(s))
	}
	var nano int64
	if !f.Time.IsZero() {
		nano = f.Time.UnixNano()
	}
	h.Write(fmt.Appendf(nil, "%d %d", f.Size, nano))
	return key(h.Sum(nil)[:16])
}

// id returns the transfer's id: the flow's name, a point, the key. It has only
// letters, digits, "-", "_" and that one point.
func (k key) id(flow string) string { return Token(flow) + "." + hex.EncodeToString(k[:]) }

func parseKey(id string) (key, bool) {
	_, tail, ok := strings.Cut(id, ".")
	b, err := hex.DecodeString(tail)
	if !ok || err != nil || len(b) != len(key{}) {
		return key{}, false
	}
	return key(b), true
}

// Token returns a flow's name as ids spell it: itself if it has only letters,
// digits, "-" and "_", else in hexadecimal behind "_x".
func Token(flow string) string {
	plain := flow != "" && !strings.HasPrefix(flow, "_x")
	for i := range len(flow) {
		c := flow[i]
		plain = plain && (c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z')
	}
	if plain {
		return flow
	}
	return "_x" + hex.EncodeToString([]byte(flow))
}
