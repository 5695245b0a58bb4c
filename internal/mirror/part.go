package mirror

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	partMark   = ".sallyport-"
	partDigits = 12
	partEnd    = ".part"
	// partStem is how much of the file's name there is in that of its part, in
	// bytes: file systems take 255.
	partStem = 200
)

// partName is the name of the part of the file name, in the same folder, when it
// comes from that source with that size and time.
func partName(name, from string, e Entry) string {
	id := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d\x00%d", name, from, e.Size, e.Time.Truncate(time.Second).Unix()))
	return join(dirOf(name), stem(base(name))+partMark+hex.EncodeToString(id[:])[:partDigits]+partEnd)
}

// oncePartName is the name of a part that no other run uses, because none could go on
// with it.
func oncePartName(name string) string {
	return partName(name, rand.Text(), Entry{})
}

// stem is how the name of a file's part begins.
func stem(name string) string {
	if len(name) <= partStem {
		return name
	}
	cut := partStem
	for cut > partStem-utf8.UTFMax && !utf8.RuneStart(name[cut]) {
		cut--
	}
	return name[:cut]
}

// IsPart reports whether a plain name is that of a file which is not whole yet:
// "NAME.sallyport-<12 hexadecimal digits>.part".
func IsPart(name string) bool { return partOf(name) != "" }

// partOf returns the stem of the file that a part is of, "" if name is no part.
func partOf(name string) string {
	rest, ok := strings.CutSuffix(name, partEnd)
	if !ok || len(rest) < partDigits {
		return ""
	}
	digits := rest[len(rest)-partDigits:]
	if strings.Trim(digits, "0123456789abcdef") != "" {
		return ""
	}
	of, ok := strings.CutSuffix(rest[:len(rest)-partDigits], partMark)
	if !ok {
		return ""
	}
	return of
}

// resumable reports whether a part can be gone on with: what it is a part of must
// be known well enough to be known again.
func resumable(e Entry) bool { return e.Size > 0 && !e.Time.IsZero() }
