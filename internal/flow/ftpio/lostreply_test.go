package ftpio_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/flow/flowtest"
	"sallyport.dev/internal/flow/ftpio"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/secret"
)

// cutter ends a server's first control connections after the client has read so
// many bytes of each. The server has done what was asked for, and its word on that is
// lost, in whole or in part.
type cutter struct {
	trouble
	dial netx.DialFunc
	addr string

	mu   sync.Mutex // guards the following
	made int
	read int // bytes of the first one, in all
}

func (c *cutter) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if addr == c.addr && time.Now().Before(c.down) {
		return nil, fault.New(fault.Unreachable, "connection refused")
	}
	nc, err := c.dial(ctx, network, addr)
	if err != nil || addr != c.addr {
		return nc, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made++; c.made > c.times {
		return nc, nil
	}
	return &cutConn{Conn: nc, c: c, first: c.made == 1}, nil
}

// trouble is what a cutter makes.
type trouble struct {
	after int       // bytes; zero is never
	times int       // connections
	down  time.Time // nobody answers until then
}

type cutConn struct {
	net.Conn
	c     *cutter
	first bool
	read  int // by the one goroutine that reads a control connection at a time
}

func (x *cutConn) Read(b []byte) (int, error) {
	if x.c.after > 0 {
		left := x.c.after - x.read
		if left <= 0 {
			if err := netx.Reset(x.Conn); err != nil {
				return 0, err
			}
			return 0, net.ErrClosed
		}
		b = b[:min(len(b), left)]
	}
	n, err := x.Conn.Read(b)
	x.read += n
	if x.first {
		x.c.mu.Lock()
		x.c.read = x.read
		x.c.mu.Unlock()
	}
	return n, err
}

// lostReplyRun carries a few files from one awkward server to another, with the
// first control connections to one of them cut, and returns how many bytes were read
// of the first.
func lostReplyRun(t *testing.T, end string, after, times int, features []string) (read int) {
	t.Helper()
	return carryBetween(t, end, trouble{after: after, times: times}, features, func(flow.Status) {})
}

// carryBetween carries files from one awkward server to another in a bubble of fake
// time, with trouble at one of them. Five seconds after the start
// soon sees how it stands; fifteen minutes after the trouble everything must have
// arrived.
func carryBetween(t *testing.T, end string, what trouble, features []string, soon func(flow.Status)) (read int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := &memnet.Network{}
		files := map[string]string{"a.xml": "alpha", "b.xml": "", "c.xml": strings.Repeat("gamma", 5000)}
		src := &ftptest.Awkward{Network: n, Files: files, Quirks: ftptest.Quirks{Features: features}}
		dst := &ftptest.Awkward{Network: n, Quirks: ftptest.Quirks{Features: features}}
		cut := &cutter{dial: n.Dial, trouble: what}
		server := func(a *ftptest.Awkward, name string) ftpio.FTPServer {
			addr := a.Start(t)
			if name == end {
				cut.addr = addr
			}
			p := &ftpclient.Pool{Max: 2, Config: ftpclient.Config{Dial: cut.Dial, Addr: addr, User: "me", Password: secret.New("x")}}
			t.Cleanup(func() {
				if err := p.Close(); err != nil {
					t.Errorf("close pool: %v", err)
				}
			})
			return ftpio.FTPServer{Pool: p, Name: name}
		}
		j := &flowtest.Journal{}
		r := flow.Runner{Journal: j, Flows: []flow.Flow{{
			Name: "f", Source: &ftpio.FTPSource{FTPServer: server(src, "src")}, Concurrency: 1,
			Sinks: []flow.Delivery{{Sink: &ftpio.FTPSink{FTPServer: server(dst, "dst")}}},
			Ready: flow.Ready{When: flow.Always}, After: flow.After{Do: flow.Delete},
		}}}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		<-time.After(5 * time.Second)
		cut.mu.Lock()
		read = cut.read // by then everything has been said, if nothing was cut
		cut.mu.Unlock()
		soon(r.Snapshot()[0])
		if !what.down.IsZero() {
			<-time.After(time.Until(what.down)) // and as long again, for waits that double
		}
		<-time.After(15 * time.Minute)
		s := r.Snapshot()[0]
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if s.Done != int64(len(files)) || s.Failed != 0 || s.Open != 0 {
			t.Errorf("got %+v", s)
			page, err := j.List(context.Background(), flow.Query{})
			t.Logf("%+v, %v", page.Transfers, err)
		}
		for name, want := range files {
			if got, ok := dst.File(name); !ok || got != want {
				t.Errorf("sink has %d bytes of %s, %v want %d", len(got), name, ok, len(want))
			}
			if _, ok := src.File(name); ok {
				t.Errorf("%s is still at the source", name)
			}
		}
		if names := dst.Names(); len(names) != len(files) {
			t.Errorf("sink holds %q", names)
		}
	})
	return read
}

// TestEveryReplyLost cuts the control connection to source or sink at places all over
// what the server says, one after the other: in the middle of a 226, of the 250
// to RNTO or to DELE, between any two commands; once, and on six connections one after
// the other. Everything arrives once, and nothing is left behind at either end.
func TestEveryReplyLost(t *testing.T) {
	step := 43
	if testing.Short() {
		step = 211
	}
	for _, end := range []string{"src", "dst"} {
		for kind, features := range map[string][]string{"mlst": nil, "old": {}} {
			for _, times := range []int{1, 6} {
				t.Run(fmt.Sprintf("%s-%s-%d", end, kind, times), func(t *testing.T) {
					t.Parallel()
					all := lostReplyRun(t, end, 0, 1, features)
					runs := 0
					for after := 1; after < all && !t.Failed(); after += step {
						lostReplyRun(t, end, after, times, features)
						if t.Failed() {
							t.Logf("cut after %d of %d bytes", after, all)
						}
						runs++
					}
					t.Logf("cut at %d places of %d bytes", runs, all)
				})
			}
		}
	}
}

// TestServerDownForTenMinutes: nobody answers at source or sink. With the retries
// that flows have by default no file is given up, the status says what is wrong
// meanwhile, and everything arrives once.
func TestServerDownForTenMinutes(t *testing.T) {
	bubbleBegins := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	down := trouble{down: bubbleBegins.Add(10 * time.Minute)}
	t.Run("source", func(t *testing.T) {
		carryBetween(t, "src", down, nil, func(s flow.Status) {
			if fault.KindOf(s.PollError) != fault.Unreachable || s.FailedSince.IsZero() {
				t.Errorf("status says %v since %v", s.PollError, s.FailedSince)
			}
		})
	})
	t.Run("sink", func(t *testing.T) {
		carryBetween(t, "dst", down, nil, func(s flow.Status) {
			if s.Open != 3 || s.Done != 0 {
				t.Errorf("status says %+v want three files waiting", s)
			}
		})
	})
}
