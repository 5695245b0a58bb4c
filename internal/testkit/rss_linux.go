package testkit

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
)

// PeakRSS returns the largest resident set that the process pid has had so far, in
// bytes (VmHWM of /proc/PID/status).
func PeakRSS(t testing.TB, pid int) int64 {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatalf("read peak memory: %v", err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		rest, ok := strings.CutPrefix(s.Text(), "VmHWM:")
		if !ok {
			continue
		}
		var kib int64
		if _, err := fmt.Sscanf(rest, "%d kB", &kib); err != nil {
			t.Fatalf("read peak memory from %q: %v", s.Text(), err)
		}
		return kib << 10
	}
	t.Fatalf("read peak memory: no VmHWM for process %d", pid)
	return 0
}
