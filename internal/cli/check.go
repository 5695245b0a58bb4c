package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"sallyport.dev/internal/check"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

type checkOptions struct {
	url     string
	reach   reach
	timeout time.Duration
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
	o.reach.flags(cmd)
	f.DurationVar(&o.timeout, "timeout", 15*time.Second, "longest time for one step")
	stateFlag(cmd, &o.reach.state)
	return cmd
}

func runCheck(ctx context.Context, say *speaker, o checkOptions) error {
	u, err := ftp.ParseURL(o.url)
	if err != nil {
		return &usageError{err}
	}
	t := check.Target{URL: u, Timeout: o.timeout}
	if t.Dial, t.Via, err = o.reach.way(); err != nil {
		return err
	}
	if t.TLS, err = o.reach.trust(); err != nil {
		return err
	}
	if t.Password, err = o.reach.password(ctx, say, u); err != nil {
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
