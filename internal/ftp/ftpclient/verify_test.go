package ftpclient_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
)

func TestHash(t *testing.T) {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte("content")))
	for name, row := range map[string]struct {
		feature, verb, answer string
		alg                   ftpclient.Algorithm
		want                  string
		kind                  fault.Kind // of the error, unless want
	}{
		"hash":       {"HASH SHA-1;SHA-256*;MD5", "HASH", "213 SHA-256 0-7 " + sum + " f\r\n", ftpclient.SHA256, sum, 0},
		"xsha256":    {"XSHA256", "XSHA256", "250 " + strings.ToUpper(sum) + "\r\n", ftpclient.SHA256, sum, 0},
		"xcrc":       {"XCRC \"filename\" SP EP", "XCRC", "250 A4F5C0DE\r\n", ftpclient.CRC32, "a4f5c0de", 0},
		"md5":        {"MD5", "MD5", "251 \"f\" 9A0364B9E99BB480DD25E1F0284C8555\r\n", ftpclient.MD5, "9a0364b9e99bb480dd25e1f0284c8555", 0},
		"other-alg":  {"XCRC", "XCRC", "", ftpclient.SHA256, "", fault.Unsupported},
		"none":       {"SIZE", "XCRC", "", ftpclient.MD5, "", fault.Unsupported},
		"refused":    {"XMD5", "XMD5", "550 no such file\r\n", ftpclient.MD5, "", fault.NotFound},
		"short":      {"XCRC", "XCRC", "250 A4F5C0\r\n", ftpclient.CRC32, "", fault.Invalid},
		"two":        {"XCRC", "XCRC", "250 A4F5C0DE A4F5C0DF\r\n", ftpclient.CRC32, "", fault.Invalid},
		"other-code": {"XCRC", "XCRC", "226 A4F5C0DE\r\n", ftpclient.CRC32, "", fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			a := &ftptest.Awkward{Quirks: ftptest.Quirks{Features: []string{row.feature}, Answers: map[string]string{row.verb: row.answer}}}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				dialIn(t, cfg, func(c *ftpclient.Conn) {
					got, err := c.Hash(t.Context(), "f", row.alg)
					if fmt.Sprintf("%x", got) != row.want || (err == nil) != (row.want != "") || err != nil && fault.KindOf(err) != row.kind {
						t.Errorf("got %x, %v (%v)", got, err, fault.KindOf(err))
					}
				})
			})
		})
	}
}

func TestVerify(t *testing.T) {
	right, wrong := sha256.Sum256([]byte("content")), sha256.Sum256([]byte("another"))
	says := func(sum [32]byte) string { return fmt.Sprintf("250 %x\r\n", sum) }
	for name, row := range map[string]struct {
		size   int64
		sum    [32]byte
		care   ftpclient.Care
		answer string // to XSHA256; empty: it is not offered
		ok     bool
		reads  bool
	}{
		"size":             {7, wrong, ftpclient.BySize, "", true, false},
		"other-size":       {8, right, ftpclient.BySize, "", false, false},
		"hash":             {7, right, ftpclient.ByHash, says(right), true, false},
		"other-hash":       {7, right, ftpclient.ByHash, says(wrong), false, false},
		"no-hash":          {7, right, ftpclient.ByHash, "", true, true},
		"reading":          {7, right, ftpclient.ByReading, says(wrong), true, true},
		"other-by-reading": {7, wrong, ftpclient.ByReading, "", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			a := &ftptest.Awkward{Files: map[string]string{"f": "content"}}
			if row.answer != "" {
				a.Quirks = ftptest.Quirks{Features: []string{"SIZE", "XSHA256"}, Answers: map[string]string{"XSHA256": row.answer}}
			}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				dialIn(t, cfg, func(c *ftpclient.Conn) {
					err := c.Verify(t.Context(), "f", row.size, row.sum[:], row.care)
					if (err == nil) != row.ok || err != nil && fault.KindOf(err) != fault.Invalid {
						t.Errorf("got %v", err)
					}
					if got := slices.Contains(a.Commands(), "RETR"); got != row.reads {
						t.Errorf("read: %v", got)
					}
				})
			})
		})
	}
}

// TestFull: what a server says when there is no room is told as such.
func TestFull(t *testing.T) {
	for _, answer := range []string{"452 Insufficient storage space\r\n", "552 Quota exceeded\r\n", "550 No space left on device\r\n"} {
		a := &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{"STOR": answer}}}
		onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
			dialIn(t, cfg, func(c *ftpclient.Conn) {
				err := write(t.Context(), c, "f", "x", 0)
				if fault.KindOf(err) != fault.Full || !strings.Contains(fault.HintOf(err), "disk or quota is full") || !strings.Contains(err.Error(), answer[:3]) {
					t.Errorf("got %v (%v, hint %q)", err, fault.KindOf(err), fault.HintOf(err))
				}
			})
		})
	}
}
