package enroll

import (
	"crypto/rand"
	"encoding/base32"
	"net"
	"strconv"
	"strings"

	"sallyport.dev/internal/fault"
)

// Lengths of names, in bytes.
const (
	maxLocation  = 63
	maxGateway   = 255
	maxGateways  = 16
	tokenIDRaw   = 10 // 16 characters
	connectorRaw = 5  // 8 characters, since people type them
)

// ids spells random identifiers so that they are safe as file names on every
// system and easy to read aloud.
var ids = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func newID(raw int) string {
	b := make([]byte, raw)
	rand.Read(b) // never returns an error
	return ids.EncodeToString(b)
}

// validID reports whether s is an identifier of raw random bytes. It is what
// stands between a name from the wire and a file name.
func validID(s string, raw int) bool {
	if len(s) != ids.EncodedLen(raw) {
		return false
	}
	b, err := ids.DecodeString(s)
	return err == nil && ids.EncodeToString(b) == s
}

// CheckLocation reports whether s may name a location: 1 to 63 letters, digits,
// '.', '-' and '_', the first of them a letter or digit.
func CheckLocation(s string) error {
	ok := s != "" && len(s) <= maxLocation && isAlnum(s[0])
	for i := 0; ok && i < len(s); i++ {
		ok = isAlnum(s[i]) || strings.IndexByte(".-_", s[i]) >= 0
	}
	if ok {
		return nil
	}
	return fault.New(fault.Invalid, "location %.80q is not a name", s).
		WithHint("use 1 to %d letters, digits, '.', '-' and '_', beginning with a letter or digit", maxLocation)
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// checkGateway reports whether s is an address that a connector can dial.
func checkGateway(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err == nil && len(s) <= maxGateway && host != "" && printable(host) {
		if n, perr := strconv.ParseUint(port, 10, 16); perr == nil && n > 0 {
			return nil
		}
	}
	return fault.New(fault.Invalid, "gateway address %.80q is not host:port", s).
		WithHint("write the address that connectors dial, such as gateway.example.com:443")
}

func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
