package connector

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel/frame"
)

// Bounds of pinholes.
const (
	pinholeLife  = 30 * time.Second // from announcement to use
	maxPinholes  = 64               // live ones of one principal
	maxAnnounced = 8                // listed in a refusal
)

// pinhole is a data port that a server has announced to one principal. It is good
// for one connection, within [pinholeLife].
type pinhole struct {
	principal  string
	session    frame.ID // the stream of the control connection
	mapping    string   // the mapping, as logs and refusals name it: ftp-erp:21
	virtual    string   // its virtual host
	port       uint16
	advertised netip.Addr     // in the 227: matched, never dialled; not valid after a 229
	target     netip.AddrPort // the peer of the control connection, and the port
	local      netip.Addr     // the control connection's own address: servers compare
	of         *sitting       // the control connection, for what is opened
}

// pinholes is the one table of what servers have announced. A control session has
// at most one live pinhole: a new one replaces the old. The zero value is ready to
// use, and all methods may be called at once from several goroutines.
//
// The watcher's hooks lead here:
//
//	announce: t.add(p)   refused: t.note(p, why)   cancel: t.drop(session)
//
// A stream that no mapping covers asks explains, for a gateway that looks for the
// right connector, and take, to use the pinhole up.
type pinholes struct {
	// now tells the time. nil: time.Now.
	now func() time.Time
	// isVirtual reports whether host is the virtual host of a mapping. A client that
	// names one means that server and no other. nil: never.
	isVirtual func(host string) bool

	mu   sync.Mutex // guards the following
	rows map[frame.ID]*row
}

// row is a control session's last announcement. It stays for the sake of refusals
// that explain, until the session ends.
type row struct {
	pinhole
	at      time.Time
	used    bool
	refused *fault.Error // it never opened, for this reason
}

func (r *row) live(now time.Time) bool {
	return !r.used && r.refused == nil && now.Sub(r.at) < pinholeLife
}

func (t *pinholes) time() time.Time {
	if t.now == nil {
		return time.Now()
	}
	return t.now()
}

// add opens p and closes the older one of its session. A principal has at most
// 64 live ones.
func (t *pinholes) add(p pinhole) error {
	now := t.time()
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.rows, p.session)
	n := 0
	for _, r := range t.rows {
		// A server has one port open for one session: what was announced before is
		// over, whoever it was announced to, or it would lead to this one's data.
		if r.target == p.target && r.live(now) {
			r.used = true
		}
		if r.principal == p.principal && r.live(now) {
			n++
		}
	}
	if n >= maxPinholes {
		return fault.New(fault.Busy, "%q has %d announced data ports that it has not used", p.principal, n).
			WithHint("each is kept for %v; open data connections before asking for more, or use separate users", pinholeLife)
	}
	t.putLocked(&row{pinhole: p, at: now})
	return nil
}

// note remembers that p was announced and not opened.
func (t *pinholes) note(p pinhole, why *fault.Error) {
	now := t.time()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.putLocked(&row{pinhole: p, at: now, refused: why})
}

func (t *pinholes) putLocked(r *row) {
	if t.rows == nil {
		t.rows = make(map[frame.ID]*row)
	}
	t.rows[r.session] = r
}

// drop forgets what was announced in a session.
func (t *pinholes) drop(session frame.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.rows, session)
}

// explains reports whether take would succeed. It uses nothing up.
func (t *pinholes) explains(principal, host string, port uint16) bool {
	now := t.time()
	t.mu.Lock()
	defer t.mu.Unlock()
	r, err := t.findLocked(now, principal, host, port)
	return err == nil && r != nil
}

// take uses up the pinhole that explains why principal asks for host and port. The
// port decides. The host only chooses between several sessions of the principal:
// a wrong address in a 227 does no harm, since it is never dialled. Nothing that
// explains it, and more than one thing, is of kind [fault.Denied].
func (t *pinholes) take(principal, host string, port uint16) (pinhole, error) {
	now := t.time()
	t.mu.Lock()
	defer t.mu.Unlock()
	r, err := t.findLocked(now, principal, host, port)
	if err != nil {
		return pinhole{}, err
	}
	if r == nil {
		return pinhole{}, t.noneLocked(now, principal, host, port)
	}
	r.used = true
	return r.pinhole, nil
}

// findLocked returns the row that explains the request, nil if none does.
func (t *pinholes) findLocked(now time.Time, principal, host string, port uint16) (*row, error) {
	host = strings.TrimSuffix(host, ".")
	var found []*row
	for _, r := range t.rows {
		if r.principal == principal && r.port == port && r.live(now) && !t.meansAnother(r, host) {
			found = append(found, r)
		}
	}
	if len(found) > 1 {
		if named := slices.DeleteFunc(slices.Clone(found), func(r *row) bool { return !r.named(host) }); len(named) > 0 {
			found = named
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	// One server cannot have one port open for two sessions: the last announcement
	// is the true one.
	newest := slices.MaxFunc(found, func(a, b *row) int { return a.at.Compare(b.at) })
	for _, r := range found {
		if r.target != newest.target {
			return nil, ambiguous(principal, host, port, found)
		}
	}
	return newest, nil
}

// meansAnother reports whether host is the virtual host of another mapping than r's.
func (t *pinholes) meansAnother(r *row, host string) bool {
	return t.isVirtual != nil && t.isVirtual(host) && !strings.EqualFold(host, r.virtual)
}

// named reports whether host is a name that r's server goes by.
func (r *row) named(host string) bool {
	if strings.EqualFold(host, r.virtual) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && r.advertised.IsValid() && ip.Unmap() == r.advertised.Unmap()
}

func ambiguous(principal, host string, port uint16, found []*row) error {
	names := make([]string, 0, len(found))
	for _, r := range found {
		names = append(names, r.mapping)
	}
	slices.Sort(names)
	return fault.New(fault.Denied, "data port %d at %q has been announced to %q by several servers: %s",
		port, host, principal, strings.Join(names[:min(len(names), maxAnnounced)], ", ")).
		WithHint("use EPSV or separate users")
}

// noneLocked says why nothing explains the request, as near to the truth as it
// gets: what was announced to this principal, and what became of it.
func (t *pinholes) noneLocked(now time.Time, principal, host string, port uint16) error {
	var mine []*row
	for _, r := range t.rows {
		if r.principal == principal {
			mine = append(mine, r)
		}
	}
	slices.SortFunc(mine, func(a, b *row) int {
		return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.port, b.port))
	})
	for _, r := range mine {
		if r.port != port {
			continue
		}
		if e := r.past(now, host); e != nil {
			return e
		}
	}
	var live []string
	for _, r := range mine {
		if r.live(now) && len(live) < maxAnnounced {
			live = append(live, fmt.Sprintf("%d of %s", r.port, r.mapping))
		}
	}
	e := fault.New(fault.Denied, "no data port %d has been announced to %q", port, principal)
	if len(live) == 0 {
		return e.WithHint("announced now: none; a data port opens when the server answers PASV or EPSV on a control connection of the same user")
	}
	return e.WithHint("announced now: %s", strings.Join(live, ", "))
}

// past says what became of an announcement that explains nothing any more.
func (r *row) past(now time.Time, host string) *fault.Error {
	age := now.Sub(r.at).Round(time.Second)
	switch {
	case r.refused != nil:
		return fault.Wrap(fault.Denied, r.refused, "data port %d of %s was announced and not opened", r.port, r.mapping).WithHint("%s", r.refused.Hint)
	case r.used:
		return fault.New(fault.Denied, "data port %d of %s has been used", r.port, r.mapping).
			WithHint("each announcement is good for one connection; send PASV or EPSV again")
	case !r.live(now):
		return fault.New(fault.Denied, "data port %d of %s was announced %v ago", r.port, r.mapping, age).
			WithHint("an announcement is good for %v; send PASV or EPSV again", pinholeLife)
	default:
		return fault.New(fault.Denied, "data port %d is %s's, not that of %q", r.port, r.mapping, host).
			WithHint("ask for the host of the control connection")
	}
}
