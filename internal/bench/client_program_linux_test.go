package bench_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/secret"
)

// clientJob is what our client does between "ready" and its results.
type clientJob struct {
	Addr, User, Password string
	CA                   string // PEM; empty: plain
	Do                   string // many, down, up, list or segments
	Name                 string // a file, or with many its beginning
	Count, Conns         int
	Active               bool
	Local                string // a folder with many, else a file
}

// clientTook is what it took, login included.
type clientTook struct {
	Seconds float64
	CPU     float64 // seconds of this process
	Bytes   int64
}

func init() { programs["client"] = runClient }

func runClient(p *program) error {
	var job clientJob
	if err := p.job(&job); err != nil {
		return err
	}
	cfg := ftpclient.Config{Addr: job.Addr, User: job.User, Password: secret.New(job.Password)}
	if job.Active {
		cfg.Mode = ftpclient.ActiveMode
	}
	if job.CA != "" {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(job.CA)) {
			return errors.New("no certificate in CA")
		}
		cfg.Security = ftpclient.Explicit
		cfg.TLS = &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}
	}
	pool := &ftpclient.Pool{Config: cfg, Max: max(job.Conns, 1)}
	debug.FreeOSMemory() // what this program's packages took as it started is not the client's
	if err := p.ready(); err != nil {
		return err
	}
	began, before := time.Now(), used()
	n, err := job.run(context.Background(), pool)
	took := clientTook{Seconds: time.Since(began).Seconds(), CPU: (used() - before).Seconds(), Bytes: n}
	return errors.Join(err, pool.Close(), p.done(took))
}

// used is how long this process has run.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (j *clientJob) run(ctx context.Context, pool *ftpclient.Pool) (int64, error) {
	switch j.Do {
	case "many":
		return j.many(ctx, pool)
	case "segments":
		f, err := os.Create(j.Local)
		if err != nil {
			return 0, err
		}
		n, err := pool.RetrSegments(ctx, j.Name, j.Conns, f)
		return n, errors.Join(err, f.Close())
	}
	c, err := pool.Get(ctx)
	if err != nil {
		return 0, err
	}
	defer pool.Put(c)
	if j.Do == "list" {
		entries := int64(0)
		for _, err := range c.List(ctx, "") {
			if err != nil {
				return entries, err
			}
			entries++
		}
		if entries != int64(j.Count) {
			return entries, fmt.Errorf("listed %d entries, want %d", entries, j.Count)
		}
		return entries, nil
	}
	if j.Do == "down" {
		d, err := c.Retr(ctx, j.Name, 0)
		if err != nil {
			return 0, err
		}
		return save(j.Local, d)
	}
	f, err := os.Open(j.Local)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	u, err := c.Stor(ctx, j.Name, 0)
	if err != nil {
		return 0, err
	}
	if n, err := io.Copy(u, f); err != nil {
		return n, errors.Join(err, u.Abort())
	}
	return u.N(), u.Commit()
}

// many reads small files into a folder.
func (j *clientJob) many(ctx context.Context, pool *ftpclient.Pool) (total int64, err error) {
	sizes := make(chan int64, j.Count)
	err = pool.RetrEach(ctx, j.names(), func(path string, d *ftpclient.Download, err error) error {
		if err != nil {
			return err
		}
		n, err := save(filepath.Join(j.Local, path), d)
		sizes <- n
		return err
	})
	close(sizes)
	for n := range sizes {
		total += n
	}
	return total, err
}

func (j *clientJob) names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range j.Count {
			if !yield(fmt.Sprintf("%s%d", j.Name, i)) {
				return
			}
		}
	}
}

func save(path string, d *ftpclient.Download) (int64, error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, errors.Join(err, d.Close())
	}
	n, err := io.Copy(f, d)
	return n, errors.Join(err, d.Close(), f.Close())
}
