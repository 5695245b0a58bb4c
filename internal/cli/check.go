package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sallyport.dev/internal/api"
	"sallyport.dev/internal/check"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/socks5"
)

type checkOptions struct {
	url               string
	location          string
	state             string
	passwordFile      string
	proxy             string
	proxyPasswordFile string
	timeout           time.Duration
}

func newCheck(say *speaker) *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check URL",
		Short: "Walk the way to an FTP server and say where it fails, why and what to do",
		Long: `Check takes the steps that any FTP client takes, up to a listing of the URL's
folder, and times each. Where one fails it says why and what to do. It changes
nothing on the server.

  ftp://USER@HOST:PORT/PATH     plain FTP
  ftpes://USER@HOST:PORT/PATH   explicit TLS
  ftps://USER@HOST:PORT/PATH    implicit TLS, on port 990

With --location the way leads through the gateway that runs in the state folder.`,
		Example: `  sallyport check ftp://erp@10.0.0.5/out
  sallyport check ftp://erp@ftp-erp/ --location plant1 --state ./state
  sallyport check ftp://erp@ftp-erp/ --proxy socks5://svc-cpi@127.0.0.1:1080 --proxy-password-file cpi.password`,
		Args: exactly(1, "one URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.url = args[0]
			return runCheck(cmd.Context(), say, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.location, "location", "", "go through the tunnel to this location")
	f.StringVar(&o.passwordFile, "password-file", "", "file with the password; without it $SALLYPORT_PASSWORD, or a prompt")
	f.StringVar(&o.proxy, "proxy", "", "go through a SOCKS5 proxy: socks5://USER@HOST:PORT")
	f.StringVar(&o.proxyPasswordFile, "proxy-password-file", "", "file with the proxy user's password")
	f.DurationVar(&o.timeout, "timeout", 15*time.Second, "longest time for one step")
	stateFlag(cmd, &o.state)
	return cmd
}

func runCheck(ctx context.Context, say *speaker, o checkOptions) error {
	u, err := ftp.ParseURL(o.url)
	if err != nil {
		return &usageError{err}
	}
	t := check.Target{URL: u, Timeout: o.timeout}
	if t.Dial, t.Via, err = o.way(); err != nil {
		return err
	}
	if t.Password, err = password(say, u, o.passwordFile); err != nil {
		return err
	}
	began := time.Now()
	var speech error
	err = check.Run(ctx, t, func(s check.Step) {
		speech = errors.Join(speech, printStep(say, s))
	})
	if err != nil {
		return fault.As(err, "the way to %s is not whole", u)
	}
	return errors.Join(speech, say.resultf("the way to %s is whole (%v)", u, time.Since(began).Round(time.Millisecond)))
}

func printStep(say *speaker, s check.Step) error {
	mark, detail := "ok  ", s.Detail
	if s.Err != nil {
		mark, detail = "FAIL", ""
	}
	line := fmt.Sprintf("%s  %7s  %s", mark, s.Took.Round(100*time.Microsecond), s.Name)
	if detail != "" {
		line += ": " + detail
	}
	return say.resultf("%s", line)
}

// way says how connections are opened: directly, by location, or by proxy.
func (o checkOptions) way() (netx.DialFunc, string, error) {
	switch {
	case o.location != "" && o.proxy != "":
		return nil, "", usagef("choose one way", "--location and --proxy exclude one another")
	case o.location != "":
		return (&api.Client{Dir: o.state}).DialFunc(o.location), fmt.Sprintf("location %q", o.location), nil
	case o.proxy == "":
		return nil, "", nil
	}
	u, err := url.Parse(o.proxy)
	if err != nil || (u.Scheme != "socks5" && u.Scheme != "socks5h") || u.Host == "" || u.Port() == "" {
		return nil, "", usagef("write it as socks5://USER@HOST:PORT", "--proxy is no SOCKS5 address")
	}
	if _, has := u.User.Password(); has {
		return nil, "", usagef("put it into a file and name that with --proxy-password-file", "--proxy takes no password, which others on this machine could read")
	}
	d := &socks5.Dialer{Dial: netx.System{}.Dial, Proxy: u.Host, User: u.User.Username()}
	if o.proxyPasswordFile != "" {
		if d.Password, err = secret.ReadFile(o.proxyPasswordFile); err != nil {
			return nil, "", err
		}
	}
	return d.DialContext, "proxy " + u.Host, nil
}

// passwordVariable is where a password may be, beside a file and a prompt.
const passwordVariable = "SALLYPORT_PASSWORD"

// password finds the password of the URL's user.
func password(say *speaker, u ftp.URL, file string) (secret.Text, error) {
	if !u.Password.Empty() {
		say.warnf("a password in a URL can be read by others on this machine: use --password-file")
		return u.Password, nil
	}
	switch env, ok := os.LookupEnv(passwordVariable); {
	case file != "":
		return secret.ReadFile(file)
	case u.User == "" || strings.EqualFold(u.User, "anonymous"):
		return secret.Text{}, nil
	case ok:
		return secret.New(env), nil
	}
	if in, ok := say.in.(*os.File); !ok || !term.IsTerminal(int(in.Fd())) {
		return secret.Text{}, usagef("give --password-file FILE or set $"+passwordVariable, "there is no password for user %q", u.User)
	}
	return readSecret(say, fmt.Sprintf("password of %s at %s: ", u.User, u.Host))
}
