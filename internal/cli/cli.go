// Package cli is the command line: one file per command, each an options struct,
// a parse and a run function. It decides nothing that a daemon decides; it speaks.
//
// See output.go for how it speaks and [exitCodes] for what its exit codes mean.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"sallyport.dev/internal/fault"
)

// The exit codes, listed in every command's help.
const (
	exitFine        = 0
	exitError       = 1
	exitUsage       = 2
	exitPartly      = 3
	exitAuth        = 4
	exitInterrupted = 130
)

var exitCodes = []struct {
	code int
	what string
}{
	{exitFine, "done"},
	{exitError, "an error, told on stderr"},
	{exitUsage, "the command line is wrong"},
	{exitPartly, "done in part"},
	{exitAuth, "a login was refused"},
	{exitInterrupted, "interrupted"},
}

// codeOf is the exit codes' dialect of fault kinds.
func codeOf(err error) int {
	var u *usageError
	var p *partlyError
	switch {
	case err == nil:
		return exitFine
	case errors.As(err, &u):
		return exitUsage
	case errors.As(err, &p):
		return exitPartly
	}
	switch fault.KindOf(err) {
	case fault.Canceled:
		return exitInterrupted
	case fault.Unauthenticated:
		return exitAuth
	default:
		return exitError
	}
}

// usageError is a wrong command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usagef returns a usage error with a hint.
func usagef(hint, format string, args ...any) error {
	return &usageError{fault.New(fault.Invalid, format, args...).WithHint("%s", hint)}
}

// partlyError is work done in part.
type partlyError struct{ err error }

func (e *partlyError) Error() string { return e.err.Error() }
func (e *partlyError) Unwrap() error { return e.err }

// toldError is an error whose every line the command has already printed as its
// result; only the exit code is left to say.
type toldError struct{ err error }

func (e *toldError) Error() string { return e.err.Error() }
func (e *toldError) Unwrap() error { return e.err }

// Main runs the program with the process's arguments and returns its exit code.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	return Run(ctx, os.Args[1:], Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
}

// Streams is where a command reads and speaks.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Run runs one command line and returns its exit code. Stopping a daemon by ctx
// is no error.
func Run(ctx context.Context, args []string, s Streams) int {
	say := newSpeaker(s)
	root := newRoot(say)
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	err := root.ExecuteContext(ctx)
	var told *toldError
	if err != nil && !errors.As(err, &told) {
		say.failure(err)
	}
	return codeOf(err)
}

func newRoot(say *speaker) *cobra.Command {
	root := &cobra.Command{
		Use:   "sallyport",
		Short: "Move files between FTP servers in closed networks and applications outside",
		Long: `Sallyport moves files between FTP servers inside a private network and
applications outside it, through a firewall in which nothing may dial in.

See it all at work on this machine:   sallyport demo`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("sallyport --help lists the commands", "there is no command %q", args[0])
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.SetVersionTemplate("sallyport {{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("see "+cmd.CommandPath()+" --help", "%v", err)
	})
	root.AddCommand(
		newDemo(say), newRun(say), newReload(say), newConfig(say), newSite(say),
		newGateway(say), newConnector(say), newCheck(say), newLs(say), newGet(say), newPut(say), newSync(say), newFlow(say), newTransfer(say), newAccount(say),
	)
	for _, c := range root.Commands() {
		addExitStatus(c)
	}
	return root
}

// addExitStatus appends the exit codes to the help of c and what is below it.
func addExitStatus(c *cobra.Command) {
	if c.RunE != nil {
		text := "\n\nExit status:\n"
		for _, e := range exitCodes {
			text += fmt.Sprintf("  %-3d %s\n", e.code, e.what)
		}
		if c.Long == "" {
			c.Long = c.Short + "."
		}
		c.Long += text[:len(text)-1]
	}
	for _, sub := range c.Commands() {
		addExitStatus(sub)
	}
}

// noun returns a command that only groups others.
func noun(use, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("see "+cmd.CommandPath()+" --help", "there is no command %q", cmd.CommandPath()+" "+args[0])
			}
			return cmd.Help()
		},
	}
	c.AddCommand(subs...)
	return c
}

// atMostOne wants one argument or none.
func atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("see "+cmd.CommandPath()+" --help", "%s wants one argument at most, got %d", cmd.CommandPath(), len(args))
	}
	return nil
}

// exactly wants n arguments, named for the message.
func exactly(n int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("see "+cmd.CommandPath()+" --help", "%s wants %s, got %d arguments", cmd.CommandPath(), names, len(args))
		}
		return nil
	}
}
