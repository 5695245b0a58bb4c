package testkit

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// leakPatience is how long goroutines may take to end after the test, which
// matters on a loaded machine only.
var leakPatience = 5 * time.Second

// NoLeaks fails the test if goroutines that it started are still there when it
// and the clean-ups registered after this call are over. Call it first. It is not
// for tests that run beside others (t.Parallel): their goroutines would count.
func NoLeaks(t testing.TB) {
	t.Helper()
	before := goroutines()
	t.Cleanup(func() {
		if t.Failed() {
			return // a test that stopped half way says nothing about leaks
		}
		deadline := time.NewTimer(leakPatience)
		defer deadline.Stop()
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			left := leaked(before)
			if len(left) == 0 {
				return
			}
			select {
			case <-tick.C:
			case <-deadline.C:
				t.Errorf("%d goroutines left behind:\n\n%s", len(left), strings.Join(left, "\n\n"))
				return
			}
		}
	})
}

// leaked returns the stacks of goroutines that are not in before.
func leaked(before map[string]string) []string {
	var left []string
	for id, stack := range goroutines() {
		if _, old := before[id]; !old {
			left = append(left, stack)
		}
	}
	return left
}

// goroutines returns the stack of each goroutine but the caller's by its heading's
// first two words ("goroutine 17"), leaving out those of the runtime and of
// package testing.
func goroutines() map[string]string {
	buf := make([]byte, 1<<16)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	all := make(map[string]string)
	for i, stack := range strings.Split(string(buf), "\n\n") {
		if i == 0 || !interesting(stack) {
			continue // the first is the caller's own
		}
		words := strings.SplitN(stack, " ", 3)
		all[words[0]+" "+words[1]] = stack
	}
	return all
}

func interesting(stack string) bool {
	_, body, ok := strings.Cut(stack, "\n")
	if !ok {
		return false
	}
	for _, own := range []string{"testing.", "runtime.", "os/signal.", "runtime/trace.", "internal/synctest."} {
		if strings.HasPrefix(body, own) {
			return false
		}
	}
	return true
}
