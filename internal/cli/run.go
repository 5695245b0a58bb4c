package cli

import (
	"github.com/spf13/cobra"

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
			doc, err := config.Load(file)
			if err != nil {
				return err
			}
			for _, f := range doc.Warnings {
				say.sayf("%s", f)
			}
			if unserved := doc.Unserved(""); len(unserved) > 0 {
				return fault.Wrap(fault.Unsupported, unserved, "this version cannot serve what %s asks for", file).
					WithHint("take the keys out if you can do without them")
			}
			options := say.daemonOptions(verbose)
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
