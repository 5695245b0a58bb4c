package testkit

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/gofrs/flock"
)

// Ports are handed out in blocks below 32768, where the systems we test on take
// the source ports of outgoing connections from: a server's fixed port or passive
// range above would now and then be in use by a client.
const (
	firstPort  = 12000
	lastPort   = 32000
	portsBlock = 50
)

// PortRange is Min to Max, both included.
type PortRange struct{ Min, Max int }

// String returns "MIN-MAX".
func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.Min, r.Max) }

// Ports reserves 50 neighbouring TCP ports, free on every address when it looked,
// against every other process that asks here, until the test ends.
func Ports(t testing.TB) PortRange {
	t.Helper()
	r, release, err := reservePorts()
	if err != nil {
		t.Fatalf("reserve ports: %v", err)
	}
	t.Cleanup(release)
	return r
}

// FreePort returns one TCP port below 32768, reserved until the test process ends.
func FreePort(t testing.TB) int {
	t.Helper()
	single.Lock()
	defer single.Unlock()
	for {
		if single.next == 0 || single.next > single.block.Max {
			r, _, err := reservePorts()
			if err != nil {
				t.Fatalf("reserve ports: %v", err)
			}
			single.block, single.next = r, r.Min
		}
		p := single.next
		single.next++
		if portFree(p) {
			return p
		}
	}
}

var single struct {
	sync.Mutex // guards the following
	block      PortRange
	next       int
}

// reservePorts locks one block's file. Blocks are tried from a point that depends
// on the process, so that processes seldom meet.
func reservePorts() (PortRange, func(), error) {
	dir := filepath.Join(os.TempDir(), "sallyport-test-ports")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return PortRange{}, nil, err
	}
	_ = os.Chmod(dir, 0o777) // for the other users who run tests here; only its owner can
	const blocks = (lastPort - firstPort) / portsBlock
	start := os.Getpid() * 7 % blocks
	for i := range blocks {
		n := (start + i) % blocks
		r := PortRange{firstPort + n*portsBlock, firstPort + (n+1)*portsBlock - 1}
		lock := flock.New(filepath.Join(dir, strconv.Itoa(r.Min)), flock.SetPermissions(0o666))
		ok, err := lock.TryLock()
		if err != nil {
			return PortRange{}, nil, err
		}
		if !ok {
			continue
		}
		if allFree(r) {
			return r, func() { _ = lock.Unlock() }, nil // ends with the process at the latest
		}
		if err := lock.Unlock(); err != nil {
			return PortRange{}, nil, err
		}
	}
	return PortRange{}, nil, errors.New("no free block of ports between 12000 and 32000")
}

func allFree(r PortRange) bool {
	for p := r.Min; p <= r.Max; p++ {
		if !portFree(p) {
			return false
		}
	}
	return true
}

// portFree reports whether p can be bound on the wildcard address now.
func portFree(p int) bool {
	l, err := net.Listen("tcp", ":"+strconv.Itoa(p))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
