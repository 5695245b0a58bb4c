// Package daemon turns what a document says into running parts and stops them
// again. It is the only package in which everybody meets: it hands a gateway's
// DialFunc to flows and to the SOCKS5 server, accounts to sites, and all of them
// a logger.
//
// Parts start inner to outer (journal, gateway, SOCKS5, connector, sites, flows,
// control socket) and stop the other way round, each with its share of one
// deadline. [Run] is the whole of it.
package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sallyport.dev/internal/account"
	"sallyport.dev/internal/api"
	"sallyport.dev/internal/config"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/gateway"
	"sallyport.dev/internal/lockfile"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/socks5"
)

// Options say how parts run, beside what the document says.
type Options struct {
	Logger *slog.Logger // nil: discard
	// Listening, if set, is told of each socket once it accepts: the part, and
	// its address with the real port.
	Listening func(part, addr string)
	// Connected, if set, is told whenever the connector has a session with a gateway.
	Connected func(gateway, location string)
	// Started, if set, is told once every part runs.
	Started func(*Running)
	// Network is where parts listen and dial. Nil is the operating system's.
	Network netx.Network
	// Inherited are sockets to listen on that are open already (see [Inherited]). Each
	// is for the part whose address it has; Run closes them all in the end, and a
	// socket that no part wants is an error.
	Inherited []net.Listener
	// Grace is how long transfers in progress may go on after a stop. Zero is 20 s.
	Grace time.Duration
	// Load, if set, reads the document anew, for a reload.
	Load func() (*config.Document, error)
	// Hangup asks for a reload, as SIGHUP does. Nil: the control socket alone does.
	Hangup <-chan os.Signal
	// Version is this program's, for the other end's eye.
	Version string
	// Stateless leaves out the state folder with its lock and control socket, for
	// a process that keeps nothing.
	Stateless bool
}

// Running is a look at the parts while they run.
type Running struct{ w *world }

// Flows returns the runner of the flows, nil without flows.
func (r *Running) Flows() *flow.Runner { return r.w.flows }

// world is one process's parts.
type world struct {
	cfg        *config.Config
	opts       Options
	log        *slog.Logger
	group      *group
	started    time.Time
	gateway    *gateway.Gateway  // nil without one
	flows      *flow.Runner      // nil without flows
	pools      []*ftpclient.Pool // of the flows
	guard      ftpserver.Guard   // of the logins at all of them
	sessionIDs atomic.Uint64
	socks      *socks5.Server // nil without one

	inherited inheritance
	closers   []func() error // what the parts stand on, closed after them

	reloading sync.Mutex     // held by a reload, so that there is one at a time
	retired   sync.WaitGroup // what sites had before a reload, until nobody uses it

	mu       sync.Mutex // guards the following
	accounts *account.Store
	sites    []*site
	doors    []*door
	parts    []api.Part
}

// Run starts the parts that cfg names, runs them until ctx ends or one of them
// fails, and stops them. A stop by ctx is no error.
func Run(ctx context.Context, cfg *config.Config, o Options) error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Network == nil {
		o.Network = netx.System{}
	}
	if o.Grace == 0 {
		o.Grace = 20 * time.Second
	}
	w := &world{cfg: cfg, opts: o, log: o.Logger, group: newGroup(o.Logger), started: time.Now(), inherited: inheritance{slices.Clone(o.Inherited)}}
	w.reloading.Lock() // who asks by the control socket waits until everything runs
	err := w.start(ctx)
	w.reloading.Unlock()
	if err == nil {
		if o.Started != nil {
			o.Started(&Running{w})
		}
		err = w.group.wait(ctx)
	}
	w.group.stop(o.Grace)
	_ = w.inherited.close() // of a start that failed half way, which has its error
	w.closeSites()
	for i := len(w.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, w.closers[i]())
	}
	return err
}

// start starts the parts inner to outer. On an error those that run are left
// for the caller to stop.
func (w *world) start(ctx context.Context) error {
	if err := w.nothingToDo(); err != nil {
		return err
	}
	if !w.opts.Stateless {
		if err := w.lockState(); err != nil {
			return err
		}
	}
	var err error
	if w.accounts, err = newAccounts(w.cfg.Accounts); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		w.startGateway, w.startSOCKS, w.startConnector, w.startSites, w.startFlows, w.startControl,
	} {
		if err := step(ctx); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	w.listenForHangup(ctx)
	return w.inherited.close()
}

func (w *world) nothingToDo() error {
	if len(w.cfg.Sites) == 0 && w.cfg.Gateway == nil && w.cfg.Connector == nil && len(w.cfg.Flows) == 0 {
		return fault.New(fault.Invalid, "the document names no part to run").
			WithHint("add sites:, gateway:, connector: or flows:")
	}
	return nil
}

// lockState makes the state folder and keeps a second process out of it.
func (w *world) lockState() error {
	dir := w.cfg.State
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.As(err, "make state folder %q", dir)
	}
	lock, err := lockfile.Acquire(filepath.Join(dir, "lock"), "state folder "+dir)
	if err != nil {
		return err
	}
	w.closers = append(w.closers, lock.Release)
	return nil
}

// newAccounts makes the store and finds every password once, so that a missing
// one is told at the start.
func newAccounts(cfg []config.Account) (*account.Store, error) {
	all := make([]account.Account, len(cfg))
	for i, a := range cfg {
		all[i] = account.Account{Name: a.Name, Hash: a.Password.Hash, Password: a.Password.Ref, Groups: a.Groups}
	}
	s, err := account.NewStore(all)
	if err != nil {
		return nil, err
	}
	return s, s.Check()
}

// listen binds addr for a part and tells where.
func (w *world) listen(ctx context.Context, part, addr string) (net.Listener, error) {
	if l := w.inherited.take(addr); l != nil {
		return l, nil
	}
	l, err := w.opts.Network.Listen(ctx, "tcp", addr)
	if err != nil {
		e := fault.As(err, "listen for %s", part)
		switch {
		case errors.Is(err, os.ErrPermission):
			e = e.WithHint("ports below 1024 need the right to bind them: setcap cap_net_bind_service=+ep on the program, or a higher port")
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			e = e.WithHint("is %s an address of this machine?", addr)
		default:
			e = e.WithHint("is another program on %s? Choose another port, or 0 for a free one", addr)
		}
		return nil, e
	}
	return l, nil
}

// running notes a part for status and tells where it listens.
func (w *world) running(p api.Part) {
	w.mu.Lock()
	w.parts = append(w.parts, p)
	w.mu.Unlock()
	if p.Address != "" && w.opts.Listening != nil {
		name := p.Kind
		if p.Name != "" {
			name += " " + p.Name
		}
		w.opts.Listening(name, p.Address)
	}
}
