package cli

import (
	"context"
	"os"

	"golang.org/x/term"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
)

// readSecret reads a secret at a prompt, or from standard input that is no terminal.
func readSecret(ctx context.Context, say *speaker, prompt string) (secret.Text, error) {
	in, ok := say.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		t, err := secret.Read(say.in)
		if err != nil {
			return t, fault.As(err, "read standard input")
		}
		return t, nil
	}
	before, err := term.GetState(int(in.Fd()))
	if err != nil {
		return secret.Text{}, fault.As(err, "look at the terminal")
	}
	say.promptf("%s", prompt)
	type typed struct {
		text []byte
		err  error
	}
	got := make(chan typed, 1)
	// Nothing can end a read from a terminal but its user. After an interruption it is
	// left behind, and the process ends soon.
	go func() {
		b, err := term.ReadPassword(int(in.Fd()))
		got <- typed{b, err}
	}()
	select {
	case t := <-got:
		say.sayf("")
		if t.err != nil {
			return secret.Text{}, fault.As(t.err, "read what was typed")
		}
		return secret.New(string(t.text)), nil
	case <-ctx.Done():
		say.sayf("")
		if err := term.Restore(int(in.Fd()), before); err != nil { // or it would show nothing any more
			say.warnf("the terminal may not show what is typed: %v; type: stty sane", err)
		}
		return secret.Text{}, context.Cause(ctx)
	}
}
