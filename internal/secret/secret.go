// Package secret holds text that never prints.
//
// [Text] is a password or key in memory; every way of printing it gives
// "[redacted]". [Ref] is where a document says such a text is to be found; it is
// resolved as late as possible.
package secret

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"sallyport.dev/internal/fault"
)

const redacted = "[redacted]"

// MaxLen bounds a secret read from a file, in bytes.
const MaxLen = 64 << 10

// Text is a secret. Its zero value is the empty secret.
type Text struct{ s string }

// New returns s as a secret.
func New(s string) Text { return Text{s} }

// Reveal returns the secret itself. Call it where it is used and nowhere else.
func (t Text) Reveal() string { return t.s }

// Empty reports whether there is nothing in it.
func (t Text) Empty() bool { return t.s == "" }

// Equal compares in constant time for equal lengths.
func (t Text) Equal(u Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.s), []byte(u.s)) == 1
}

// String returns "[redacted]".
func (t Text) String() string { return redacted }

// GoString returns "[redacted]".
func (t Text) GoString() string { return redacted }

// Format prints "[redacted]" whatever the verb.
func (t Text) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) } //nolint:errcheck // fmt.State reports no error that could be acted on

// LogValue prints "[redacted]".
func (t Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText gives "[redacted]".
func (t Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Ref is a reference to a secret: "env:NAME" or "file:PATH". The zero value
// refers to nothing.
type Ref struct{ scheme, name string }

// ParseRef parses "env:NAME" or "file:PATH". It opens nothing.
func ParseRef(s string) (Ref, error) {
	scheme, name, ok := strings.Cut(s, ":")
	if !ok || name == "" || (scheme != "env" && scheme != "file") {
		return Ref{}, fault.New(fault.Invalid, "a secret must be a reference").
			WithHint("write env:NAME or file:PATH")
	}
	return Ref{scheme, name}, nil
}

// IsZero reports whether r refers to nothing.
func (r Ref) IsZero() bool { return r == Ref{} }

// String returns the reference, which is no secret.
func (r Ref) String() string {
	if r.IsZero() {
		return ""
	}
	return r.scheme + ":" + r.name
}

// MarshalText returns what [Ref.String] returns.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText parses what [ParseRef] parses.
func (r *Ref) UnmarshalText(b []byte) error {
	p, err := ParseRef(string(b))
	if err != nil {
		return err
	}
	*r = p
	return nil
}

// Resolve reads the secret. One trailing line end of a file is dropped.
func (r Ref) Resolve() (Text, error) {
	switch r.scheme {
	case "env":
		v, ok := os.LookupEnv(r.name)
		if !ok {
			return Text{}, fault.New(fault.NotFound, "environment variable %q is not set", r.name).
				WithHint("export %s=... before starting", r.name)
		}
		return Text{v}, nil
	case "file":
		return ReadFile(r.name)
	default:
		return Text{}, nil
	}
}

// ReadFile reads a secret from the file at path, at most [MaxLen] bytes.
// One trailing line end is dropped.
func ReadFile(path string) (Text, error) {
	f, err := os.Open(path)
	if err != nil {
		return Text{}, fault.As(err, "read secret file")
	}
	defer f.Close()
	t, err := Read(f)
	if err != nil {
		return Text{}, fault.As(err, "read secret file %q", path)
	}
	return t, nil
}

// Read reads a secret from r to its end, at most [MaxLen] bytes. One trailing
// line end is dropped.
func Read(r io.Reader) (Text, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxLen+1))
	if err != nil {
		return Text{}, err
	}
	if len(b) > MaxLen {
		return Text{}, fault.New(fault.Invalid, "secret is longer than %d bytes", MaxLen)
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	return Text{string(b)}, nil
}
