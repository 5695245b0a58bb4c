package gateway_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/connector"
)

// TestCloseDoesNotWaitForAbandonedStreams: a program that keeps a connection open
// and never looks at it must not keep the gateway from ending.
func TestCloseDoesNotWaitForAbandonedStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		inside := r.listen("10.0.0.5:7", echo)
		r.connect("plant1", connector.Mapping{Virtual: "echo:7", Internal: inside})
		kept := r.mustDial("echo:7") // never read, never closed before the gateway is
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := r.gw.Shutdown(ctx); err == nil {
			t.Error("shutdown did not say that it ran out of time")
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("shutdown took %v", took)
		}
		kept.Close()
	})
}
