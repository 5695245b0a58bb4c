package ftpclient

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// Algorithm is a hash that servers can be asked for, spelled as HASH does
// (draft-bryan-ftpext-hash section 3).
type Algorithm string

// The algorithms.
const (
	CRC32  Algorithm = "CRC32"
	MD5    Algorithm = "MD5"
	SHA1   Algorithm = "SHA-1"
	SHA256 Algorithm = "SHA-256"
	SHA512 Algorithm = "SHA-512"
)

// hashes has the size of each algorithm in bytes, and the commands of its own that
// servers know for it beside HASH.
var hashes = map[Algorithm]struct {
	size  int
	verbs []string
}{
	CRC32:  {4, []string{"XCRC"}},
	MD5:    {16, []string{"XMD5", "MD5"}},
	SHA1:   {20, []string{"XSHA1", "XSHA"}},
	SHA256: {32, []string{"XSHA256"}},
	SHA512: {64, []string{"XSHA512"}},
}

// readHashes notes a line of a FEAT reply that is about hashes.
func (f *Features) readHashes(name, params string) {
	if name == "HASH" {
		for _, word := range strings.FieldsFunc(params, func(r rune) bool { return r == ';' || r == ' ' || r == ',' }) {
			if alg := Algorithm(strings.ToUpper(strings.TrimSuffix(word, "*"))); hashes[alg].size > 0 {
				f.setHash(alg, "HASH", true)
			}
		}
		return
	}
	for alg, h := range hashes {
		for _, verb := range h.verbs {
			if verb == name {
				f.setHash(alg, verb, false)
			}
		}
	}
}

func (f *Features) setHash(alg Algorithm, verb string, always bool) {
	if f.Hashes == nil {
		f.Hashes = map[Algorithm]string{}
	}
	if f.Hashes[alg] == "" || always {
		f.Hashes[alg] = verb
	}
}

// Hash asks the server for a hash of the file at path. A server that does not offer
// the algorithm gives a fault of kind Unsupported. The server reads the whole file
// for the answer, which is waited for as long as for the end of a transfer.
func (c *Conn) Hash(ctx context.Context, path string, alg Algorithm) ([]byte, error) {
	what := "ask the " + string(alg) + " of " + quote(path)
	sum, err := c.hash(ctx, path, alg)
	return sum, c.wrap(err, what)
}

func (c *Conn) hash(ctx context.Context, path string, alg Algorithm) ([]byte, error) {
	verb := c.feat.Hashes[alg]
	if verb == "" {
		return nil, fault.New(fault.Unsupported, "the server does not offer %s", alg)
	}
	end, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	if verb == "HASH" && c.hashes != alg {
		if _, err := c.do(ctx, ftp.Command{Verb: "OPTS", Arg: "HASH " + string(alg)}, ftp.CodeOK); err != nil {
			return nil, err
		}
		c.hashes = alg
	}
	cmd := ftp.Command{Verb: verb, Arg: path}
	if err := c.send(ctx, cmd); err != nil {
		return nil, err
	}
	r, err := c.receive(ctx, cmd, max(c.cfg.Timeouts.Final, c.cfg.Timeouts.Reply))
	if err != nil {
		return nil, err
	}
	// 213 is HASH's; the X commands never had an RFC, and 251 is what MD5 had.
	if err := c.check(cmd, r, []ftp.Code{ftp.CodeFileStatus, ftp.CodeFileOK, 251}); err != nil {
		return nil, err
	}
	return hashIn(r, path, hashes[alg].size)
}

// hashIn finds the one word of a reply that is of the right length and hexadecimal. A
// file may be called like a hash: such a word counts only if there is no other.
func hashIn(r ftp.Reply, path string, size int) ([]byte, error) {
	found := hexWords(r.Text(), size)
	if len(found) > 1 {
		names := hexWords(path, size)
		found = slices.DeleteFunc(found, func(w string) bool { return slices.Contains(names, w) })
	}
	if len(found) != 1 {
		return nil, &ftp.SyntaxError{What: "hash", Line: r.Text(), Want: "one of twice the algorithm's bytes in hexadecimal digits"}
	}
	return []byte(found[0]), nil
}

// hexWords returns the different words of a text that stand for so many bytes.
func hexWords(text string, size int) []string {
	var found []string
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\n\",:;=()/.", r) }) {
		if b, err := hex.DecodeString(word); err == nil && len(b) == size && !slices.Contains(found, string(b)) {
			found = append(found, string(b))
		}
	}
	return found
}

// Care is how a file on the server is held to what it should be.
type Care uint8

// The ways, the dearer the later.
const (
	BySize    Care = iota // by the size that the server tells
	ByHash                // by the hash that the server makes, or by reading where it makes none
	ByReading             // by reading it again
)

// Verify holds the file at path to a size in bytes and, unless care is BySize, to its
// SHA-256. A file that differs is a fault of kind Invalid.
func (c *Conn) Verify(ctx context.Context, path string, size int64, sha256 []byte, care Care) error {
	return c.wrap(c.verify(ctx, path, size, sha256, care), "verify "+quote(path))
}

func (c *Conn) verify(ctx context.Context, path string, size int64, want []byte, care Care) error {
	e, err := c.Stat(ctx, path)
	switch {
	case err != nil:
		return err
	case e.Size != size:
		return fault.New(fault.Invalid, "the server has %d bytes of %d", e.Size, size).WithHint("remove it and send it again")
	case care == BySize:
		return nil
	}
	var got []byte
	if c.feat.Hashes[SHA256] != "" && care == ByHash {
		got, err = c.Hash(ctx, path, SHA256)
	} else {
		got, err = c.readHash(ctx, path)
	}
	if err == nil && !bytes.Equal(got, want) {
		err = fault.New(fault.Invalid, "the server has other bytes: SHA-256 %x, want %x", got, want).WithHint("remove it and send it again")
	}
	return err
}

// readHash reads a file for its SHA-256.
func (c *Conn) readHash(ctx context.Context, path string) ([]byte, error) {
	d, err := c.Retr(ctx, path, 0)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	_, err = io.Copy(sum, d)
	return sum.Sum(nil), errors.Join(err, d.Close())
}
