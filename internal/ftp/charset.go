package ftp

import (
	"sort"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// Charset is the character set of a server's names. FTP says UTF-8 (RFC 2640), and
// many servers send the bytes that they have. The zero value is UTF-8.
//
// Names are bytes on the wire and stay so in an [Entry]. A Charset makes text of
// them and bytes again, and never loses one: what cannot be decoded keeps its bytes,
// as text that is no valid UTF-8.
type Charset struct {
	name string
	enc  encoding.Encoding // nil: UTF-8
}

// charsets are the names that may be written, in lower case without "-" and "_".
var charsets = map[string]Charset{
	"iso88591": {"iso-8859-1", charmap.ISO8859_1}, "latin1": {"iso-8859-1", charmap.ISO8859_1},
	"iso88592": {"iso-8859-2", charmap.ISO8859_2}, "latin2": {"iso-8859-2", charmap.ISO8859_2},
	"iso88595": {"iso-8859-5", charmap.ISO8859_5}, "iso88597": {"iso-8859-7", charmap.ISO8859_7},
	"iso88599": {"iso-8859-9", charmap.ISO8859_9}, "iso885915": {"iso-8859-15", charmap.ISO8859_15}, "latin9": {"iso-8859-15", charmap.ISO8859_15},
	"windows1250": {"windows-1250", charmap.Windows1250}, "windows1251": {"windows-1251", charmap.Windows1251},
	"windows1252": {"windows-1252", charmap.Windows1252}, "windows1253": {"windows-1253", charmap.Windows1253},
	"windows1254": {"windows-1254", charmap.Windows1254}, "windows1257": {"windows-1257", charmap.Windows1257},
	"cp437": {"cp437", charmap.CodePage437}, "cp850": {"cp850", charmap.CodePage850}, "cp852": {"cp852", charmap.CodePage852},
	"cp858": {"cp858", charmap.CodePage858}, "cp866": {"cp866", charmap.CodePage866},
	"koi8r": {"koi8-r", charmap.KOI8R}, "koi8u": {"koi8-u", charmap.KOI8U}, "macintosh": {"macintosh", charmap.Macintosh},
	"shiftjis": {"shift-jis", japanese.ShiftJIS}, "cp932": {"shift-jis", japanese.ShiftJIS}, "eucjp": {"euc-jp", japanese.EUCJP},
	"gbk": {"gbk", simplifiedchinese.GBK}, "cp936": {"gbk", simplifiedchinese.GBK}, "gb18030": {"gb18030", simplifiedchinese.GB18030},
	"big5": {"big5", traditionalchinese.Big5}, "cp950": {"big5", traditionalchinese.Big5},
	"euckr": {"euc-kr", korean.EUCKR}, "cp949": {"euc-kr", korean.EUCKR},
}

// Charsets returns the names of the character sets that are known, in order.
func Charsets() []string {
	seen := map[string]bool{"utf-8": true}
	for _, c := range charsets {
		seen[c.name] = true
	}
	names := make([]string, 0, len(seen))
	for n := range seen {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// LookupCharset returns a character set by its name, in any case, with or without
// hyphens: "utf-8", "latin1", "windows-1252", "shift-jis", "gbk", "cp850". The error
// is a [*SyntaxError].
func LookupCharset(name string) (Charset, error) {
	key := strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))
	if key == "" || key == "utf8" {
		return Charset{}, nil
	}
	if c, ok := charsets[key]; ok {
		return c, nil
	}
	return Charset{}, &SyntaxError{What: "character set", Line: name, Want: "one of " + strings.Join(Charsets(), ", ")}
}

// String returns the character set's name.
func (c Charset) String() string {
	if c.enc == nil {
		return "utf-8"
	}
	return c.name
}

// UTF8 reports whether names are UTF-8, so that nothing is translated.
func (c Charset) UTF8() bool { return c.enc == nil }

// kept stands before a name that could not be decoded and would look like one that
// could.
const kept = "\xff"

// Decode returns the text of a name that a server sent. What is not of the character
// set, or would not be the same bytes again, stays as it is; should it be valid UTF-8
// by chance, a byte FF stands before it. Different names never become the same text.
func (c Charset) Decode(raw string) string {
	if c.enc == nil || ascii(raw) {
		return raw
	}
	if text, err := c.enc.NewDecoder().String(raw); err == nil && utf8.ValidString(text) && !strings.ContainsAny(text, "\x00\r\n") {
		if again, err := c.enc.NewEncoder().String(text); err == nil && again == raw {
			return text
		}
	}
	if utf8.ValidString(raw) || strings.HasPrefix(raw, kept) {
		return kept + raw
	}
	return raw
}

// Encode returns the bytes that a server knows a name by: those that Decode made the
// text of. Text that the character set has no bytes for is a [*SyntaxError].
func (c Charset) Encode(text string) (string, error) {
	if c.enc == nil || ascii(text) {
		return text, nil
	}
	if !utf8.ValidString(text) {
		return strings.TrimPrefix(text, kept), nil
	}
	raw, err := c.enc.NewEncoder().String(text)
	if err != nil || strings.ContainsAny(raw, "\x00\r\n") {
		return "", &SyntaxError{What: "name", Line: text, Want: "characters that the server's character set " + c.name + " has"}
	}
	return raw, nil
}

// Show returns a name for people: decoded, and what cannot be as U+FFFD.
func (c Charset) Show(raw string) string {
	return strings.ToValidUTF8(strings.TrimPrefix(c.Decode(raw), kept), "\uFFFD")
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf || s[i] == '~' || s[i] == '\\' || s[i] == 0x1b { // what some sets have in place of these
			return false
		}
	}
	return true
}
