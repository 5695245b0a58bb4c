package cli

import (
	"os"

	"github.com/spf13/cobra"

	"sallyport.dev/internal/demo"
)

func newDemo(say *speaker) *cobra.Command {
	o := demo.Options{Result: say.resultf, Say: say.sayf, Program: os.Args[0]}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play plant and cloud on this machine, with real files both ways",
		Long: `Demo plays both sides on loopback, in one process: an FTP server and a connector
in the plant, a gateway with a SOCKS5 proxy and two flows in the cloud. Sample
files travel both ways through the tunnel. It takes free ports and says what runs
where and what to try.`,
		Example: "  sallyport demo\n  sallyport demo --once",
		Args:    exactly(0, "no arguments"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return demo.Run(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.Once, "once", false, "end when every sample has arrived byte for byte, or fail within 20 s")
	cmd.Flags().StringVar(&o.Dir, "dir", "", "folder for everything, emptied of an earlier demo; without it a temporary one, removed at the end")
	return cmd
}
