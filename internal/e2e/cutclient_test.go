//go:build linux

package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os/exec"
	"sync"
	"time"

	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/testkit"
)

// cutPatience bounds the time a client takes to see that its transfer was cut: a
// silent link is found dead within 20 s.
const cutPatience = 90 * time.Second

// maxPoint is the latest byte at which a transfer is cut, about.
const maxPoint = 8 << 20

// cutClient is one transfer that is cut.
type cutClient struct {
	server *cutServer
	name   string // of the remote file
	upload bool
	curl   bool  // by curl, or by our own client
	point  int64 // the byte after which it goes slowly, to be cut
	ends   bool  // an upload's source ends after the cut, as if that had been all

	there chan struct{} // closed when point is passed
	pass  sync.Once
	cut   <-chan struct{} // closed after the cut
	n     int64
	err   error // how it ended; nil: cleanly
	done  chan struct{}
}

func (c *cutClient) String() string {
	what := map[bool]string{true: "STOR", false: "RETR"}[c.upload]
	who := map[bool]string{true: "curl", false: "our client"}[c.curl]
	return fmt.Sprintf("%s %s by %s at byte %d", c.server.name, what, who, c.point)
}

// pace waits before the next bytes when point has been passed.
func (c *cutClient) pace() (cut bool) {
	select {
	case <-c.cut:
		return true
	default:
	}
	if c.n < c.point {
		return false
	}
	c.pass.Do(func() { close(c.there) })
	t := time.NewTimer(5 * time.Millisecond)
	defer t.Stop()
	select {
	case <-c.cut:
		return true
	case <-t.C:
		return false
	}
}

// Read is an upload's source.
func (c *cutClient) Read(p []byte) (int, error) {
	n := len(p)
	if c.pace() {
		if c.ends {
			return 0, io.EOF
		}
	} else if left := c.point - c.n; left > 0 {
		n = int(min(int64(n), left))
	} else {
		n = min(n, 4096)
	}
	clear(p[:n])
	c.n += int64(n)
	return n, nil
}

// Write is a download's sink.
func (c *cutClient) Write(p []byte) (n int, err error) {
	for n < len(p) {
		step := min(len(p)-n, 4096)
		c.pace()
		c.n += int64(step)
		n += step
	}
	return n, nil
}

// transfer runs to its end, whatever that is.
func (c *cutClient) transfer(ctx context.Context, r *cutRig) error {
	if c.curl {
		return c.byCurl(ctx, r)
	}
	conn, err := c.server.client(ctx, r)
	if err != nil {
		return err
	}
	defer conn.Close()
	if !c.upload {
		down, err := conn.Retr(ctx, c.name, 0)
		if err != nil {
			return err
		}
		_, err = io.Copy(c, struct{ io.Reader }{down})
		return errors.Join(err, closeDownload(down, err))
	}
	up, err := conn.Stor(ctx, c.name, 0)
	if err != nil {
		return err
	}
	if _, err := io.Copy(up, struct{ io.Reader }{c}); err != nil {
		return err // the upload is over: nothing to abort
	}
	return up.Commit()
}

// closeDownload gives up what an error has ended anyway.
func closeDownload(d *ftpclient.Download, err error) error {
	if cerr := d.Close(); err == nil {
		return cerr
	}
	return nil
}

func (c *cutClient) byCurl(ctx context.Context, r *cutRig) error {
	name, env := testkit.Tool(r.t, "curl")
	argv := []string{name, "-sS", "--netrc-file", r.netrc, "--proxy", "socks5h://" + r.socks, "ftp://" + c.server.host() + "/" + c.name}
	if c.upload {
		argv = append(argv, "-T", "-")
	}
	if r.cloud != "" {
		argv = append([]string{"ip", "netns", "exec", r.cloud}, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var said bytes.Buffer
	cmd.Env, cmd.Stderr, cmd.WaitDelay = env, &said, time.Second
	if c.upload {
		cmd.Stdin = struct{ io.Reader }{c}
	} else {
		cmd.Stdout = struct{ io.Writer }{c}
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}

// cutRound is the transfers that one cut meets.
type cutRound struct {
	r       *cutRig
	m       means
	cut     chan struct{}
	clients []*cutClient
}

// point is a byte from least to [maxPoint], as often in one power of two as in
// the next.
func point(random *rand.Rand, least int64) int64 {
	return int64(float64(least) * math.Exp(random.Float64()*math.Log(float64(maxPoint/least))))
}

// begin starts n uploads and n downloads with each server.
func (r *cutRig) begin(m means, random *rand.Rand, n int) *cutRound {
	r.t.Helper()
	round := &cutRound{r: r, m: m, cut: make(chan struct{})}
	if r.proxy != nil {
		r.proxy.mark()
	}
	for _, s := range r.servers {
		for i := range 2 * n {
			c := &cutClient{
				server: s, upload: i < n, name: big, curl: random.IntN(2) == 0, ends: random.IntN(2) == 0,
				point: point(random, max(m.least, 1)),
				there: make(chan struct{}), cut: round.cut, done: make(chan struct{}),
			}
			if c.upload {
				c.name = fmt.Sprintf("upload-%d", i)
			}
			round.clients = append(round.clients, c)
		}
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), patience+cutPatience)
	r.t.Cleanup(cancel)
	for _, c := range round.clients {
		go func() { // finish waits for it
			defer close(c.done)
			c.err = c.transfer(ctx, r)
		}()
	}
	return round
}

// underWay waits until every transfer has come to its point, and the server stores
// what is uploaded.
func (r *cutRound) underWay() bool {
	deadline := time.After(patience)
	for _, c := range r.clients {
		select {
		case <-c.there:
		case <-c.done:
			r.r.t.Errorf("%v: ended before the cut: %v", c, c.err)
		case <-deadline:
			r.r.t.Errorf("%v: has not come to its point after %v", c, patience)
		}
	}
	// What was sent may not have reached the server yet, which cannot judge then.
	for _, c := range r.clients {
		if c.upload && !c.server.stores(c.name, patience) {
			r.r.t.Errorf("%v: nothing is stored after %v", c, patience)
		}
	}
	return !r.r.t.Failed()
}

// finish waits for the clients' ends.
func (r *cutRound) finish() {
	deadline := time.After(cutPatience)
	for _, c := range r.clients {
		select {
		case <-c.done:
		case <-deadline:
			r.r.t.Fatalf("%v: has not noticed the cut after %v", c, cutPatience)
		}
	}
}

// judge enters what clients and servers say into the ledger.
func (r *cutRound) judge(sum *cutLedger) {
	t := r.r.t
	for _, s := range r.r.servers {
		up, down := s.judge(t)
		names := make(map[string]bool)
		for _, c := range r.clients {
			if c.server != s {
				continue
			}
			counts := &down
			if c.upload {
				counts = &up
				names[c.name] = true
			}
			counts.cuts++
			if c.err == nil {
				counts.clean++
				t.Errorf("%v: the client saw a clean end, %d bytes", c, c.n)
			}
		}
		up.add(s.sweep(t, names))
		for direction, counts := range map[string]cutCounts{"STOR": up, "RETR": down} {
			row := cutRow{s.name, direction, r.m.name}
			counts.check(t, row, s, r.m)
			sum.add(row, counts)
		}
	}
}
