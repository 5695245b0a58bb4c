package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"sallyport.dev/internal/api"
	"sallyport.dev/internal/fault"
)

func newFlow(say *speaker) *cobra.Command {
	return noun("flow", "Look at running flows and steer them",
		newFlowList(say), newFlowShow(say), newFlowRun(say),
		flowVerb("pause NAME", "Stop a flow from polling and from beginning attempts, until resumed or restarted", (*api.Client).PauseFlow),
		flowVerb("resume NAME", "End a pause", (*api.Client).ResumeFlow))
}

func newFlowList(say *speaker) *cobra.Command {
	return listCommand(say, "list", "List the flows of a running process",
		func(cmd *cobra.Command, c *api.Client) ([]api.Flow, error) { return c.Flows(cmd.Context()) },
		"FLOW\tSTATE\tLAST POLL\tOPEN\tACTIVE\tDEAD\tDONE\tBYTES",
		func(f api.Flow) string {
			return strings.Join([]string{
				f.Name, flowState(f), ago(f.LastPoll), fmt.Sprint(f.Open), fmt.Sprint(f.Active),
				fmt.Sprint(f.Dead), fmt.Sprint(f.Done), fmt.Sprint(f.Bytes),
			}, "\t")
		})
}

func flowState(f api.Flow) string {
	switch {
	case f.Paused:
		return "paused"
	case f.Error != "":
		return "failing"
	default:
		return "running"
	}
}

func newFlowShow(say *speaker) *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show how one flow stands, and why its source cannot be read",
		Args: exactly(1, "one flow's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := (&api.Client{Dir: state}).Flows(cmd.Context())
			if err != nil {
				return err
			}
			var names []string
			for _, f := range all {
				if f.Name == args[0] {
					return showFlow(say, f)
				}
				names = append(names, f.Name)
			}
			return fault.New(fault.NotFound, "no flow is named %q", args[0]).WithHint("there are: %s", strings.Join(names, ", "))
		},
	}
	stateFlag(cmd, &state)
	return cmd
}

func showFlow(say *speaker, f api.Flow) error {
	lines := [][2]string{
		{"flow", f.Name}, {"state", flowState(f)}, {"last poll", ago(f.LastPoll)},
		{"open", fmt.Sprint(f.Open)}, {"active", fmt.Sprint(f.Active)}, {"dead letters", fmt.Sprint(f.Dead)},
		{"done", fmt.Sprintf("%d (%d bytes) since the start", f.Done, f.Bytes)},
	}
	if f.Error != "" {
		lines = append(lines, [2]string{"failing since", ago(f.Since)}, [2]string{"error", f.Error}, [2]string{"hint", orDash(f.Hint)})
	}
	return say.pairs(lines)
}

// pairs prints names and values in two columns.
func (s *speaker) pairs(lines [][2]string) error {
	for _, l := range lines {
		if err := s.resultf("%-14s %s", l[0], l[1]); err != nil {
			return err
		}
	}
	return nil
}

func newFlowRun(say *speaker) *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use: "run NAME", Short: "Poll a flow's source now, also while it is paused",
		Args: exactly(1, "one flow's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := (&api.Client{Dir: state}).PollFlow(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return say.resultf("%d files match, %d are new, %d are not ready yet", p.Listed, p.Claimed, p.Waiting)
		},
	}
	stateFlag(cmd, &state)
	return cmd
}

// flowVerb is a command that does one thing to one named thing and is silent.
func flowVerb(use, short string, do func(*api.Client, context.Context, string) error) *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use: use, Short: short,
		Args: exactly(1, "one name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return do(&api.Client{Dir: state}, cmd.Context(), args[0])
		},
	}
	stateFlag(cmd, &state)
	return cmd
}
