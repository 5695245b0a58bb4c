package cli_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sallyport.dev/internal/cli"
)

// TestMain lets scripts run the program as a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sallyport": func() { os.Exit(cli.Main()) },
	})
}

// TestScripts runs the stories in testdata/script. Beside testscript's own
// commands they have
//
//	daemon NAME PATTERN ARGS...   runs sallyport ARGS until the story ends, waits
//	                              until it says PATTERN, and sets $NAME to what the
//	                              pattern's group matched
//	expand FILE                   puts the values of variables into FILE
//	arrives FILE                  waits until FILE is there
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"daemon":  daemonCmd,
			"expand":  expandCmd,
			"arrives": arrivesCmd,
		},
	})
}

func daemonCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: daemon NAME PATTERN ARGS...")
	}
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	said := &speech{grown: make(chan struct{}, 1)}
	done := make(chan int, 1)
	words := slices.Clone(args[2:])
	// Paths in a story are relative to its folder.
	for i, w := range words {
		if i > 0 && (words[i-1] == "--state" || words[i-1] == "-c" || words[i-1] == "--password-file") || w == "files" || w == "other" {
			words[i] = ts.MkAbs(w)
		}
	}
	go func() { done <- cli.Run(ctx, words, cli.Streams{In: bytes.NewReader(nil), Out: io.Discard, Err: said}) }()
	ts.Defer(func() {
		cancel()
		if code := <-done; code != 0 {
			ts.Logf("daemon %s ended with exit %d:\n%s", args[0], code, said.text())
		}
	})
	deadline := time.After(20 * time.Second)
	for {
		if m := pattern.FindStringSubmatch(said.text()); m != nil {
			if len(m) > 1 {
				ts.Setenv(args[0], m[1])
			}
			return
		}
		select {
		case <-said.grown:
		case code := <-done:
			done <- code
			ts.Fatalf("daemon %s ended with exit %d without saying %q:\n%s", args[0], code, args[1], said.text())
		case <-deadline:
			ts.Fatalf("daemon %s did not say %q:\n%s", args[0], args[1], said.text())
		}
	}
}

func expandCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: expand FILE")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

func arrivesCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: arrives FILE")
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s did not arrive", args[0])
		}
	}
}

// speech is what a daemon says, and a sign of life with each word.
type speech struct {
	grown chan struct{}

	mu  sync.Mutex // guards the following
	buf bytes.Buffer
}

func (s *speech) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf.Write(p)
	select {
	case s.grown <- struct{}{}:
	default: // a sign is waiting to be seen
	}
	return len(p), nil
}

func (s *speech) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}
