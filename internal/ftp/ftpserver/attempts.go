package ftpserver

import (
	"context"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
)

// Attempts bounds the guessing of passwords. Wrong ones are counted for each pair
// of user name and client address, so that nobody is kept out by what others at
// the same address do, nor by what strangers do to the same name. IPv6 addresses
// count by their first 64 bits, which one client has to itself.
type Attempts struct {
	// Failures within Within block the pair. Zero blocks nobody.
	Failures int
	Within   time.Duration // 30 seconds
	// Block is how long the first block lasts: 30 seconds. One that follows soon
	// lasts twice as long as the one before, up to Longest: 1 hour.
	Block, Longest time.Duration
	// Trusted are networks that are never blocked. Clients behind a connector all
	// come from its address.
	Trusted []netip.Prefix
	// LogOnly blocks nobody and logs whom it would.
	LogOnly bool
}

func (a Attempts) orDefaults() Attempts {
	a.Within = orDefault(a.Within, 30*time.Second)
	a.Block = orDefault(a.Block, 30*time.Second)
	a.Longest = max(orDefault(a.Longest, time.Hour), a.Block)
	return a
}

// watches reports whether attempts from addr are counted.
func (a Attempts) watches(addr netip.Addr) bool {
	addr = addr.WithZone("") // no prefix contains one
	return a.Failures > 0 && !slices.ContainsFunc(a.Trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// The size of a [Guard]: what it remembers stays the same however many names and
// addresses attack. A pair has its place among guardWays; to push its memory out,
// an attacker has to have that many others blocked, without knowing which.
const (
	guardSets = 512
	guardWays = 8
)

// Guard remembers failed logins, in a fixed amount of memory. Servers that ask the
// same accounts may share one. Its zero value is ready for use.
type Guard struct {
	mu      sync.Mutex // guards the following
	began   time.Time
	seeds   [2]maphash.Seed
	slots   []guardSlot // made for the first login that is counted
	flights map[guardKey]*guardFlight
}

// guardKey is a user name and a client address, hashed.
type guardKey [2]uint64

// guardSlot is what is known of one pair. Times count from the guard's beginning.
type guardSlot struct {
	key      guardKey
	first    time.Duration // of the failures that count
	until    time.Duration // the end of the block
	forget   time.Duration // when the slot is free for others; 0: it is
	failures uint16
	blocks   uint8 // one after the other
}

// guardFlight is the passwords of one pair that are being checked: more at once
// than may be wrong would be guesses that nothing bounds.
type guardFlight struct {
	n       int
	changed chan struct{}
}

func (g *Guard) keyOf(user string, addr netip.Addr) guardKey {
	g.mu.Lock()
	if g.slots == nil {
		g.began = time.Now().Add(-time.Second) // so that no time is 0
		g.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
		g.slots = make([]guardSlot, guardSets*guardWays)
		g.flights = make(map[guardKey]*guardFlight)
	}
	seeds := g.seeds
	g.mu.Unlock()
	if addr = addr.Unmap().WithZone(""); addr.Is6() {
		addr = netip.PrefixFrom(addr, 64).Masked().Addr()
	}
	text := addr.String() + " " + user
	return guardKey{maphash.String(seeds[0], text), maphash.String(seeds[1], text)}
}

// begin waits for the turn of a login, which end ends. It returns for how long
// logins of key are blocked: if that is not zero there is nothing to end.
func (g *Guard) begin(ctx context.Context, key guardKey, a Attempts) (time.Duration, error) {
	for {
		wait, blocked := g.tryBegin(key, a)
		if wait == nil {
			return blocked, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return 0, fault.As(context.Cause(ctx), "waiting for other logins of this user")
		}
	}
}

// tryBegin is begin, or what to wait for.
func (g *Guard) tryBegin(key guardKey, a Attempts) (wait <-chan struct{}, blocked time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	left, now := a.Failures, time.Since(g.began)
	if s := g.findLocked(key, now); s != nil {
		if s.until > now && !a.LogOnly {
			return nil, s.until - now
		}
		if now < s.first+a.Within {
			left -= int(s.failures)
		}
	}
	f := g.flights[key]
	if f == nil {
		f = &guardFlight{changed: make(chan struct{})}
		g.flights[key] = f
	}
	if f.n >= max(left, 1) && !a.LogOnly {
		return f.changed, 0
	}
	f.n++
	return nil, 0
}

// end ends what begin began. After a wrong password it returns for how long the
// pair is blocked from now on: 0 if it is not.
func (g *Guard) end(key guardKey, a Attempts, wrong, right bool) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.flights[key]
	close(f.changed)
	f.changed = make(chan struct{})
	if f.n--; f.n == 0 {
		delete(g.flights, key)
	}
	now := time.Since(g.began)
	switch {
	case right:
		if s := g.findLocked(key, now); s != nil {
			*s = guardSlot{}
		}
	case wrong:
		return g.countLocked(key, a, now)
	}
	return 0
}

// countLocked counts a wrong password.
func (g *Guard) countLocked(key guardKey, a Attempts, now time.Duration) time.Duration {
	s := g.findLocked(key, now)
	if s == nil {
		s = g.roomLocked(key, now)
		*s = guardSlot{key: key, first: now}
	}
	if now >= s.first+a.Within {
		s.first, s.failures = now, 0
	}
	s.failures++
	s.forget = max(s.forget, s.first+a.Within)
	if int(s.failures) < a.Failures {
		return 0
	}
	length := min(a.Block<<min(s.blocks, 20), a.Longest)
	s.blocks = min(s.blocks+1, 20)
	s.first, s.failures, s.until = now+length, 0, now+length
	s.forget = s.until + 2*length // another block until then is longer
	return length
}

// setLocked is where key can be.
func (g *Guard) setLocked(key guardKey) []guardSlot {
	i := key[0] % guardSets * guardWays
	return g.slots[i : i+guardWays]
}

func (g *Guard) findLocked(key guardKey, now time.Duration) *guardSlot {
	set := g.setLocked(key)
	for i := range set {
		if set[i].key == key && set[i].forget > now {
			return &set[i]
		}
	}
	return nil
}

// roomLocked returns a slot for key: a free one, else the one that is forgotten
// soonest, of a pair that is not blocked if there is one.
func (g *Guard) roomLocked(key guardKey, now time.Duration) *guardSlot {
	set := g.setLocked(key)
	best := &set[0]
	for i := range set {
		s := &set[i]
		if s.forget <= now {
			return s
		}
		if blocked, other := s.until > now, best.until > now; blocked != other {
			if other {
				best = s
			}
		} else if s.forget < best.forget {
			best = s
		}
	}
	return best
}

// Blocked returns how many pairs of user name and address are blocked now.
func (g *Guard) Blocked() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, now := 0, time.Since(g.began)
	for i := range g.slots {
		if g.slots[i].until > now {
			n++
		}
	}
	return n
}

// guarded asks authenticate within the bounds of the site's attempts.
func (s *session) guarded(ctx context.Context, login Login, authenticate Authenticate) (Account, error) {
	a, g := s.policy.Attempts, s.srv.guard()
	if !a.watches(s.peer.Addr()) {
		return authenticate(ctx, login)
	}
	key := g.keyOf(login.User, s.peer.Addr())
	blocked, err := g.begin(ctx, key, a)
	if err != nil {
		return Account{}, err
	}
	if blocked > 0 {
		return Account{}, errBlocked(blocked)
	}
	account, err := authenticate(ctx, login)
	kind := fault.KindOf(err)
	wrong := err != nil && (kind == fault.Unauthenticated || kind == fault.NotFound)
	if length := g.end(key, a, wrong, err == nil); length > 0 {
		s.tellBlocked(login.User, length)
	}
	return account, err
}

// errBlocked answers alike whether there is such a user.
func errBlocked(left time.Duration) error {
	return fault.New(fault.Busy, "logins of this user from your address are blocked after wrong passwords, try again in %s", max(left.Round(time.Second), time.Second))
}

// tellBlocked logs a block. The name of somebody who is no account may be a
// password typed too early.
func (s *session) tellBlocked(user string, length time.Duration) {
	a, log := s.policy.Attempts, s.log
	if s.policy.Known != nil && s.policy.Known(user) {
		log = log.With("user", user)
	}
	text := "logins of one user from one address blocked"
	if a.LogOnly {
		text = "logins of one user from one address would be blocked, were it not mode: log"
	}
	log.Warn(text, "failures", a.Failures, "within", a.Within, "for", length,
		"hint", "a program with an old password tries again and again; if the address must never be blocked, add it to attempts.trusted")
}
