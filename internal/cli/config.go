package cli

import (
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"sallyport.dev/internal/config"
)

type configOptions struct {
	file      string
	json      bool
	effective bool
}

// documentFlag is how every command names the document.
func documentFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "config", "c", config.DefaultName, "the document")
}

func newConfig(say *speaker) *cobra.Command {
	return noun("config", "Check and show the document", newConfigCheck(say), newConfigShow(say), newConfigSchema(say))
}

func newConfigCheck(say *speaker) *cobra.Command {
	var o configOptions
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Print every fault of the document as file:line:column",
		Long: `Check reads the document and prints every fault at once, each as
file:line:column with the key and what may be written there. Keys that the
document may have but that this version does not serve yet are warnings here;
"sallyport run" refuses to start a part that asks for one.

It opens no file but the document, resolves no secret and looks up no name.`,
		Example: "  sallyport config check -c sallyport.yaml",
		Args:    atMostOne,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.file = args[0]
			}
			return runConfigCheck(say, o)
		},
	}
	documentFlag(cmd, &o.file)
	cmd.Flags().BoolVar(&o.json, "json", false, "print the faults as a JSON array")
	return cmd
}

func runConfigCheck(say *speaker, o configOptions) error {
	doc, err := config.Load(o.file)
	var found config.Faults
	if err != nil && !errors.As(err, &found) {
		return err
	}
	if err == nil {
		found = append(doc.Warnings, unservedWarnings(doc)...)
	}
	if o.json {
		if found == nil {
			found = config.Faults{}
		}
		enc := json.NewEncoder(say.out)
		enc.SetIndent("", "  ")
		if werr := enc.Encode(found); werr != nil {
			return werr
		}
	} else {
		for _, f := range found {
			if werr := say.resultf("%s", f); werr != nil {
				return werr
			}
		}
	}
	if err != nil {
		return &toldError{err}
	}
	return nil
}

// unservedWarnings are the keys that run would refuse, as warnings.
func unservedWarnings(doc *config.Document) config.Faults {
	found := doc.Unserved("")
	for i := range found {
		found[i].Warning = true
	}
	return found
}

func newConfigShow(say *speaker) *cobra.Command {
	var o configOptions
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the document as it is understood",
		Args:  exactly(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			doc, err := config.Load(o.file)
			if err != nil {
				return err
			}
			text := doc.Shown()
			if o.effective {
				text = doc.Effective()
			}
			_, err = say.out.Write(text)
			return err
		},
	}
	documentFlag(cmd, &o.file)
	cmd.Flags().BoolVar(&o.effective, "effective", false, "with the defaults filled in")
	return cmd
}

func newConfigSchema(say *speaker) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print a JSON schema of the document, for editors",
		Args:  exactly(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			text, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = say.out.Write(text)
			return err
		},
	}
}
