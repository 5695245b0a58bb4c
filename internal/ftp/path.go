package ftp

import (
	"path"
	"strings"
)

// MaxPath is the longest virtual path, in bytes.
const MaxPath = 4096

// JoinPath returns the virtual path that arg means in the directory cwd: always
// absolute, separated by "/", cleaned. ".." stops at "/". An empty arg is cwd
// itself. Any bytes but NUL, CR and LF may be in it. The error is a
// [*SyntaxError].
func JoinPath(cwd, arg string) (string, error) {
	if strings.ContainsAny(arg, "\x00\r\n") || strings.ContainsAny(cwd, "\x00\r\n") {
		return "", &SyntaxError{What: "path", Line: clip(arg, 128), Want: "no NUL, CR or LF in it"}
	}
	joined := arg
	if !strings.HasPrefix(arg, "/") {
		joined = "/" + cwd + "/" + arg
	}
	if len(joined) <= 2*MaxPath+2 { // do not clean what cannot become short enough
		if joined = path.Clean(joined); len(joined) <= MaxPath {
			return joined, nil
		}
	}
	return "", &SyntaxError{What: "path", Line: clip(arg, 128), Want: "at most 4096 bytes"}
}

// QuotePath returns p between quotes, those inside doubled, as 257 has it
// (RFC 959 appendix II).
func QuotePath(p string) string { return `"` + strings.ReplaceAll(p, `"`, `""`) + `"` }

// ParseQuotedPath returns the path in the text of a 257 reply: what stands
// between the first quote and the next one that is not doubled. Some servers put
// words before it. The error is a [*SyntaxError].
func ParseQuotedPath(text string) (string, error) {
	bad := &SyntaxError{What: "reply 257", Line: text, Want: `a path between quotes, as in "/in" is the current directory`}
	_, rest, ok := strings.Cut(text, `"`)
	if !ok {
		return "", bad
	}
	var p strings.Builder
	for {
		part, after, ok := strings.Cut(rest, `"`)
		if !ok || p.Len()+len(part) > MaxPath {
			return "", bad
		}
		p.WriteString(part)
		if !strings.HasPrefix(after, `"`) {
			break
		}
		p.WriteByte('"')
		rest = after[1:]
	}
	if p.Len() == 0 || strings.ContainsAny(p.String(), "\x00\r\n") {
		return "", bad
	}
	return p.String(), nil
}
