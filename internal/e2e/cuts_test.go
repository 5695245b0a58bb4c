//go:build linux

package e2e_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"sallyport.dev/internal/testkit"
)

var (
	cuts    = flag.Int("e2e.cuts", 2, "transfers of each direction, with each server, that TestCuts cuts by each means")
	cutSeed = flag.Uint64("e2e.seed", 1, "decides where in its transfer each of them is cut")
)

// atOnce is how many uploads and how many downloads of one server one cut meets.
const atOnce = 5

// means is a way to cut a transfer that goes through a tunnel.
type means struct {
	name string
	long bool // takes half a minute each time: not in a short run
	cut  func(*cutRig)
	mend func(*cutRig)
	// least is the first byte at which it cuts.
	least int64
	// spared is what a server always learns from the data connection alone. When
	// the connector dies, it loses the control connection at the same moment.
	spared bool
}

var allMeans = []means{
	{name: "gateway killed", cut: func(r *cutRig) { r.kill(r.gateway) }, mend: (*cutRig).startGateway, spared: true},
	{name: "link reset", cut: func(r *cutRig) { r.proxy.reset(0) }, spared: true},
	// Control connections live on, and the client reads what the server says of it.
	{name: "data link reset", cut: func(r *cutRig) { r.proxy.reset(busy) }, least: 2 * busy, spared: true},
	{name: "link silent", long: true, cut: (*cutRig).silence, mend: (*cutRig).speak, spared: true},
	{name: "connector killed", cut: func(r *cutRig) { r.kill(r.connector) }, mend: (*cutRig).startConnector},
}

// TestCuts ends the tunnel in the middle of uploads and downloads, with gateway and
// connector in processes of their own. The client must see an error, and the server
// must not take what it has for a whole file.
func TestCuts(t *testing.T) {
	testkit.NeedRoot(t)
	testkit.Binary(t)
	var sum cutLedger
	t.Run("by", func(t *testing.T) {
		for i, m := range allMeans {
			if m.long && *cuts < 2*atOnce {
				continue
			}
			t.Run(subtest(m.name), func(t *testing.T) {
				t.Parallel()
				cutMany(t, m, rand.New(rand.NewPCG(*cutSeed, uint64(i))), &sum)
			})
		}
	})
	t.Logf("seed %d\n%s", *cutSeed, sum.table())
	sum.write(t)
}

// cutMany cuts transfers with all servers until there are enough of them.
func cutMany(t *testing.T, m means, random *rand.Rand, sum *cutLedger) {
	r := newCutRig(t, m)
	for left := *cuts; left > 0; left -= atOnce {
		r.awaitTunnel()
		round := r.begin(m, random, min(left, atOnce))
		if !round.underWay() {
			return // why was said
		}
		// Bytes go on moving; the cut meets them wherever they are by now.
		time.Sleep(time.Duration(random.IntN(50)) * time.Millisecond)
		m.cut(r)
		close(round.cut)
		round.finish()
		for _, s := range r.servers {
			s.awaitNoSession(t)
		}
		round.judge(sum)
		if m.mend != nil {
			m.mend(r)
		}
	}
}

// cutRow is a row of the table.
type cutRow struct{ server, direction, by string }

// cutCounts is what was seen in a row.
type cutCounts struct {
	cuts, clean   int // of the client's: in all, and that it took for whole
	ok, fail      int // of the server's log
	named, hidden int // what is left of uploads: under the file's own name, under another
}

func (c *cutCounts) add(d cutCounts) {
	c.cuts, c.clean = c.cuts+d.cuts, c.clean+d.clean
	c.ok, c.fail = c.ok+d.ok, c.fail+d.fail
	c.named, c.hidden = c.named+d.named, c.hidden+d.hidden
}

// check fails the test on what must never be.
func (c *cutCounts) check(t *testing.T, row cutRow, s *cutServer, m means) {
	t.Helper()
	where := fmt.Sprintf("%s, %s, %s", row.server, row.direction, row.by)
	if c.clean > 0 {
		t.Errorf("%s: %d of %d clients saw a clean end", where, c.clean, c.cuts)
	}
	if s.logsFailures && c.ok > 0 {
		t.Errorf("%s: the server logged %d of %d as whole", where, c.ok, c.cuts)
	}
	if !m.spared {
		return
	}
	if s.logsFailures && c.fail != c.cuts {
		t.Errorf("%s: the server logged %d of %d as failed", where, c.fail, c.cuts)
	}
	if s.dropsParts && c.named+c.hidden > 0 {
		t.Errorf("%s: %d parts are left under their own name, %d under another", where, c.named, c.hidden)
	}
}
