package enroll

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
)

// MaxTokenLen bounds a token's text, in bytes.
const MaxTokenLen = 2 << 10

const (
	tokenPrefix  = "sallyport-join-"
	tokenVersion = 1
	tokenHead    = 3 // version, length: exactly four characters of base64
	tokenSum     = 4
	secretRaw    = 32
	maxExpires   = 1 << 38 // seconds since 1970: year 10680
)

// tokenText refuses spare bits, so that a token has one spelling.
var tokenText = base64.RawURLEncoding.Strict()

// Token lets one connector join. Its text is one line:
//
//	"sallyport-join-" base64url of
//	u8 version = 1 | u16 length of all bytes | u64 expires, seconds since 1970
//	id 10 B | secret 32 B | pin 32 B
//	u8 length, location | u8 count, that many times: u8 length, gateway
//	first 4 B of the SHA-256 of all bytes before
//
// The length tells a cut-off paste, the checksum an altered one.
type Token struct {
	Gateways []string    // host:port, tried in turn; 1 to 16
	Location string      // what the connector will be reached under
	Expires  time.Time   // whole seconds; the gateway's clock decides
	ID       string      // names the token in texts and logs; no secret
	Secret   secret.Text // 32 random bytes in base64url
	Pin      [32]byte    // SHA-256 of the authority's SubjectPublicKeyInfo (RFC 5280, 4.1.2.7)
}

// String names the token without its secret.
func (t Token) String() string {
	return fmt.Sprintf("join token %s for location %s", t.ID, t.Location)
}

// GoString is [Token.String].
func (t Token) GoString() string { return t.String() }

// LogValue gives id, location and expiry, never the secret.
func (t Token) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", t.ID), slog.String("location", t.Location), slog.Time("expires", t.Expires))
}

// Encode returns the token's text, which holds the secret, or "" for a token
// that breaks the bounds of its fields.
func (t Token) Encode() string {
	if t.check() != nil {
		return ""
	}
	id, err := ids.DecodeString(t.ID)
	if err != nil {
		return ""
	}
	sec, err := tokenText.DecodeString(t.Secret.Reveal())
	if err != nil {
		return ""
	}
	b := []byte{tokenVersion, 0, 0}
	b = binary.BigEndian.AppendUint64(b, uint64(t.Expires.Unix())) //nolint:gosec // check: 0 to maxExpires
	b = append(append(append(b, id...), sec...), t.Pin[:]...)
	b = appendString(b, t.Location)
	b = append(b, byte(len(t.Gateways))) //nolint:gosec // check: at most maxGateways
	for _, g := range t.Gateways {
		b = appendString(b, g)
	}
	binary.BigEndian.PutUint16(b[1:], uint16(len(b)+tokenSum)) //nolint:gosec // check: at most 16 × 256 and a few
	sum := sha256.Sum256(b)
	s := tokenPrefix + tokenText.EncodeToString(append(b, sum[:tokenSum]...))
	if len(s) > MaxTokenLen {
		return ""
	}
	return s
}

func appendString(b []byte, s string) []byte {
	return append(append(b, byte(len(s))), s...) //nolint:gosec // check: at most 255 bytes
}

// check reports what keeps t from being written down.
func (t Token) check() error {
	if err := CheckLocation(t.Location); err != nil {
		return err
	}
	if len(t.Gateways) == 0 || len(t.Gateways) > maxGateways {
		return fault.New(fault.Invalid, "join token names %d gateway addresses", len(t.Gateways)).
			WithHint("give 1 to %d with --address HOST:PORT, or set gateway.public in the document", maxGateways)
	}
	for _, g := range t.Gateways {
		if err := checkGateway(g); err != nil {
			return err
		}
	}
	if e := t.Expires.Unix(); e < 0 || e >= maxExpires {
		return fault.New(fault.Invalid, "join token has an expiry outside the calendar")
	}
	if !validID(t.ID, tokenIDRaw) || !validSecret(t.Secret.Reveal()) {
		return fault.New(fault.Invalid, "join token has a malformed id or secret")
	}
	return nil
}

func validSecret(s string) bool {
	b, err := tokenText.DecodeString(s)
	return err == nil && len(b) == secretRaw && tokenText.EncodeToString(b) == s
}

// ParseToken reads a token's text; white space around it is dropped. Errors
// are of kind Invalid (Unsupported for a newer version) and never hold the text.
func ParseToken(s string) (Token, error) {
	b, err := tokenBytes(strings.TrimSpace(s))
	if err != nil {
		return Token{}, err
	}
	r := tokenReader{b: b[tokenHead : len(b)-tokenSum]}
	var t Token
	expires := binary.BigEndian.Uint64(r.take(8))
	t.ID = ids.EncodeToString(r.take(tokenIDRaw))
	t.Secret = secret.New(tokenText.EncodeToString(r.take(secretRaw)))
	copy(t.Pin[:], r.take(len(t.Pin)))
	t.Location = r.text()
	for range r.take(1)[0] {
		if r.short {
			break
		}
		t.Gateways = append(t.Gateways, r.text())
	}
	if r.short || len(r.b) > 0 || expires >= maxExpires {
		return Token{}, fault.New(fault.Invalid, "join token is malformed inside").WithHint(copyHint)
	}
	t.Expires = time.Unix(int64(expires), 0).UTC() // below maxExpires
	if err := t.check(); err != nil {
		return Token{}, err
	}
	return t, nil
}

const copyHint = "copy the whole line that `sallyport gateway token` printed, or make a new one"

// tokenBytes checks everything about the text that needs no look inside:
// prefix, version, length, checksum.
func tokenBytes(s string) ([]byte, error) {
	refuse := func(format string, args ...any) ([]byte, error) {
		return nil, fault.New(fault.Invalid, format, args...).WithHint(copyHint)
	}
	body, ok := strings.CutPrefix(s, tokenPrefix)
	switch {
	case s == "":
		return refuse("join token is empty")
	case !ok && strings.HasPrefix(tokenPrefix, s):
		return refuse("join token is cut off: only its first %d characters are there", len(s))
	case !ok:
		return refuse("text is not a join token: it does not begin with %q", tokenPrefix)
	case len(s) > MaxTokenLen:
		return refuse("join token is longer than %d characters", MaxTokenLen)
	case strings.ContainsAny(body, " \t\r\n"):
		return refuse("join token is broken by white space: it must be one line")
	case len(body) < 4:
		return refuse("join token is cut off: only its first %d characters are there", len(s))
	}
	head, err := tokenText.DecodeString(body[:4])
	if err != nil {
		return refuse("join token is altered: it has characters that no token has")
	}
	if head[0] != tokenVersion {
		return nil, fault.New(fault.Unsupported, "join token is of version %d, this program reads version %d", head[0], tokenVersion).
			WithHint("use the same version of sallyport at gateway and connector")
	}
	switch want := tokenText.EncodedLen(int(binary.BigEndian.Uint16(head[1:]))); {
	case len(body) < want:
		return refuse("join token is cut off: %d of its %d characters are there", len(s), len(tokenPrefix)+want)
	case len(body) > want:
		return refuse("join token has %d characters too many", len(body)-want)
	}
	b, err := tokenText.DecodeString(body)
	if err != nil {
		return refuse("join token is altered: it has characters that no token has")
	}
	if len(b) < tokenHead+tokenSum {
		return refuse("join token is malformed: it is too short to hold anything")
	}
	sum := sha256.Sum256(b[:len(b)-tokenSum])
	if !bytes.Equal(sum[:tokenSum], b[len(b)-tokenSum:]) {
		return refuse("join token is altered: its checksum does not fit")
	}
	return b, nil
}

// tokenReader takes fields off b; once one is short, all later ones are zero.
type tokenReader struct {
	b     []byte
	short bool
}

func (r *tokenReader) take(n int) []byte {
	if r.short || len(r.b) < n {
		r.short = true
		return make([]byte, n)
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *tokenReader) text() string { return string(r.take(int(r.take(1)[0]))) }
