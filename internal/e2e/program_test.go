//go:build linux

package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sallyport.dev/internal/testkit"
)

// patience bounds every wait for something a program says or does.
const patience = 30 * time.Second

// program is a sallyport process in progress.
type program struct {
	t    *testing.T
	cmd  *exec.Cmd
	name string
	out  *watched
	done chan struct{}
	err  error // set before done is closed
}

// start starts the program, in network namespace ns unless that is empty, and
// ends it with the test.
func start(t *testing.T, ns string, args ...string) *program {
	t.Helper()
	argv := append([]string{testkit.Binary(t)}, args...)
	if ns != "" {
		argv = append([]string{"ip", "netns", "exec", ns}, argv...)
	}
	return startCommand(t, strings.Join(args, " "), exec.Command(argv[0], argv[1:]...), syscall.SIGTERM)
}

// startCommand starts a command that keeps running, and ends it with the test by sig.
func startCommand(t *testing.T, name string, cmd *exec.Cmd, sig syscall.Signal) *program {
	t.Helper()
	p := &program{t: t, name: name, cmd: cmd, out: newWatched(), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	go func() { p.err = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		p.stop(sig)
		if t.Failed() {
			t.Logf("--- %s said:\n%s", p.name, p.out)
		}
	})
	return p
}

// stop signals the program and waits for its end, killing it when it takes
// longer than patience.
func (p *program) stop(sig syscall.Signal) {
	p.t.Helper()
	_ = p.cmd.Process.Signal(sig) // it may have ended
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Errorf("%s did not end on %v", p.name, sig)
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// says waits until the program has said a line that matches pattern and returns
// the submatches.
func (p *program) says(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(patience)
	for {
		text, changed := p.out.snapshot()
		if m := re.FindStringSubmatch(text); m != nil {
			return m
		}
		select {
		case <-changed:
		case <-p.done:
			if m := re.FindStringSubmatch(p.out.String()); m != nil {
				return m
			}
			p.t.Fatalf("%s ended (%v) without saying %q:\n%s", p.name, p.err, pattern, p.out)
		case <-timeout:
			p.t.Fatalf("%s did not say %q in %v:\n%s", p.name, pattern, patience, p.out)
		}
	}
}

// listens waits for the first address the program listens on.
func (p *program) listens() string {
	p.t.Helper()
	return p.says(`(?m)listening on (\S+)`)[1]
}

// peakRSS is the process's largest resident set so far, in bytes.
func (p *program) peakRSS() int64 {
	p.t.Helper()
	return testkit.PeakRSS(p.t, p.cmd.Process.Pid)
}

// watched is a buffer that tells when it grows.
type watched struct {
	mu      sync.Mutex // guards the following
	buf     bytes.Buffer
	changed chan struct{}
}

func newWatched() *watched { return &watched{changed: make(chan struct{})} }

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p)
	close(w.changed)
	w.changed = make(chan struct{})
	return len(p), nil
}

func (w *watched) snapshot() (string, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String(), w.changed
}

func (w *watched) String() string { s, _ := w.snapshot(); return s }

// result is what a finished command said.
type result struct {
	stdout, stderr string
	code           int
}

// run runs the program to its end, in network namespace ns unless that is empty.
func run(t *testing.T, ns, stdin string, args ...string) result {
	t.Helper()
	return command(t, ns, stdin, testkit.Binary(t), args...)
}

// command runs any program to its end.
func command(t *testing.T, ns, stdin, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	argv := append([]string{name}, args...)
	if ns != "" {
		argv = append([]string{"ip", "netns", "exec", ns}, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s: %v", name, err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// mustRun runs the program and fails the test unless it exits 0.
func mustRun(t *testing.T, ns, stdin string, args ...string) result {
	t.Helper()
	r := run(t, ns, stdin, args...)
	if r.code != 0 {
		t.Fatalf("sallyport %s: exit %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r
}

// mustWrite writes a file for a test.
func mustWrite(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
