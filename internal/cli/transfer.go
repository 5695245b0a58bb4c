package cli

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"sallyport.dev/internal/api"
)

func newTransfer(say *speaker) *cobra.Command {
	return noun("transfer", "Look at files on their way, and see to those that could not be carried",
		newTransferList(say), newTransferShow(say),
		flowVerb("retry ID", "Give a dead letter its attempts anew", (*api.Client).RetryTransfer),
		flowVerb("discard ID", "Give a dead letter up; its file is left alone until it changes", (*api.Client).DiscardTransfer))
}

type transferListOptions struct {
	state string
	json  bool
	query api.TransferQuery
}

func newTransferList(say *speaker) *cobra.Command {
	var o transferListOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List transfers: open ones, dead letters, and finished ones that are remembered",
		Example: `  sallyport transfer list --in failed         # dead letters
  sallyport transfer list --flow orders --past`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return runTransferList(cmd, say, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.query.Flow, "flow", "", "of this flow alone")
	f.StringVar(&o.query.State, "in", "", "in this state alone: claimed, intent, delivered, done or failed")
	f.BoolVar(&o.query.Past, "past", false, "finished ones whose files have left the source")
	f.BoolVar(&o.json, "json", false, "print JSON, one transfer a line")
	stateFlag(cmd, &o.state)
	return cmd
}

// runTransferList prints page by page, so that a long list needs little memory at
// either end.
func runTransferList(cmd *cobra.Command, say *speaker, o transferListOptions) error {
	c := &api.Client{Dir: o.state}
	tw := tabwriter.NewWriter(say.out, 0, 4, 2, ' ', 0)
	header := "ID\tFLOW\tSTATE\tATTEMPTS\tSIZE\tUPDATED\tFILE"
	for q := o.query; ; {
		page, err := c.Transfers(cmd.Context(), q)
		if err != nil {
			return err
		}
		for i := range page.Transfers {
			t := &page.Transfers[i]
			if o.json {
				err = json.NewEncoder(say.out).Encode(t)
			} else {
				if header != "" {
					_, err = fmt.Fprintln(tw, header)
					header = ""
				}
				if err == nil {
					_, err = fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", t.ID, t.Flow, transferState(t), t.Begun, t.Size, ago(t.Updated), shown(t.File))
				}
			}
			if err != nil {
				return err
			}
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		if page.Next == "" {
			return nil
		}
		q.After = page.Next
	}
}

func transferState(t *api.Transfer) string {
	if t.Outcome != "" {
		return t.Outcome
	}
	if t.State == "failed" {
		return "dead letter"
	}
	return t.State
}

// shown is a file's name for the eye: as it is, or quoted if it could mislead.
func shown(name string) string {
	if name == "" || strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(name)
	}
	return name
}

func newTransferShow(say *speaker) *cobra.Command {
	var state string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show one transfer with the attempts that failed",
		Args: exactly(1, "one transfer's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := (&api.Client{Dir: state}).Transfer(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(say.out)
				enc.SetIndent("", "  ")
				return enc.Encode(t)
			}
			return showTransfer(say, &t)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	stateFlag(cmd, &state)
	return cmd
}

func showTransfer(say *speaker, t *api.Transfer) error {
	lines := [][2]string{
		{"transfer", t.ID}, {"flow", t.Flow}, {"file", shown(t.File)}, {"source", t.Source},
		{"size", fmt.Sprint(t.Size)}, {"state", transferState(t)}, {"attempts", fmt.Sprint(t.Begun)},
		{"claimed", ago(t.Claimed)}, {"updated", ago(t.Updated)},
	}
	if t.Hash != "" {
		lines = append(lines, [2]string{"sha256", t.Hash})
	}
	for _, o := range t.Sinks {
		where := o.Sink + ": " + shown(o.Name)
		if o.Delivered {
			where += " (delivered)"
		}
		lines = append(lines, [2]string{"sink", where})
	}
	for _, a := range t.Log {
		lines = append(lines, [2]string{fmt.Sprintf("attempt %d", a.Number), a.Error})
		if a.Hint != "" {
			lines = append(lines, [2]string{"  hint", a.Hint})
		}
	}
	return say.pairs(lines)
}
