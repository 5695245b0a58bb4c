package gateway

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// joins serves the join handler on connections that arrive one by one, over
// HTTP/1.1: a http.Server with a listener that is fed.
type joins struct {
	g    *Gateway
	srv  *http.Server
	feed chan net.Conn
	done chan struct{}
	once sync.Once

	mu       sync.Mutex // guards the following
	releases map[net.Conn]func()
}

func newJoins(g *Gateway) *joins {
	j := &joins{g: g, feed: make(chan net.Conn), done: make(chan struct{}), releases: make(map[net.Conn]func())}
	j.srv = &http.Server{
		Handler:           g.Authority.JoinHandler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       5 * time.Second,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(g.log().Handler(), slog.LevelDebug),
		ConnState: func(c net.Conn, s http.ConnState) {
			if s == http.StateClosed || s == http.StateHijacked {
				j.release(c)
			}
		},
	}
	return j
}

// run serves until close.
func (j *joins) run() {
	_ = j.srv.Serve(j) // it ends by close alone: Accept gives no other error
}

// release calls what was to be called when c is closed.
func (j *joins) release(c net.Conn) {
	j.mu.Lock()
	release := j.releases[c]
	delete(j.releases, c)
	j.mu.Unlock()
	if release != nil {
		release()
	}
}

// serve hands conn over. release is called when it is closed.
func (j *joins) serve(conn *tls.Conn, release func()) {
	j.mu.Lock()
	j.releases[conn] = release
	j.mu.Unlock()
	j.once.Do(func() {
		if j.g.begin(func() {}) {
			go func() { // wg counts it
				defer j.g.wg.Done()
				j.run()
			}()
		}
	})
	select {
	case j.feed <- conn:
	case <-j.done:
		_ = conn.NetConn().Close() // nothing was said on it
		j.release(conn)
	}
}

func (j *joins) close() {
	j.g.mu.Lock()
	defer j.g.mu.Unlock()
	select {
	case <-j.done:
		return
	default:
	}
	close(j.done)
	_ = j.srv.Close() // a join that is cut is asked again with the same token
}

// Accept, Close and Addr make it the listener of its own server.
func (j *joins) Accept() (net.Conn, error) {
	select {
	case c := <-j.feed:
		return c, nil
	case <-j.done:
		return nil, net.ErrClosed
	}
}

func (j *joins) Close() error   { return nil }
func (j *joins) Addr() net.Addr { return &net.TCPAddr{} }
