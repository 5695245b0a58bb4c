package testkit

import "time"

// SetLeakPatience shortens [NoLeaks]'s patience and returns what puts it back.
func SetLeakPatience(d time.Duration) func() {
	old := leakPatience
	leakPatience = d
	return func() { leakPatience = old }
}
