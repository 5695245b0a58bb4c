//go:build torture

package flow

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
)

// Which arrow to halt at, and at the how-manieth time that it is passed, from 1.
var (
	haltAt    = os.Getenv("SALLYPORT_HALT")
	haltTimes = times(os.Getenv("SALLYPORT_HALT_TIMES"))
	passed    atomic.Int64
)

func times(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 1
	}
	return n
}

// Arrow passes one of [Arrows] on behalf of a transfer. At the one that the
// environment names it says so on standard error and goes no further: somebody
// outside kills the process then. Other transfers go on meanwhile, as they do in
// the moment before a real end.
func Arrow(name, id string) {
	if name != haltAt || passed.Add(1) != haltTimes {
		return
	}
	fmt.Fprintf(os.Stderr, "torture: halted at %s of %s\n", name, id)
	select {}
}
