package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sallyport.dev/internal/api"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/httpconnect"
	"sallyport.dev/internal/mirror"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/socks5"
)

// reach is how a server is reached: the way to it, who logs in, whom to believe.
type reach struct {
	state             string
	location          string
	proxy             string
	proxyPasswordFile string
	passwordFile      string
	variable          string // where the password may be; empty: passwordVariable
	caFile            string
	pin               string
	noVerify          bool
	active            bool
	charset           string
}

// passwordVariable is where a password may be, beside a file and a prompt.
const passwordVariable = "SALLYPORT_PASSWORD"

// flags adds the flags that every command has which speaks with a server.
func (r *reach) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.location, "location", "", "go through the tunnel to this location")
	f.StringVar(&r.passwordFile, "password-file", "", "file with the password; without it $"+passwordVariable+", or a prompt")
	f.StringVar(&r.proxy, "proxy", "", "go through a SOCKS5 or HTTP proxy: socks5://USER@HOST:PORT, http://USER@HOST:PORT")
	f.StringVar(&r.proxyPasswordFile, "proxy-password-file", "", "file with the proxy user's password")
	f.StringVar(&r.caFile, "ca-file", "", "PEM file of the authorities that the server's certificate must come from")
	f.StringVar(&r.pin, "pin", "", "SHA-256 of the one certificate that is believed")
	f.BoolVar(&r.noVerify, "no-verify", false, "believe any certificate: whoever sits between can read everything")
}

// way says how connections are opened: directly, by location, or by proxy.
func (r *reach) way() (netx.DialFunc, string, error) {
	switch {
	case r.location != "" && r.proxy != "":
		return nil, "", usagef("choose one way", "--location and --proxy exclude one another")
	case r.location != "":
		return (&api.Client{Dir: r.state}).DialFunc(r.location), fmt.Sprintf("location %q", r.location), nil
	case r.proxy == "":
		return nil, "", nil
	}
	u, err := url.Parse(r.proxy)
	if err != nil || (u.Scheme != "socks5" && u.Scheme != "socks5h" && u.Scheme != "http") || u.Host == "" || u.Port() == "" {
		return nil, "", usagef("write it as socks5://USER@HOST:PORT or http://USER@HOST:PORT", "--proxy is no address of a SOCKS5 or HTTP proxy")
	}
	if _, has := u.User.Password(); has {
		return nil, "", usagef("put it into a file and name that with --proxy-password-file", "--proxy takes no password, which others on this machine could read")
	}
	var pw secret.Text
	if r.proxyPasswordFile != "" {
		if pw, err = secret.ReadFile(r.proxyPasswordFile); err != nil {
			return nil, "", err
		}
	}
	direct := netx.System{}.Dial
	if u.Scheme == "http" {
		d := &httpconnect.Dialer{Dial: direct, Proxy: u.Host, User: u.User.Username(), Password: pw}
		return d.DialContext, "proxy " + u.Host, nil
	}
	d := &socks5.Dialer{Dial: direct, Proxy: u.Host, User: u.User.Username(), Password: pw}
	return d.DialContext, "proxy " + u.Host, nil
}

// trust says which certificates are believed.
func (r *reach) trust() (*tls.Config, error) {
	t := ftpclient.Trust{Pin: r.pin, Unverified: r.noVerify}
	if r.caFile != "" {
		pem, err := os.ReadFile(r.caFile)
		if err != nil {
			return nil, fault.As(err, "read --ca-file")
		}
		t.CA = string(pem)
	}
	c, err := t.Config()
	if err != nil {
		return nil, &usageError{err}
	}
	return c, nil
}

// password finds the password of the URL's user.
func (r *reach) password(ctx context.Context, say *speaker, u ftp.URL) (secret.Text, error) {
	variable := r.variable
	if variable == "" {
		variable = passwordVariable
	}
	if !u.Password.Empty() {
		say.warnf("a password in a URL can be read by others on this machine: use --password-file")
		return u.Password, nil
	}
	switch env, ok := os.LookupEnv(variable); {
	case r.passwordFile != "":
		return secret.ReadFile(r.passwordFile)
	case u.User == "" || strings.EqualFold(u.User, "anonymous"):
		return secret.Text{}, nil
	case ok:
		return secret.New(env), nil
	}
	if in, ok := say.in.(*os.File); !ok || !term.IsTerminal(int(in.Fd())) {
		return secret.Text{}, usagef("give --password-file FILE or set $"+variable, "there is no password for user %q", u.User)
	}
	return readSecret(ctx, say, fmt.Sprintf("password of %s at %s: ", u.User, u.Host))
}

// connect returns the store at a URL, over at most most connections. What it returns
// second closes them.
func (r *reach) connect(ctx context.Context, say *speaker, u ftp.URL, most int) (*mirror.FTP, func(), error) {
	cfg := ftpclient.Config{Addr: u.Addr(), User: u.User}
	switch u.Scheme {
	case "ftpes":
		cfg.Security = ftpclient.Explicit
	case "ftps":
		cfg.Security = ftpclient.Implicit
	}
	if r.active {
		cfg.Mode = ftpclient.ActiveMode
	}
	var err error
	if cfg.Charset, err = ftp.LookupCharset(r.charset); err != nil {
		return nil, nil, usagef("write one of "+strings.Join(ftp.Charsets(), ", "), "--charset %q is not known", r.charset)
	}
	if cfg.Dial, _, err = r.way(); err != nil {
		return nil, nil, err
	}
	if cfg.TLS, err = r.trust(); err != nil {
		return nil, nil, err
	}
	if cfg.Password, err = r.password(ctx, say, u); err != nil {
		return nil, nil, err
	}
	pool := &ftpclient.Pool{Config: cfg, Max: most}
	return &mirror.FTP{Pool: pool, URL: u}, func() { _ = pool.Close() }, nil // idle ones alone are left
}

// isURL reports whether an argument is a URL rather than a path.
func isURL(s string) bool { return strings.Contains(s, "://") }

// urlArg parses a URL of the command line.
func urlArg(s string) (ftp.URL, error) {
	u, err := ftp.ParseURL(s)
	if err != nil {
		return u, &usageError{err}
	}
	return u, nil
}

// splitURL parts the folder from the last element of the URL's path, which is empty
// where the path names a folder by a slash at its end.
func splitURL(u ftp.URL) (dir ftp.URL, name string) {
	dir = u
	i := strings.LastIndexByte(u.Path, '/')
	name = u.Path[i+1:]
	switch {
	case i < 0:
		dir.Path = ""
	case i == 0:
		dir.Path = "/"
	default:
		dir.Path = u.Path[:i]
	}
	return dir, name
}

// below is the folder name in the one that f is.
func below(f *mirror.FTP, name string) *mirror.FTP {
	u := f.URL
	u.Path = strings.TrimSuffix(u.Path, "/") + "/" + name
	if !strings.HasPrefix(f.URL.Path, "/") {
		u.Path = strings.TrimPrefix(u.Path, "/")
	}
	return &mirror.FTP{Pool: f.Pool, URL: u}
}
