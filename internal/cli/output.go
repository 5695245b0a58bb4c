package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"sync"

	"golang.org/x/term"

	"sallyport.dev/internal/fault"
)

// How we speak. Results go to standard output and nothing else does, so that
// they can be piped. Everything else goes to standard error: "sallyport: error:
// …" and under it "sallyport: hint: …" with the next thing to do; no capitals, no
// full stops. A daemon says "listening on ADDRESS" for each socket, with its real
// port, then logs: as text on a terminal, as JSON otherwise. Success of a
// command whose effect is not a result is silent.

// speaker is a command's voice.
type speaker struct {
	in       io.Reader
	out, err io.Writer
}

func newSpeaker(s Streams) *speaker {
	mu := new(sync.Mutex) // daemons log from many goroutines into the same stream
	return &speaker{in: s.In, out: s.Out, err: &lockedWriter{w: s.Err, mu: mu}}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// resultf prints a line of the result. The error is the caller's to return: a
// closed pipe must not look like success.
func (s *speaker) resultf(format string, args ...any) error {
	_, err := fmt.Fprintf(s.out, format+"\n", args...)
	return err
}

// sayf prints a line for the person, on standard error. It has no prefix.
func (s *speaker) sayf(format string, args ...any) {
	fmt.Fprintf(s.err, format+"\n", args...) //nolint:errcheck // nobody is left to tell
}

// promptf asks for something, on standard error.
func (s *speaker) promptf(format string, args ...any) {
	fmt.Fprintf(s.err, format, args...) //nolint:errcheck // nobody is left to ask
}

// listening says where a part of a daemon can be reached.
func (s *speaker) listening(part, addr string) { s.sayf("listening on %s (%s)", addr, part) }

// warnf prints a warning.
func (s *speaker) warnf(format string, args ...any) {
	s.sayf("sallyport: warning: "+format, args...)
}

// failure prints an error and its hint.
func (s *speaker) failure(err error) {
	text := err.Error()
	if fault.KindOf(err) == fault.Canceled {
		text = "interrupted"
	}
	for i, line := range strings.Split(text, "\n") { // errors.Join puts each on a line
		if i == 0 || line != "" {
			s.sayf("sallyport: error: %s", line)
		}
	}
	if hint := fault.HintOf(err); hint != "" {
		s.sayf("sallyport: hint: %s", hint)
	}
}

// terminal reports whether standard error is a terminal.
func (s *speaker) terminal() bool {
	lw, ok := s.err.(*lockedWriter)
	if !ok {
		return false
	}
	f, ok := lw.w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// logger returns the daemons' logger: text on a terminal, JSON otherwise.
func (s *speaker) logger(verbose bool) *slog.Logger {
	opts := &slog.HandlerOptions{Level: slog.LevelInfo}
	if verbose {
		opts.Level = slog.LevelDebug
	}
	if s.terminal() {
		return slog.New(slog.NewTextHandler(s.err, opts))
	}
	return slog.New(slog.NewJSONHandler(s.err, opts))
}

// version is the module's version as the build recorded it.
func version() string {
	bi, ok := debug.ReadBuildInfo()
	if !ok || bi.Main.Version == "" {
		return "(unknown)"
	}
	return bi.Main.Version
}
