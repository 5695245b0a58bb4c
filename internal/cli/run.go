package cli

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"sallyport.dev/internal/api"
	"sallyport.dev/internal/config"
	"sallyport.dev/internal/daemon"
	"sallyport.dev/internal/fault"
)

func newRun(say *speaker) *cobra.Command {
	var file string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the parts that the document names until interrupted",
		Long: `Run reads the document and runs the sites, gateway, connector and flows that it
names. Where the document asks a part for something that this version does not
serve, such as a journal on other machines, run names the key and does not
start: it never gives less protection than the document asks for.`,
		Example: "  sallyport run -c sallyport.yaml",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			load := func() (*config.Document, error) { return loadToRun(say, file) }
			doc, err := load()
			if err != nil {
				return err
			}
			options := say.daemonOptions(verbose)
			hangup := make(chan os.Signal, 1)
			signal.Notify(hangup, syscall.SIGHUP)
			defer signal.Stop(hangup)
			options.Load, options.Hangup = load, hangup
			if options.Inherited, err = daemon.Inherited(); err != nil {
				return err
			}
			return daemon.Run(cmd.Context(), &doc.Config, options)
		},
	}
	documentFlag(cmd, &file)
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "log more")
	return cmd
}

// loadToRun reads a document of which everything can be served.
func loadToRun(say *speaker, file string) (*config.Document, error) {
	doc, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	for _, f := range doc.Warnings {
		say.sayf("%s", f)
	}
	if unserved := doc.Unserved(""); len(unserved) > 0 {
		return nil, fault.Wrap(fault.Unsupported, unserved, "this version cannot serve what %s asks for", file).
			WithHint("take the keys out if you can do without them")
	}
	return doc, nil
}

func newReload(say *speaker) *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make a running process read its document anew",
		Long: `Reload makes the process that runs with this state folder read its document anew,
as SIGHUP does. Sites and accounts become what it says: sessions go on as they
began, logins and sessions to come have the new. Sites that are new begin, sites
that are gone let their sessions end, and logs are opened anew. What else differs is
printed as waiting for a restart. A document with faults changes nothing.`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			did, err := (&api.Client{Dir: state}).Reload(cmd.Context())
			if err != nil {
				return err
			}
			for _, line := range did.Sites {
				if err := say.resultf("%s", line); err != nil {
					return err
				}
			}
			for _, key := range did.Restart {
				say.sayf("%s: changed, and waits for a restart", key)
			}
			return nil
		},
	}
	stateFlag(cmd, &state)
	return cmd
}
