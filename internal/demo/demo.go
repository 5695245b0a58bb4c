// Package demo plays a whole enterprise on this machine's loopback: a plant with an
// FTP server and a connector, a cloud with a gateway and two flows, and sample
// files that travel both ways. Everything in it is the real thing, made from the
// same documents that [daemon.Run] runs.
package demo

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport.dev/internal/daemon"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/gateway"
	"sallyport.dev/internal/lockfile"
)

// Options say how to play.
type Options struct {
	// Dir is where everything goes. Empty is a new temporary folder, which is
	// removed at the end.
	Dir string
	// Once ends when all samples have arrived, or failed to in [Patience].
	Once bool
	// Result prints a line of the result.
	Result func(format string, args ...any) error
	// Say prints a line for the person.
	Say func(format string, args ...any)
	// Program is how the program was called, for the lines to try.
	Program string
}

// Patience is how long the samples may take to arrive, from the start.
const Patience = 18 * time.Second

// The demo's one user. Its server listens on loopback and has samples alone.
const (
	user     = "demo"
	password = "demo"
	location = "plant1"
	virtual  = "ftp-erp"
)

// stage is one demo under way.
type stage struct {
	Options
	began   time.Time
	log     *slog.Logger
	samples []sample

	site, gateway, socks string // addresses
}

// Run plays until ctx ends, or with Once until the samples have arrived.
func Run(ctx context.Context, o Options) (err error) {
	s := &stage{Options: o, began: time.Now()}
	cleanup, err := s.prepare()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cleanup()) }()
	logFile, err := os.OpenFile(s.path("log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fault.As(err, "make the demo's log")
	}
	defer func() { err = errors.Join(err, logFile.Close()) }()
	s.log = slog.New(slog.NewTextHandler(logFile, nil))

	playing, stop := context.WithCancel(ctx)
	defer stop()
	g, gctx := errgroup.WithContext(playing)
	err = s.play(gctx, g)
	stop()
	failed := g.Wait()
	switch {
	case failed != nil: // a part's error is the cause of whatever play says
		return failed
	case errors.Is(err, context.Canceled) && ctx.Err() != nil && !s.Once:
		return nil // stopped by the person, as it is meant to be
	default:
		return err
	}
}

// play starts both sides and waits for the samples.
func (s *stage) play(ctx context.Context, g *errgroup.Group) error {
	if err := s.startCloud(ctx, g); err != nil {
		return err
	}
	if err := s.startPlant(ctx, g); err != nil {
		return err
	}
	arrived, err := s.await(ctx)
	if err != nil {
		return err
	}
	if err := s.table(arrived); err != nil {
		return err
	}
	if s.Once {
		return s.verdict(arrived)
	}
	s.explain()
	return s.watch(ctx)
}

// startCloud starts gateway, SOCKS5 and flows, and waits until they listen.
func (s *stage) startCloud(ctx context.Context, g *errgroup.Group) error {
	addrs := make(chan [2]string, 8)
	started := make(chan struct{})
	g.Go(func() error {
		return daemon.Run(ctx, s.cloud(), daemon.Options{
			Logger: s.log, Grace: 4 * time.Second,
			Listening: func(part, addr string) { addrs <- [2]string{part, addr} },
			Started:   func(*daemon.Running) { close(started) },
		})
	})
	if err := wait(ctx, started); err != nil {
		return err
	}
	close(addrs)
	for a := range addrs {
		switch a[0] {
		case "gateway":
			s.gateway = a[1]
		case "socks5":
			s.socks = a[1]
		}
	}
	return nil
}

// startPlant starts the site, joins the connector by token, and waits until it is
// connected.
func (s *stage) startPlant(ctx context.Context, g *errgroup.Group) error {
	site := make(chan string, 1)
	g.Go(func() error {
		return daemon.Run(ctx, s.plantSite(), daemon.Options{
			Logger: s.log, Grace: 2 * time.Second, Stateless: true,
			Listening: func(_, addr string) { site <- addr },
		})
	})
	select {
	case s.site = <-site:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	token, err := gateway.NewToken(s.path("state", "cloud"), location, []string{s.gateway}, 0)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.path("token"), []byte(token.Encode()+"\n"), 0o600); err != nil {
		return fault.As(err, "write the join token")
	}
	cfg, err := s.plantConnector()
	if err != nil {
		return err
	}
	connected := make(chan struct{}, 1)
	g.Go(func() error {
		return daemon.Run(ctx, cfg, daemon.Options{
			Logger: s.log, Grace: 2 * time.Second,
			Connected: func(string, string) {
				select {
				case connected <- struct{}{}:
				default: // a later session
				}
			},
		})
	})
	return wait(ctx, connected)
}

func wait(ctx context.Context, ch <-chan struct{}) error {
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// marker tells a folder of an earlier demo from a person's own.
const marker = "this-is-a-sallyport-demo"

// prepare makes the demo's folders and samples and returns what undoes it.
func (s *stage) prepare() (cleanup func() error, err error) {
	if s.Dir == "" {
		if s.Dir, err = os.MkdirTemp("", "sallyport-demo-"); err != nil {
			return nil, fault.As(err, "make a folder for the demo")
		}
		dir := s.Dir
		cleanup = func() error { return os.RemoveAll(dir) }
	} else {
		lock, err := s.takeOver()
		if err != nil {
			return nil, err
		}
		cleanup = lock.Release
	}
	for _, d := range [][]string{{"plant", "out"}, {"plant", "in"}, {"cloud", "orders"}, {"cloud", "outbox"}, {"state", "plant"}} {
		if err := os.MkdirAll(s.path(d...), 0o700); err != nil {
			return nil, errors.Join(fault.As(err, "make the demo's folders"), cleanup())
		}
	}
	for _, f := range []struct{ name, text string }{{marker, ""}, {"password", password + "\n"}} {
		if err := os.WriteFile(s.path(f.name), []byte(f.text), 0o600); err != nil {
			return nil, errors.Join(fault.As(err, "make the demo's folders"), cleanup())
		}
	}
	if s.samples, err = makeSamples(s.path("plant", "out"), s.path("cloud", "outbox")); err != nil {
		return nil, errors.Join(err, cleanup())
	}
	return cleanup, nil
}

// takeOver makes sure that Dir is new, empty, or left by an earlier demo that has
// ended, and removes that one's leavings. The lock keeps other demos out.
func (s *stage) takeOver() (*lockfile.Lock, error) {
	abs, err := filepath.Abs(s.Dir)
	if err != nil {
		return nil, fault.As(err, "find folder %q", s.Dir)
	}
	s.Dir = abs
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, fault.As(err, "make folder %q", s.Dir)
	}
	there, err := os.ReadDir(s.Dir)
	if err != nil {
		return nil, fault.As(err, "read folder %q", s.Dir)
	}
	if _, err := os.Stat(s.path(marker)); len(there) > 0 && errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Exists, "folder %q has other things in it", s.Dir).
			WithHint("give --dir a new or empty folder, or leave it out")
	}
	if err := os.WriteFile(s.path(marker), nil, 0o600); err != nil {
		return nil, fault.As(err, "mark folder %q as a demo's", s.Dir)
	}
	lock, err := lockfile.Acquire(s.path("lock"), "the demo in "+s.Dir)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{"plant", "cloud", "state"} {
		if err := os.RemoveAll(s.path(d)); err != nil {
			return nil, errors.Join(fault.As(err, "remove what an earlier demo left"), lock.Release())
		}
	}
	return lock, nil
}

func (s *stage) path(elem ...string) string {
	return filepath.Join(append([]string{s.Dir}, elem...)...)
}

// explain says what runs where and what to try.
func (s *stage) explain() {
	p := s.Program
	s.Say(`
What runs here, all on loopback:
  plant   FTP server       %[1]s, over %[2]s
          connector        location %[3]s, exposes %[4]s:21 and nothing else
  cloud   gateway          %[5]s, the one port that the plant dials out to
          SOCKS5 proxy     %[6]s
          flow orders      %[4]s:21 out/ -> %[7]s
          flow invoices    %[8]s -> %[4]s:21 in/
  log     %[9]s

Try, in another terminal:
  curl --proxy socks5h://%[6]s -u %[10]s:%[11]s ftp://%[4]s/
  echo hello > %[8]s/hello.txt     # it turns up in %[2]s/in
  %[12]s check ftp://%[10]s@%[4]s/ --location %[3]s --state %[13]s --password-file %[14]s
  %[12]s gateway connectors --state %[13]s

Ctrl-C ends it.
`,
		s.site, s.path("plant"), location, virtual, s.gateway, s.socks,
		s.path("cloud", "orders"), s.path("cloud", "outbox"), s.path("log"), user, password,
		p, s.path("state", "cloud"), s.path("password"))
}
