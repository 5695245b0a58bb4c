package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport.dev/internal/api"
	"sallyport.dev/internal/config"
	"sallyport.dev/internal/daemon"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/gateway"
	"sallyport.dev/internal/tunnel/enroll"
)

// stateFlag is how every command names the state folder.
func stateFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "state", "./state", "state folder")
}

func newGateway(say *speaker) *cobra.Command {
	return noun("gateway", "Take connectors in, outside the closed network",
		newGatewayRun(say), newGatewayToken(say), newGatewayConnectors(say), newGatewayStreams(say), newGatewaySessions(say))
}

type gatewayRunOptions struct {
	listen, socks, state string
	verbose              bool
}

func newGatewayRun(say *speaker) *cobra.Command {
	var o gatewayRunOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a gateway until interrupted",
		Long: `Run takes connectors in and gives programs on this machine a SOCKS5 proxy to
what they expose. Make a join token with "sallyport gateway token".`,
		Example: "  sallyport gateway run --listen :443 --socks 127.0.0.1:1080 --state ./state",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			g := &config.Gateway{SOCKS: &config.SOCKS{}}
			if err := g.Listen.UnmarshalText([]byte(o.listen)); err != nil {
				return &usageError{fault.As(err, "--listen")}
			}
			if o.socks == "" {
				g.SOCKS = nil
			} else if err := g.SOCKS.Listen.UnmarshalText([]byte(o.socks)); err != nil {
				return &usageError{fault.As(err, "--socks")}
			}
			return daemon.Run(cmd.Context(), &config.Config{State: o.state, Gateway: g}, say.daemonOptions(o.verbose))
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", ":8443", "address and port that connectors dial; port 0 takes a free one")
	f.StringVar(&o.socks, "socks", "127.0.0.1:1080", "SOCKS5 address and port for programs on this machine; empty for none")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log more")
	stateFlag(cmd, &o.state)
	return cmd
}

// daemonOptions are what every daemon is run with.
func (s *speaker) daemonOptions(verbose bool) daemon.Options {
	return daemon.Options{
		Logger: s.logger(verbose), Listening: s.listening, Version: version(),
		Connected: func(gateway, location string) { s.sayf("connected to %s as %s", gateway, location) },
	}
}

type tokenOptions struct {
	location string
	address  []string
	state    string
	valid    time.Duration
}

func newGatewayToken(say *speaker) *cobra.Command {
	var o tokenOptions
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print a token with which a connector joins, once",
		Long: `Token prints a join token, alone on standard output. Whoever holds it can join
one connector for the location until it expires, so hand it over as you would a
password. A gateway that runs beside takes it at once; none needs to run.`,
		Example: "  sallyport gateway token --location plant1 --address gateway.example.com:443 --state ./state",
		Args:    exactly(0, "no arguments"),
		RunE:    func(*cobra.Command, []string) error { return runGatewayToken(say, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.location, "location", "", "location that the connector will serve, such as plant1")
	f.StringSliceVar(&o.address, "address", nil, "host:port of the gateway as the connector dials it; several for several gateways; without it gateway.public of the document that last ran here")
	f.DurationVar(&o.valid, "valid", enroll.TokenTTL, "how long the token can be used")
	stateFlag(cmd, &o.state)
	return cmd
}

func runGatewayToken(say *speaker, o tokenOptions) error {
	if o.location == "" {
		return usagef("name the place that the connector will serve: --location plant1", "--location is missing")
	}
	if len(o.address) == 0 {
		public, err := daemon.PublicAddress(o.state)
		if err != nil {
			return err
		}
		if public != "" {
			o.address = []string{public}
		}
	}
	if len(o.address) == 0 {
		return usagef("give host:port as the connector's machine dials it: --address gateway.example.com:443", "--address is missing")
	}
	if _, err := os.Stat(o.state); errors.Is(err, fs.ErrNotExist) {
		say.warnf("no gateway has run in %s yet: a new authority is made there", o.state)
	}
	t, err := gateway.NewToken(o.state, o.location, o.address, o.valid)
	if err != nil {
		return err
	}
	say.sayf("join token for location %s, good once and until %s:", t.Location, t.Expires.Local().Format("2006-01-02 15:04:05 MST"))
	return say.resultf("%s", t.Encode())
}

// listCommand is a command that asks the running part for a list.
func listCommand[T any](say *speaker, use, short string, ask func(*cobra.Command, *api.Client) ([]T, error), header string, row func(T) string) *cobra.Command {
	var state string
	var asJSON bool
	cmd := &cobra.Command{
		Use: use, Short: short,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := ask(cmd, &api.Client{Dir: state})
			if err != nil {
				return err
			}
			if asJSON {
				if list == nil {
					list = []T{}
				}
				enc := json.NewEncoder(say.out)
				enc.SetIndent("", "  ")
				return enc.Encode(list)
			}
			tw := tabwriter.NewWriter(say.out, 0, 4, 2, ' ', 0)
			if _, err := fmt.Fprintln(tw, header); err != nil {
				return err
			}
			for _, v := range list {
				if _, err := fmt.Fprintln(tw, row(v)); err != nil {
					return err
				}
			}
			return tw.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	stateFlag(cmd, &state)
	return cmd
}

func newGatewayConnectors(say *speaker) *cobra.Command {
	cmd := listCommand(say, "connectors", "List the connectors of a running gateway",
		func(cmd *cobra.Command, c *api.Client) ([]api.Connector, error) { return c.Connectors(cmd.Context()) },
		"ID\tLOCATION\tSTATE\tSINCE\tFROM\tSTREAMS\tMAPPINGS",
		func(c api.Connector) string {
			state := "offline"
			switch {
			case !c.Revoked.IsZero():
				state = "revoked"
			case c.Connected:
				state = "connected"
			}
			return strings.Join([]string{
				c.ID, c.Location, state, ago(c.Since), orDash(c.Address), fmt.Sprint(c.Streams), orDash(strings.Join(c.Mappings, ",")),
			}, "\t")
		})
	cmd.AddCommand(newConnectorsRevoke(), newConnectorsApprove())
	return cmd
}

func newConnectorsRevoke() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Shut a connector out for ever",
		Long: `Revoke shuts the connector with this id out for ever; a gateway that runs beside
cuts its sessions within seconds. Its location can be joined anew with a new token.`,
		Args: exactly(1, "one connector's id"),
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := os.Stat(state); err != nil {
				return fault.As(err, "find the gateway's state folder").WithHint("name it with --state DIR")
			}
			a, err := enroll.OpenAuthority(state, nil)
			if err != nil {
				return err
			}
			return errors.Join(a.Revoke(args[0]), a.Close())
		},
	}
	stateFlag(cmd, &state)
	return cmd
}

func newConnectorsApprove() *cobra.Command {
	return &cobra.Command{
		Use: "approve ID", Short: "Approve a second connector for a location (not in this version)", Args: exactly(1, "one connector's id"),
		RunE: func(*cobra.Command, []string) error {
			return fault.New(fault.Unsupported, "a second connector for a location cannot be approved in this version").
				WithHint("one connector serves a location; give the second a location of its own")
		},
	}
}

func newGatewayStreams(say *speaker) *cobra.Command {
	return listCommand(say, "streams", "List the tunnelled connections of a running gateway",
		func(cmd *cobra.Command, c *api.Client) ([]api.Stream, error) { return c.Streams(cmd.Context()) },
		"PRINCIPAL\tLOCATION\tTARGET\tSINCE\tIN\tOUT",
		func(s api.Stream) string {
			return strings.Join([]string{s.Principal, s.Location, s.Target, ago(s.Since), fmt.Sprint(s.In), fmt.Sprint(s.Out)}, "\t")
		})
}

func newGatewaySessions(say *speaker) *cobra.Command {
	return listCommand(say, "sessions", "List the sessions of connectors and of sites' clients",
		func(cmd *cobra.Command, c *api.Client) ([]api.Session, error) { return c.Sessions(cmd.Context()) },
		"PART\tWHO\tFROM\tSINCE\tDOING",
		func(s api.Session) string {
			return strings.Join([]string{s.Part, orDash(s.Principal), s.Address, ago(s.Since), orDash(s.Doing)}, "\t")
		})
}

// ago is how long ago t was, to the second, or a dash.
func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return time.Since(t).Truncate(time.Second).String() + " ago"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
