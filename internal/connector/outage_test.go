package connector

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	var longest, late time.Duration
	for range 200 {
		var o outage
		now := time.Unix(0, 0)
		for now.Before(time.Unix(600, 0)) {
			d := o.next(now)
			if d < 0 {
				t.Fatalf("got %v", d)
			}
			if now.Before(time.Unix(60, 0)) {
				longest = max(longest, d)
			} else {
				late = max(late, d)
			}
			now = now.Add(max(d, time.Millisecond))
		}
	}
	if longest >= 2*time.Second || longest < time.Second {
		t.Errorf("in the first minute the longest wait is %v, want just under 2s", longest)
	}
	if late >= 30*time.Second || late < 20*time.Second {
		t.Errorf("later the longest wait is %v, want just under 30s", late)
	}
}

func TestBackoffIsSpread(t *testing.T) {
	// Connectors that lose their gateway at the same moment do not come back at
	// the same moment.
	times := make(map[time.Duration]int)
	for range 1000 {
		var o outage
		times[o.next(time.Unix(0, 0)).Truncate(25*time.Millisecond)]++
	}
	for at, n := range times {
		if n > 200 {
			t.Errorf("%d of 1000 come within 25ms of %v", n, at)
		}
	}
}
