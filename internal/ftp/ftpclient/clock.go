package ftpclient

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// clockAge is how long a server's time zone is believed: not over a change to
// summer time or back, or hardly.
const clockAge = time.Hour

// Bounds of what is held of a LIST while the server's time zone is not known.
const (
	maxHeldLines = 1000
	maxHeldBytes = 256 << 10
)

// clock is what is known of a server's local time.
type clock struct {
	mu     sync.Mutex // guards the following
	asked  time.Time  // when MDTM last told something; zero: never
	known  bool       // it told the offset
	offset time.Duration
	order  ftp.DateOrder
}

func (k *clock) fresh() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.asked.IsZero() && time.Since(k.asked) < clockAge
}

func (k *clock) learnt(known bool, offset time.Duration, order ftp.DateOrder) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked, k.known, k.offset = time.Now(), known, offset
	if order != ftp.OrderUnknown {
		k.order = order
	}
}

// Zone returns the time zone that the server's LIST is read by, and whether that is
// known rather than supposed: configured, or learnt by comparing LIST with MDTM.
func (c *Conn) Zone() (*time.Location, bool) {
	if c.cfg.Location != nil {
		return c.cfg.Location, true
	}
	k := &c.cfg.Habits.clock
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.known || k.offset == 0 {
		return time.UTC, k.known
	}
	return time.FixedZone("", int(k.offset/time.Second)), true
}

// listParser returns a parser for the server's LIST, as far as it is known.
func (c *Conn) listParser() *ftp.ListParser {
	zone, _ := c.Zone()
	k := &c.cfg.Habits.clock
	k.mu.Lock()
	defer k.mu.Unlock()
	p := &ftp.ListParser{Now: time.Now(), Location: zone, Order: k.order}
	if s := c.cfg.Habits.system.Load(); s != nil {
		p.System = *s
	}
	return p
}

// askSystem asks once what the server is (SYST). One that does not say so is read by
// the looks of its lines alone.
func (c *Conn) askSystem(ctx context.Context) error {
	if c.cfg.Habits.system.Load() != nil {
		return nil
	}
	end, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	r, err := c.do(ctx, ftp.Command{Verb: "SYST"}, ftp.CodeSystemType)
	if c.broken != nil {
		return err
	}
	system := ""
	if err == nil {
		system = r.Text()
	}
	c.cfg.Habits.system.Store(&system)
	return nil
}

// heldLines reads a LIST by a clock that is not known, and keeps its lines and the
// file that the clock can be learnt from.
type heldLines struct {
	*ftp.ListParser
	lines []string
	bytes int

	sample ftp.Entry // the newest file with a time of day, or one with a date of unknown order
	at     int       // the index of its line
}

// Parse implements [lineParser].
func (h *heldLines) Parse(line string) (ftp.Entry, error) {
	h.lines = append(h.lines, line)
	h.bytes += len(line)
	e, err := h.ListParser.Parse(line)
	if err != nil || e.Type != ftp.File || strings.Contains(e.Name, "/") {
		return e, err
	}
	timed := !e.Time.IsZero() && e.TimePrecision <= time.Minute
	unordered := e.Time.IsZero() && h.Grammar() == "OS/400"
	if timed && e.Time.After(h.sample.Time) || unordered && h.sample.Name == "" {
		h.sample, h.at = e, len(h.lines)-1
	}
	return e, err
}

func (h *heldLines) full() bool { return len(h.lines) >= maxHeldLines || h.bytes >= maxHeldBytes }

// listLearning lists by LIST where the server's time zone is not known. The
// beginning of the listing is held back until one of its files has told the zone by
// MDTM; a listing that is longer is begun again then.
//
// What it learns is the distance to UTC at the time of the newest file. A server in a
// zone with summer time, which shows each file in the time that was in force when it
// was changed, is an hour off for those of the other half of the year; Windows does
// so, and it does not. And a server whose MDTM tells local time, against RFC 3659
// section 2.3, cannot be told from one in UTC. [Config.Location] settles both.
func (c *Conn) listLearning(ctx context.Context, what, dir string, cmd ftp.Command, each func(ftp.Entry) bool) error {
	h := &heldLines{ListParser: c.listParser()}
	full := false
	err := c.listing(ctx, what, cmd, h, func(ftp.Entry) bool {
		full = h.full()
		return !full
	})
	if err != nil {
		return err
	}
	if h.sample.Name != "" {
		if err := c.learnClock(ctx, dir, h); err != nil {
			return c.wrap(err, what)
		}
	}
	if full {
		return c.listing(ctx, what, cmd, c.listParser(), each)
	}
	p := c.listParser()
	if p.Order == ftp.OrderUnknown {
		p.Order = h.Order // dates further down may have told it
	}
	for _, line := range h.lines {
		e, skip, err := c.ownEntry(p.Parse(line))
		switch {
		case err != nil:
			return c.wrap(fault.As(err, "reading the listing"), what)
		case !skip && !each(e):
			return nil
		}
	}
	return nil
}

// learnClock compares what LIST told about the sample with MDTM. A server that does
// not answer that, or something that does not fit, leaves the clock as it is
// supposed to be; an error means that the connection is gone.
func (c *Conn) learnClock(ctx context.Context, dir string, h *heldLines) error {
	path := c.cfg.Charset.Decode(h.sample.Name)
	if dir != "" {
		if g := h.Grammar(); g == "VMS" || g == "MVS" {
			return nil // whose paths are not put together with slashes
		}
		path = strings.TrimSuffix(dir, "/") + "/" + path
	}
	exact, err := c.ModTime(ctx, path)
	if err != nil {
		if c.broken != nil || ctx.Err() != nil {
			return err
		}
		c.cfg.Habits.clock.learnt(false, 0, h.Order)
		return nil
	}
	known, offset, order := compareClocks(h, exact)
	c.cfg.Habits.clock.learnt(known, offset, order)
	c.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "compared LIST with MDTM", slog.String("server", c.cfg.Addr),
		slog.Bool("known", known), slog.Duration("offset", offset), slog.String("order", order.String()))
	return nil
}

// compareClocks returns the offset of LIST's times, and the order of its dates where
// only one gives an offset that exists.
func compareClocks(h *heldLines, exact time.Time) (known bool, offset time.Duration, order ftp.DateOrder) {
	orders := []ftp.DateOrder{h.Order}
	if h.sample.Time.IsZero() {
		orders = []ftp.DateOrder{ftp.DayMonthYear, ftp.MonthDayYear, ftp.YearMonthDay}
	}
	fit := 0
	for _, o := range orders {
		p := &ftp.ListParser{System: h.System, Now: h.Now, Order: o}
		var e ftp.Entry
		for _, line := range h.lines[:h.at+1] {
			if got, err := p.Parse(line); err == nil {
				e = got
			}
		}
		if off, ok := zoneOffset(e, exact); ok && e.Name == h.sample.Name && (fit == 0 || off == offset) {
			fit++
			offset, order = off, o
		} else if ok {
			return false, 0, h.Order // two answers are none
		}
	}
	if fit != 1 {
		order = h.Order
	}
	return fit > 0, offset, order
}

// zoneOffset returns how far e's time, read as UTC, is from exact. Zones are whole
// quarters of an hour from UTC, up to 14 hours; what is something else is not a zone
// but a file that was changed meanwhile, or another date.
func zoneOffset(e ftp.Entry, exact time.Time) (time.Duration, bool) {
	if e.Time.IsZero() || exact.IsZero() {
		return 0, false
	}
	const quarter, slack = 15 * time.Minute, time.Minute // some round to the next minute, or to even seconds
	diff := e.Time.Sub(exact.Truncate(e.TimePrecision))
	offset := diff.Round(quarter)
	if off := diff - offset; off < -slack || off > slack || offset < -14*time.Hour || offset > 14*time.Hour {
		return 0, false
	}
	return offset, true
}
