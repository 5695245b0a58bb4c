package ftpclient

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"sallyport.dev/internal/fault"
)

// attempts is how often a file is begun with before a lost connection is an error.
const attempts = 3

// RetrEach reads files over as many connections as the pool may open, each of them as
// [Conn.RetrEach] does. It calls each once for every file, from several goroutines at
// a time: with a [Download] that it must read to io.EOF, or with the error for which
// the file cannot be read. Where the connection is lost in mid-file, each is called
// again for the same path with another Download, from the file's beginning, whatever
// it returned: it must begin anew then.
//
// The first error that each returns, or that opening connections gives, ends
// everything and is returned.
func (p *Pool) RetrEach(ctx context.Context, paths iter.Seq[string], each func(path string, d *Download, err error) error) error {
	p.init()
	next, stop := iter.Pull(paths)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	b := &batch{pool: p, each: each, next: next, tries: map[string]int{}}
	var wg sync.WaitGroup
	for range p.maxLimit {
		wg.Go(func() {
			if err := b.work(ctx); err != nil {
				cancel(err) // the first one stays
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// batch is what the goroutines of one RetrEach share.
type batch struct {
	pool *Pool
	each func(path string, d *Download, err error) error

	mu    sync.Mutex // guards the following
	next  func() (string, bool)
	again []string // to be tried again
	tries map[string]int
}

func (b *batch) take() (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.again); n > 0 {
		path := b.again[n-1]
		b.again = b.again[:n-1]
		return path, true
	}
	return b.next()
}

// retry notes that a file has to be begun with again, and reports whether it may be.
func (b *batch) retry(path string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tries[path]++; b.tries[path] >= attempts {
		return false
	}
	b.again = append(b.again, path)
	return true
}

// putBack notes files that were not begun with.
func (b *batch) putBack(paths []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.again = append(b.again, paths...)
}

// work reads files over one connection after another until there are none left.
func (b *batch) work(ctx context.Context) error {
	for {
		path, ok := b.take()
		if !ok || ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c, err := b.pool.Get(ctx)
		if err != nil {
			return err
		}
		err = b.over(ctx, c, path)
		b.pool.Put(c)
		if err != nil {
			return err
		}
	}
}

// over reads files over one connection while it lasts.
func (b *batch) over(ctx context.Context, c *Conn, first string) error {
	var waiting []string // taken, and not yet begun with
	paths := func(yield func(string) bool) {
		for path, ok := first, true; ok; path, ok = b.take() {
			waiting = append(waiting, path)
			if !yield(path) {
				return
			}
		}
	}
	defer func() { b.putBack(waiting) }()
	for d, err := range c.RetrEach(ctx, paths) {
		waiting = slices.DeleteFunc(waiting, func(p string) bool { return p == d.Path() })
		if err := b.one(ctx, c, d, err); err != nil {
			return err
		}
	}
	return nil
}

// one hands one file over.
func (b *batch) one(ctx context.Context, c *Conn, d *Download, err error) error {
	var failed error
	if err == nil {
		failed = b.each(d.Path(), d, nil)
		if err = d.t.result; !d.t.over || err == nil {
			return failed
		}
	}
	lost := c.broken != nil && ctx.Err() == nil && (errors.Is(err, ErrPipelining) || fault.KindOf(err).Temporary())
	if lost && b.retry(d.Path()) {
		return nil
	}
	if failed != nil {
		return failed
	}
	return b.each(d.Path(), nil, err)
}
