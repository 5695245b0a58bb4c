package daemon

import (
	"context"
	"errors"
	"net"
	"time"
)

// server is what sites, gateways, SOCKS5 and HTTP servers have in common.
type server interface {
	Serve(l net.Listener) error
	Shutdown(ctx context.Context) error
	Close() error
}

// serve serves l until ctx ends; what runs then has grace to end by itself and is
// cut after it. closed is what s.Serve returns after a Shutdown.
func serve(ctx context.Context, s server, l net.Listener, grace time.Duration, closed error) error {
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		stopped <- shutdown(ctx, s, grace)
	})
	err := s.Serve(l)
	if stop() {
		return err // it ended by itself
	}
	if errors.Is(err, closed) {
		err = nil
	}
	return errors.Join(err, <-stopped)
}

// shutdown lets what runs end by itself for a time, and then ends it.
func shutdown(ctx context.Context, s server, grace time.Duration) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := s.Shutdown(bounded)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.Close()
	}
	return err
}
