package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/testkit"
)

// TestReferenceCommandLine holds docs/reference/command-line.md to the commands.
func TestReferenceCommandLine(t *testing.T) {
	var b strings.Builder
	b.WriteString("# The command line\n\nMade from the program's own help: `make docs` writes it.\n\n")
	b.WriteString("Results go to standard output, everything else to standard error. Flags may follow arguments.\n\n")
	b.WriteString("| exit status | meaning |\n|---|---|\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "| %d | %s |\n", e.code, e.what)
	}
	describe(&b, newRoot(newSpeaker(Streams{})))
	testkit.Golden(t, filepath.Join(testkit.ModuleRoot(t), "docs", "reference", "command-line.md"), []byte(b.String()))
}

func describe(b *strings.Builder, c *cobra.Command) {
	if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
		return
	}
	if c.HasParent() && c.RunE != nil && !c.HasSubCommands() {
		long, _, _ := strings.Cut(c.Long, "\n\nExit status:")
		fmt.Fprintf(b, "\n## %s\n\n```\n%s\n```\n\n%s\n", c.CommandPath(), c.UseLine(), long)
		if c.Example != "" {
			fmt.Fprintf(b, "\n```\n%s\n```\n", strings.TrimPrefix(strings.ReplaceAll(c.Example, "\n  ", "\n"), "  "))
		}
		if c.HasAvailableLocalFlags() {
			b.WriteString("\n| flag | default | meaning |\n|---|---|---|\n")
			c.LocalFlags().VisitAll(func(f *pflag.Flag) {
				if f.Name != "help" {
					fmt.Fprintf(b, "| `--%s` | %s | %s |\n", f.Name, f.DefValue, strings.ReplaceAll(f.Usage, "|", "\\|"))
				}
			})
		}
	}
	for _, sub := range c.Commands() {
		describe(b, sub)
	}
}

// TestReferenceFTPCommands holds docs/reference/ftp-commands.md to the site's
// command table.
func TestReferenceFTPCommands(t *testing.T) {
	var b strings.Builder
	b.WriteString("# What a site answers\n\nMade from the server's own table: `make docs` writes it.\n\n")
	b.WriteString("| command | does | specified in RFC | before login | during a transfer | writes |\n|---|---|---|---|---|---|\n")
	mark := map[bool]string{true: "yes", false: ""}
	var refused []ftpserver.CommandInfo
	for _, c := range ftpserver.Commands() {
		if !c.Served {
			refused = append(refused, c)
			continue
		}
		name := "`" + strings.ReplaceAll(c.Syntax, "|", "\\|") + "`"
		if c.Alias != "" {
			name += " (" + c.Alias + ")"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", name, c.Does, c.RFC, mark[!c.Login], mark[c.During], mark[c.Writes])
	}
	b.WriteString("\n## Refused in words\n\n| command | specified in RFC | the client is told |\n|---|---|---|\n")
	for _, c := range refused {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.Verb, c.RFC, c.Why)
	}
	testkit.Golden(t, filepath.Join(testkit.ModuleRoot(t), "docs", "reference", "ftp-commands.md"), []byte(b.String()))
}
