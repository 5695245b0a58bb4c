package flow

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"sallyport.dev/internal/fault"
)

// Runner runs flows over one journal. Fill in the fields, then call [Runner.Run]
// once; the other methods may be called from any goroutine while it runs.
type Runner struct {
	Journal Journal
	Flows   []Flow
	// Now gives the moments that are written down and put into names. Nil means
	// [time.Now].
	Now func() time.Time
	// Grace is how long transfers that are under way may go on once Run's context
	// has ended. Zero means 10 s.
	Grace  time.Duration
	Logger *slog.Logger

	once  sync.Once
	bad   error
	lanes map[string]*lane
}

// init makes a lane for each flow.
func (r *Runner) init() error {
	r.once.Do(func() {
		if r.Now == nil {
			r.Now = time.Now
		}
		if r.Grace == 0 {
			r.Grace = 10 * time.Second
		}
		if r.Logger == nil {
			r.Logger = slog.New(slog.DiscardHandler)
		}
		r.lanes = make(map[string]*lane)
		for i := range r.Flows {
			f := &r.Flows[i]
			if err := f.check(); err != nil {
				r.bad = err
				return
			}
			if r.lanes[f.Name] != nil {
				r.bad = fault.New(fault.Invalid, "two flows are named %q", f.Name).WithHint("give each a name of its own")
				return
			}
			r.lanes[f.Name] = newLane(r, f)
		}
	})
	return r.bad
}

// Run carries files until ctx ends; then transfers that are under way have
// [Runner.Grace] to end, and those that have not are left as the journal knows
// them. It returns nil when it was asked to stop, and else why it could not run.
func (r *Runner) Run(ctx context.Context) error {
	if err := r.init(); err != nil {
		return err
	}
	for _, l := range r.lanes {
		if err := l.load(ctx); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // asked to stop while still starting
			}
			return fault.As(err, "read the journal of flow %q", l.f.Name)
		}
	}
	// Transfers outlive ctx by the grace.
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	stopped := make(chan struct{})
	var wg, clock sync.WaitGroup
	clock.Go(func() {
		<-ctx.Done()
		t := time.NewTimer(r.Grace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel(errStopped)
		case <-stopped:
		}
	})
	for _, l := range r.lanes {
		wg.Go(func() { l.poll(ctx) })
		wg.Go(func() { l.dispatch(ctx, work) })
	}
	wg.Wait()
	close(stopped)
	clock.Wait()
	return nil
}

// errStopped is the cause of a transfer's end when the grace is over.
var errStopped = fault.Wrap(fault.Canceled, errors.New("the grace for running transfers is over"), "stop")

// lane is one flow at work.
type lane struct {
	r     *Runner
	f     *Flow
	log   *slog.Logger
	gate  gate
	kick  chan struct{}        // brings the next poll forward
	ask   chan chan pollAnswer // likewise, and answers
	slots *semaphore.Weighted  // transfers at work
	alone *semaphore.Weighted  // taken whole by a transfer that must be carried alone

	mu     sync.Mutex      // guards the following
	known  map[key]mark    // every transfer of this flow in the journal
	dead   int             // how many of known are dead letters
	paths  map[Path]string // ids of open transfers by path: one version of a file at a time
	active map[string]*progress
	// Being claimed right now; true once forgotten again, by a worker that was quicker.
	claiming map[string]bool
	held     map[string]*Transfer // claimed by this process, and not taken by a worker yet
	asleep   map[string]struct{}  // waits for its next attempt in the journal's queue
	lost     map[string]struct{}  // attempts whose end was not written down
	stat     counters
	polls    pollState

	over   []string  // ids of the marks that are over
	forgot time.Time // when the journal last forgot some

	// The poller's own.
	gen  uint64
	seen map[Path]sighting
}

// mark is what the poller needs to know of a transfer.
type mark struct {
	state State
	rev   uint64    // of the transfer as it was remembered last
	ends  bool      // the mark ends when the source no longer lists the file
	done  time.Time // when it was done, by the monotonic clock; zero if in an earlier process
	gen   uint64    // the last poll that listed it

	warned bool // it was said that the file is still listed
	over   bool // the file is no longer listed; the journal has yet to forget it
}

func newLane(r *Runner, f *Flow) *lane {
	n := int64(f.concurrency())
	return &lane{
		r: r, f: f,
		log:      r.Logger.With("flow", f.Name),
		gate:     newGate(),
		kick:     make(chan struct{}, 1),
		ask:      make(chan chan pollAnswer),
		slots:    semaphore.NewWeighted(n),
		alone:    semaphore.NewWeighted(n),
		known:    make(map[key]mark),
		paths:    make(map[Path]string),
		active:   make(map[string]*progress),
		held:     make(map[string]*Transfer),
		claiming: make(map[string]bool),
		asleep:   make(map[string]struct{}),
		lost:     make(map[string]struct{}),
		seen:     make(map[Path]sighting),
	}
}

// load reads what the journal knows of this flow and sees to it that every open
// transfer has a task: a crash may have come between its claim and its task.
func (l *lane) load(ctx context.Context) error {
	var open, void []string
	q := Query{Flow: l.f.Name, Limit: MaxPage}
	for {
		page, err := l.r.Journal.List(ctx, q)
		if err != nil {
			return err
		}
		for i := range page.Transfers {
			t := &page.Transfers[i]
			switch l.remember(t); {
			case t.Open():
				open = append(open, t.ID)
			case t.void():
				void = append(void, t.ID)
			}
		}
		if page.Next == "" {
			break
		}
		q.After = page.Next
	}
	if err := l.queue(ctx, open); err != nil {
		return err
	}
	return l.forget(ctx, void)
}

// queue sees to it that each of these transfers has a task.
func (l *lane) queue(ctx context.Context, ids []string) error {
	for ids := range slices.Chunk(ids, claimBatch) {
		if err := l.r.Journal.Queue(ctx, ids); err != nil {
			return err
		}
	}
	return nil
}

// open returns the ids of the transfers that are open, as far as this process knows.
func (l *lane) open() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make([]string, 0, len(l.paths))
	for _, id := range l.paths {
		ids = append(ids, id)
	}
	return ids
}

// forget ends marks, in the journal and here.
func (l *lane) forget(ctx context.Context, ids []string) error {
	for ids := range slices.Chunk(ids, claimBatch) {
		if err := l.r.Journal.Forget(ctx, ids); err != nil {
			return fault.As(err, "end marks of flow %q", l.f.Name)
		}
		l.mu.Lock()
		for _, id := range ids {
			if k, ok := parseKey(id); ok {
				if l.known[k].state == Failed {
					l.dead--
				}
				delete(l.known, k)
			}
			if _, ok := l.claiming[id]; ok {
				l.claiming[id] = true
			}
		}
		l.mu.Unlock()
	}
	return nil
}

// remember keeps the lane's memory in step with a transfer just read or written.
// A worker may have finished a transfer before the poller that claimed it comes to
// remember the claim: what is older than what is known changes nothing.
func (l *lane) remember(t *Transfer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rememberLocked(t)
}

func (l *lane) rememberLocked(t *Transfer) {
	k, ok := parseKey(t.ID)
	if !ok {
		return
	}
	m := l.known[k]
	if t.Rev < m.rev {
		return
	}
	if m.state == Failed {
		l.dead--
	}
	if t.State == Failed {
		l.dead++
	}
	m.state, m.rev = t.State, t.Rev
	m.ends = t.State == Done && (t.After != Keep || t.Outcome != Arrived)
	if t.State == Done && m.done.IsZero() {
		m.done = time.Now()
	}
	l.known[k] = m
	if t.Open() {
		l.paths[t.File.Path] = t.ID
	} else if l.paths[t.File.Path] == t.ID {
		delete(l.paths, t.File.Path)
	}
}

// gate is open or shut. Contexts made from it end when it shuts.
type gate struct {
	mu   sync.Mutex // guards the following
	shut bool
	turn chan struct{} // closed, and made anew, when the gate turns
}

func newGate() gate { return gate{turn: make(chan struct{})} }

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != shut {
		g.shut = shut
		close(g.turn)
		g.turn = make(chan struct{})
	}
}

func (g *gate) state() (shut bool, turn <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut, g.turn
}

// pass waits until the gate is open, and returns what closes when it turns.
func (g *gate) pass(ctx context.Context) (<-chan struct{}, error) {
	for {
		shut, turn := g.state()
		if !shut {
			return turn, ctx.Err()
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
