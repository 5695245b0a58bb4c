package ftpserver_test

import (
	"context"
	"io/fs"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/netx"
)

// allocated returns how many bytes of memory were allocated while do ran.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// counting is a network that counts the listeners it was asked for.
type counting struct {
	netx.System
	listeners atomic.Int64
}

func (c *counting) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	c.listeners.Add(1)
	return c.System.Listen(ctx, network, addr)
}

func (c *counting) count() int64 { return c.listeners.Load() }

// endless gives every account a tree whose folders have no end.
func endless(srv *ftpserver.Server) {
	whole := srv.Authenticate
	srv.Authenticate = func(ctx context.Context, l ftpserver.Login) (ftpserver.Account, error) {
		a, err := whole(ctx, l)
		a.Tree = endlessTree{a.Tree}
		return a, err
	}
}

type endlessTree struct{ ftpserver.Tree }

func (endlessTree) ReadDir(string) (ftpserver.Dir, error) { return endlessDir{}, nil }

type endlessDir struct{}

func (endlessDir) Next() ([]fs.FileInfo, error) {
	batch := make([]fs.FileInfo, 256)
	for i := range batch {
		batch[i] = someFile{}
	}
	return batch, nil
}

func (endlessDir) Close() error { return nil }

type someFile struct{}

func (someFile) Name() string       { return "some-file" }
func (someFile) Size() int64        { return 1 }
func (someFile) Mode() fs.FileMode  { return 0o644 }
func (someFile) ModTime() time.Time { return time.Unix(1e9, 0) }
func (someFile) IsDir() bool        { return false }
func (someFile) Sys() any           { return nil }

// await polls until done, and fails the test when that takes too long.
func await(t testing.TB, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("waited for a minute")
		}
	}
}
