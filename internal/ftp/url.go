package ftp

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
)

// URL is where a file or folder is (RFC 1738 section 3.2).
//
//	ftp://user@host:port/path      plain
//	ftpes://…                      explicit TLS (AUTH TLS)
//	ftps://…                       implicit TLS
//
// The path is relative to the login directory; a leading %2F makes it absolute.
type URL struct {
	Scheme   string      // ftp, ftpes or ftps
	User     string      // empty: anonymous
	Password secret.Text // empty unless somebody wrote it into the URL, which lets others read it
	Host     string      // name or address, without brackets
	Port     uint16      // 21, or 990 for ftps, where the URL has none
	Path     string      // decoded; "" is the login directory, "/…" is absolute
}

var urlPorts = map[string]uint16{"ftp": 21, "ftpes": 21, "ftps": 990}

// ParseURL parses an FTP URL. Errors name what would be right and never repeat
// the text, which may hold a password.
func ParseURL(s string) (URL, error) {
	bad := func(hint, format string, args ...any) (URL, error) {
		return URL{}, fault.New(fault.Invalid, format, args...).WithHint("%s", hint)
	}
	const form = "write ftp://USER@HOST:PORT/PATH, or ftpes:// for explicit TLS"
	u, err := url.Parse(s)
	if err != nil {
		return bad(form, "the URL cannot be read")
	}
	port, known := urlPorts[strings.ToLower(u.Scheme)]
	switch {
	case !known:
		return bad(form, "%q is no FTP scheme", clip(u.Scheme, 32))
	case !validHost(u.Hostname()):
		return bad(form, "the URL names no host")
	case u.RawQuery != "" || u.Fragment != "":
		return bad("write ? as %3F and # as %23 in a name", "an FTP URL has no query and no fragment")
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return bad("write a port from 1 to 65535", "%q is no port", clip(p, 16))
		}
		port = uint16(n)
	}
	path := strings.TrimPrefix(u.Path, "/")
	if strings.ContainsAny(path+u.User.Username(), "\r\n\x00") {
		return bad("a name has none of them", "there is a CR, LF or NUL in the URL")
	}
	pw, _ := u.User.Password()
	return URL{
		Scheme: strings.ToLower(u.Scheme), User: u.User.Username(), Password: secret.New(pw),
		Host: u.Hostname(), Port: port, Path: path,
	}, nil
}

// validHost reports whether s is an IP address or can be a name, a virtual one
// included.
func validHost(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Zone() == ""
	}
	notName := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r))
	}
	return s != "" && len(s) <= 253 && !strings.ContainsFunc(s, notName)
}

// Addr returns host:port.
func (u URL) Addr() string { return net.JoinHostPort(u.Host, strconv.Itoa(int(u.Port))) }

// String returns the URL without a password.
func (u URL) String() string {
	out := url.URL{Scheme: u.Scheme, Host: u.Host}
	if u.User != "" {
		out.User = url.User(u.User)
	}
	if a, err := netip.ParseAddr(u.Host); err == nil && a.Is6() {
		out.Host = "[" + u.Host + "]"
	}
	if u.Port != urlPorts[u.Scheme] {
		out.Host = u.Addr()
	}
	text := out.String() + "/"
	if strings.HasPrefix(u.Path, "/") {
		text += "%2F"
	}
	for i, part := range strings.Split(strings.TrimPrefix(u.Path, "/"), "/") {
		if i > 0 {
			text += "/"
		}
		text += url.PathEscape(part)
	}
	return text
}
