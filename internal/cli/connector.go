package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"sallyport.dev/internal/config"
	"sallyport.dev/internal/connector"
	"sallyport.dev/internal/daemon"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/tunnel/enroll"
)

func newConnector(say *speaker) *cobra.Command {
	return noun("connector", "Reach out of the closed network and expose servers in it", newConnectorJoin(say), newConnectorRun(say))
}

func newConnectorJoin(say *speaker) *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "join TOKEN|-",
		Short: "Spend a join token for a certificate, once",
		Long: `Join shows the token to its gateway and keeps the certificate that it gets in
the state folder. "-" reads the token from standard input, which keeps it out of
the shell's history and the list of processes.`,
		Example: "  sallyport connector join - --state ./state < token",
		Args:    exactly(1, "a token, or - to read it from standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := args[0]
			if text == "-" {
				t, err := secret.Read(say.in)
				if err != nil {
					return fault.As(err, "read the token from standard input")
				}
				text = t.Reveal()
			}
			token, err := enroll.ParseToken(strings.TrimSpace(text))
			if err != nil {
				return err
			}
			who, err := connector.Join(cmd.Context(), token, state)
			if err != nil {
				return err
			}
			say.sayf("joined as location %s (connector %s, certificate until %s)", who.Location, who.ID, who.NotAfter.Local().Format("2006-01-02"))
			return nil
		},
	}
	stateFlag(cmd, &state)
	return cmd
}

type connectorRunOptions struct {
	expose  []string
	state   string
	verbose bool
}

func newConnectorRun(say *speaker) *cobra.Command {
	var o connectorRunOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a connector until interrupted",
		Long: `Run connects out to the gateways of the join token and exposes what --expose
names, and nothing else. It keeps trying for ever when a gateway is away.

  --expose VIRTUAL:PORT=HOST:PORT[,protocol=ftp][,data_ports=LOW-HIGH]

protocol=ftp reads the FTP conversation and opens each data port as the server
announces it; no port range is needed. data_ports maps a fixed range for
conversations that cannot be read, such as FTPS.`,
		Example: "  sallyport connector run --expose 'ftp-erp:21=10.0.0.5:21,protocol=ftp' --state ./state",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := o.config()
			if err != nil {
				return err
			}
			if len(o.expose) == 0 {
				say.warnf("nothing is exposed: add --expose 'ftp-erp:21=10.0.0.5:21,protocol=ftp'")
			}
			return daemon.Run(cmd.Context(), cfg, say.daemonOptions(o.verbose))
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.expose, "expose", nil, "what may be reached, under which name; may be repeated")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log more")
	stateFlag(cmd, &o.state)
	return cmd
}

// config turns the flags into the document that would say the same. Gateways and
// location are those of the credentials.
func (o connectorRunOptions) config() (*config.Config, error) {
	c := &config.Connector{}
	for _, e := range o.expose {
		m, err := connector.ParseExpose(e)
		if err != nil {
			return nil, &usageError{fault.As(err, "--expose")}
		}
		var mapping config.Mapping
		mapping.Protocol = config.Protocol(m.Protocol)
		for _, part := range []struct {
			text string
			into interface{ UnmarshalText([]byte) error }
		}{{m.Virtual, &mapping.Virtual}, {m.Internal, &mapping.Internal}, {m.DataPorts, &mapping.DataPorts}} {
			if part.text == "" {
				continue
			}
			if err := part.into.UnmarshalText([]byte(part.text)); err != nil {
				return nil, &usageError{fault.As(err, "--expose %q", e)}
			}
		}
		c.Mappings = append(c.Mappings, mapping)
	}
	return &config.Config{State: o.state, Connector: c}, nil
}
