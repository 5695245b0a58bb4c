package ftpclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/testkit"
)

// collect reads what it is handed, beginning anew when it is handed the same again.
type collect struct {
	mu      sync.Mutex
	got     map[string]string
	refused map[string]fault.Kind
	calls   int
}

func (c *collect) each(path string, d *ftpclient.Download, err error) error {
	var b []byte
	if err == nil {
		if b, err = io.ReadAll(d); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if err != nil {
		c.refused[path] = fault.KindOf(err)
		return nil
	}
	c.got[path] = string(b)
	return nil
}

func newCollect() *collect {
	return &collect{got: map[string]string{}, refused: map[string]fault.Kind{}}
}

func TestPoolRetrEach(t *testing.T) {
	for name, quirks := range map[string]ftptest.Quirks{
		"good": {}, "one-by-one": {OneByOne: true}, "busy": {Busy: true}, "deaf": {Deaf: true}, "no-wait": {NoWait: true},
		"crowded": {NoLogin: "421 too many\r\n", Crowd: 2},
	} {
		t.Run(name, func(t *testing.T) {
			a := &ftptest.Awkward{Files: manyFiles(60), Quirks: quirks}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				p := &ftpclient.Pool{Config: cfg, Max: 4}
				paths := append(slices.Sorted(maps.Keys(a.Files)), "none", "bad\nname")
				c := newCollect()
				if err := p.RetrEach(t.Context(), slices.Values(paths), c.each); err != nil {
					t.Error(err)
				}
				if !maps.Equal(c.got, a.Files) {
					t.Errorf("got %d files of %d", len(c.got), len(a.Files))
				}
				if len(c.refused) != 2 || c.refused["none"] != fault.NotFound || c.refused["bad\nname"] != fault.Invalid {
					t.Errorf("refused %v", c.refused)
				}
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestPoolRetrEachLost loses connections in mid-file: every file arrives whole.
func TestPoolRetrEachLost(t *testing.T) {
	a := &ftptest.Awkward{Files: manyFiles(40)}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		cfg.Dial = dying(cfg.Dial, 5_000)
		p := &ftpclient.Pool{Config: cfg, Max: 3}
		c := newCollect()
		err := p.RetrEach(t.Context(), maps.Keys(a.Files), c.each)
		if err != nil || !maps.Equal(c.got, a.Files) {
			t.Errorf("got %d files of %d: %v", len(c.got), len(a.Files), err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

// dying gives control connections, which are dialled first, so and so many bytes to
// live; data connections live.
func dying(dial netx.DialFunc, life int) netx.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if err != nil || !strings.HasSuffix(addr, ":40000") {
			return nc, err
		}
		m, ok := nc.(*countedConn)
		if !ok {
			return nil, fmt.Errorf("%T", nc)
		}
		return &mortal{countedConn: m, left: life}, nil
	}
}

type mortal struct {
	*countedConn
	left int
}

func (m *mortal) Read(p []byte) (int, error) {
	n, err := m.countedConn.Read(p)
	if m.left -= n; m.left < 0 {
		return 0, errors.Join(net.ErrClosed, m.Reset())
	}
	return n, err
}

// TestPoolRetrEachStops: what each returns ends everything, and so does a login that
// fails.
func TestPoolRetrEachStops(t *testing.T) {
	onPool(t, 3, func(t *testing.T, a *ftptest.Awkward, p *ftpclient.Pool) {
		enough := errors.New("enough")
		var calls atomic.Int32
		err := p.RetrEach(t.Context(), slices.Values(slices.Repeat([]string{"f"}, 100)), func(string, *ftpclient.Download, error) error {
			calls.Add(1)
			return enough
		})
		if !errors.Is(err, enough) || calls.Load() > 3 {
			t.Errorf("%d calls, %v", calls.Load(), err)
		}
	})
	a := &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{"PASS": "530 no\r\n"}}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		p := &ftpclient.Pool{Config: cfg, Max: 3}
		c := newCollect()
		if err := p.RetrEach(t.Context(), slices.Values([]string{"a", "b", "c"}), c.each); fault.KindOf(err) != fault.Unauthenticated || c.calls != 0 {
			t.Errorf("%v after %d calls", err, c.calls)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

// memory is a file in memory to write at.
type memory struct {
	mu sync.Mutex
	b  []byte
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if need := int(off) + len(p); need > len(m.b) {
		m.b = append(m.b, make([]byte, need-len(m.b))...)
	}
	return copy(m.b[off:], p), nil
}

func randomText(n int) string {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{1})
	_, _ = src.Read(b) // it gives all of it always
	return string(b)
}

func TestRetrRange(t *testing.T) {
	a := &ftptest.Awkward{Files: map[string]string{"f": randomText(100_000)}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		dialIn(t, cfg, func(c *ftpclient.Conn) {
			for _, r := range [][2]int64{{0, 10}, {5, 0}, {99_999, 1}, {0, 100_000}, {50_000, 50_000}, {100_000, 0}} {
				d, err := c.RetrRange(t.Context(), "f", r[0], r[1])
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(d)
				if err := errors.Join(err, d.Close()); err != nil || string(b) != a.Files["f"][r[0]:r[0]+r[1]] {
					t.Errorf("%v: %d bytes, %v", r, len(b), err)
				}
				if !c.Usable() {
					t.Fatalf("%v ended the connection", r)
				}
			}
			d, err := c.RetrRange(t.Context(), "f", 99_000, 1001)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(d); !errors.Is(err, io.ErrUnexpectedEOF) || len(b) != 1000 {
				t.Errorf("beyond the end: %d bytes, %v", len(b), err)
			}
			if _, err := c.RetrRange(t.Context(), "f", 0, -1); fault.KindOf(err) != fault.Invalid {
				t.Errorf("negative: %v", err)
			}
		})
	})
}

func TestRetrSegments(t *testing.T) {
	const mib = 1 << 20
	for name, row := range map[string]struct {
		size, segments int
		quirks         ftptest.Quirks
		logins         int
	}{
		"five":    {5*mib + 17, 5, ftptest.Quirks{}, 5},
		"small":   {mib / 2, 8, ftptest.Quirks{}, 1},
		"empty":   {0, 8, ftptest.Quirks{}, 1},
		"no-rest": {3 * mib, 3, ftptest.Quirks{Features: []string{"SIZE", "MDTM", "EPSV"}}, 1},
		"crowded": {4 * mib, 4, ftptest.Quirks{NoLogin: "421 too many\r\n", Crowd: 2}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			a := &ftptest.Awkward{Files: map[string]string{"f": randomText(row.size)}, Quirks: row.quirks}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				p := &ftpclient.Pool{Config: cfg, Max: row.segments}
				m := &memory{}
				n, err := p.RetrSegments(t.Context(), "f", row.segments, m)
				if err != nil || n != int64(row.size) || string(m.b) != a.Files["f"] {
					t.Errorf("got %d bytes, %v; same: %v", n, err, string(m.b) == a.Files["f"])
				}
				if got := logins(a); got < row.logins || row.logins == 1 && got > 1 {
					t.Errorf("%d logins, want %d", got, row.logins)
				}
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestRetrSegmentsLost loses connections on the way: what has come is kept.
func TestRetrSegmentsLost(t *testing.T) {
	a := &ftptest.Awkward{Files: map[string]string{"f": randomText(8 << 20)}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		var data atomic.Int32
		dial := cfg.Dial
		cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := dial(ctx, network, addr)
			if err != nil || strings.HasSuffix(addr, ":40000") || data.Add(1)%3 == 0 {
				return nc, err
			}
			m, ok := nc.(*countedConn)
			if !ok {
				return nil, fmt.Errorf("%T", nc)
			}
			return &mortal{countedConn: m, left: 700_000}, nil
		}
		p := &ftpclient.Pool{Config: cfg, Max: 4}
		m := &memory{}
		n, err := p.RetrSegments(t.Context(), "f", 4, m)
		if err != nil || n != 8<<20 || string(m.b) != a.Files["f"] {
			t.Errorf("got %d bytes, %v", n, err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestRetrSegmentsChanged: a file that changes meanwhile is not taken for whole.
func TestRetrSegmentsChanged(t *testing.T) {
	for name, becomes := range map[string]string{"grown": randomText(4<<20 + 1), "cut": randomText(2 << 20)} {
		t.Run(name, func(t *testing.T) {
			a := &ftptest.Awkward{Files: map[string]string{"f": randomText(4 << 20)}}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				p := &ftpclient.Pool{Config: cfg, Max: 2}
				other := &ftpclient.Pool{Config: cfg, Max: 1}
				var changed atomic.Bool
				change := func() {
					if !changed.CompareAndSwap(false, true) {
						return
					}
					c := fromPool(t, other)
					defer other.Put(c)
					if err := write(t.Context(), c, "f", becomes, 0); err != nil {
						t.Error(err)
					}
				}
				_, err := p.RetrSegments(t.Context(), "f", 2, writerAt(func(b []byte, _ int64) (int, error) { change(); return len(b), nil }))
				if fault.KindOf(err) != fault.Busy || fault.HintOf(err) == "" {
					t.Errorf("got %v (%v)", err, fault.KindOf(err))
				}
				if err := errors.Join(p.Close(), other.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

type writerAt func(p []byte, off int64) (int, error)

func (w writerAt) WriteAt(p []byte, off int64) (int, error) { return w(p, off) }

// TestSegmentsReal reads a file in segments from real servers, plain and with TLS.
func TestSegmentsReal(t *testing.T) {
	content := randomText(9<<20 + 5)
	onRealServers(t, func(t *testing.T, srv *testkit.FTPServer, cfg ftpclient.Config) {
		makeFile(t, srv, "large", content)
		srv.Own(t)
		p := &ftpclient.Pool{Config: cfg, Max: 4}
		defer p.Close() //nolint:errcheck // it has been closed well by then
		m := &memory{}
		n, err := p.RetrSegments(t.Context(), "large", 4, m)
		if err != nil || n != int64(len(content)) || !bytes.Equal(m.b, []byte(content)) {
			t.Errorf("got %d bytes, %v", n, err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}
