package flow

import (
	"math/rand/v2"
	"time"
)

// Retry says how often and how patiently a transfer is tried.
type Retry struct {
	// Attempts is how many may fail before the transfer becomes a dead letter.
	// Zero means 10, which with the other defaults takes about 17 minutes.
	Attempts int
	// First is the wait after the first failure; it doubles with each. Zero means 2 s.
	First time.Duration
	// Max bounds the wait. Zero means 10 minutes.
	Max time.Duration
}

// maxDeaths is how many times in a row the process may end while it carries one
// file before that file is taken for the cause. From the second on the file is
// carried alone, so that it does not drag others along.
const maxDeaths = 10

func (r Retry) attempts() int {
	if r.Attempts == 0 {
		return 10
	}
	return r.Attempts
}

// delay is the wait after the n-th failure, n from 1: doubled each time, bounded,
// and spread by a fifth either way so that transfers that failed together do not
// come back together.
func (r Retry) delay(n int) time.Duration {
	first, longest := r.First, r.Max
	if first == 0 {
		first = 2 * time.Second
	}
	if longest == 0 {
		longest = 10 * time.Minute
	}
	d := first
	for range n - 1 {
		if d >= longest {
			break
		}
		d *= 2
	}
	d = min(d, longest)
	return d - d/5 + rand.N(d/5*2+1)
}
