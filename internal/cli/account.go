package cli

import (
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sallyport.dev/internal/account"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
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
		RunE: func(*cobra.Command, []string) error {
			pw, err := readSecret(say, "password: ")
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

// readSecret reads a secret at a prompt, or from standard input that is no terminal.
func readSecret(say *speaker, prompt string) (secret.Text, error) {
	in, ok := say.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		t, err := secret.Read(say.in)
		if err != nil {
			return t, fault.As(err, "read standard input")
		}
		return t, nil
	}
	say.promptf("%s", prompt)
	b, err := term.ReadPassword(int(in.Fd()))
	say.sayf("")
	if err != nil {
		return secret.Text{}, fault.As(err, "read what was typed")
	}
	return secret.New(string(b)), nil
}
