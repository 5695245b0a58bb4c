package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sallyport.dev/internal/api"
)

func newSiteSessions(say *speaker) *cobra.Command {
	return listCommand(say, "sessions", "List the sessions of clients with the sites of a running process",
		func(cmd *cobra.Command, c *api.Client) ([]api.SiteSession, error) {
			return c.SiteSessions(cmd.Context())
		},
		"ID\tSITE\tUSER\tCLIENT\tSINCE\tCOMMAND\tBEGUN\tPREVIOUS\tLAST ERROR\tSENT\tRECEIVED\tTRANSFER",
		func(s api.SiteSession) string {
			failure, path := "-", "-"
			if s.Failure != 0 {
				failure = strconv.Itoa(s.Failure)
			}
			if s.Path != "" {
				path = strconv.Quote(s.Path)
			}
			return strings.Join([]string{
				fmt.Sprint(s.ID), s.Site, orDash(s.User), s.Client, ago(s.Since), orDash(s.Command), ago(s.Begun), orDash(s.Previous),
				failure, fmt.Sprint(s.Sent), fmt.Sprint(s.Received), path,
			}, "\t")
		})
}

func newSiteDisconnect() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "disconnect ID",
		Short: "End a client's session with a site at once",
		Long: `Disconnect ends the session with this ID, as "sallyport site sessions" lists it, at
once. A transfer that runs is cut, so that the client sees that it is not whole;
of an upload nothing appears under its name.`,
		Args: exactly(1, "one session's ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return usagef("`sallyport site sessions` lists them", "%q is no session's ID, which is a number", args[0])
			}
			return (&api.Client{Dir: state}).Disconnect(cmd.Context(), id)
		},
	}
	stateFlag(cmd, &state)
	return cmd
}
