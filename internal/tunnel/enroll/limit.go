package enroll

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiter lets each key do something now and then, and all keys together too.
// One key uses up its own share before it touches everybody's.
type limiter struct {
	each  rate.Limit
	burst int
	keys  int // at most so many are remembered
	all   *rate.Limiter

	mu   sync.Mutex // guards the following
	seen map[string]*rate.Limiter
}

// joinLimits allows one source address 10 joins at once and then one every 6 s,
// everybody together 50 and then two a second.
func joinLimits() limiter {
	return limiter{each: rate.Every(6 * time.Second), burst: 10, keys: 1024, all: rate.NewLimiter(2, 50)}
}

// renewLimits allows one connector 4 renewals at once and then one every 10
// minutes: enough to ask again after a lost answer.
func renewLimits() limiter {
	return limiter{each: rate.Every(10 * time.Minute), burst: 4, keys: 4096, all: rate.NewLimiter(20, 200)}
}

// allow reports whether key may act now, and else how long it has to wait.
func (l *limiter) allow(key string, now time.Time) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.seen[key]
	if k == nil {
		if len(l.seen) >= l.keys && !l.forgetLocked(now) {
			return time.Duration(float64(time.Second) / float64(l.each)), false
		}
		if l.seen == nil {
			l.seen = make(map[string]*rate.Limiter)
		}
		k = rate.NewLimiter(l.each, l.burst)
		l.seen[key] = k
	}
	for _, lim := range []*rate.Limiter{k, l.all} {
		r := lim.ReserveN(now, 1)
		if wait := r.DelayFrom(now); wait > 0 {
			r.CancelAt(now)
			return wait, false
		}
	}
	return 0, true
}

// forgetLocked drops the keys that have their full share again, and reports
// whether there is room now.
func (l *limiter) forgetLocked(now time.Time) bool {
	for key, k := range l.seen {
		if k.TokensAt(now) >= float64(l.burst) {
			delete(l.seen, key)
		}
	}
	return len(l.seen) < l.keys
}

// SourceKey is the address that a request counts against: for IPv6 the /64,
// since whoever has one has all of it.
func SourceKey(remote string) string {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return "" // not IP: one share for all of them
	}
	a := ap.Addr().Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// seconds rounds up, so that a wait of "0 s" is never asked for.
func seconds(d time.Duration) string {
	return fmt.Sprintf("%d s", (d+time.Second-1)/time.Second)
}
