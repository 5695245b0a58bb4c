package cli

import (
	"github.com/spf13/cobra"

	"sallyport.dev/internal/account"
)

func newAccount(say *speaker) *cobra.Command {
	return noun("account", "Make what accounts in the document need", newAccountHash(say))
}

func newAccountHash(say *speaker) *cobra.Command {
	return &cobra.Command{
		Use:   "hash",
		Short: "Read a password and print its hash for the document",
		Long: `Hash reads a password, from a prompt or from standard input, and prints its
argon2id hash. In the document it stands as password: {hash: "..."}.`,
		Example: "  sallyport account hash < password-file",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			pw, err := readSecret(cmd.Context(), say, "password: ")
			if err != nil {
				return err
			}
			if pw.Empty() {
				return usagef("write it to standard input, or type it at the prompt", "the password is empty")
			}
			return say.resultf("%s", account.Hash(pw))
		},
	}
}
