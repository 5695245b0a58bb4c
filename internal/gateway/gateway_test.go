package gateway_test

import (
	"bytes"
	"io"
	"sync"
	"testing"
	"testing/synctest"

	"sallyport.dev/internal/connector"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/testkit"
)

func TestOneConnectionThrough(t *testing.T) {
	t.Run("memnet", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { through(t, newRig(t), "10.0.0.5:7") })
	})
	t.Run("tcp", func(t *testing.T) {
		testkit.NoLeaks(t)
		through(t, newTCPRig(t), "127.0.0.1:0")
	})
}

func through(t *testing.T, r *rig, inside string) {
	inside = r.listen(inside, echo)
	r.connect("plant1", connector.Mapping{Virtual: "echo:7", Internal: inside})
	c := r.mustDial("echo:7")
	want := bytes.Repeat([]byte("sallyport"), 100000)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := c.Write(want); err != nil {
			t.Error(err)
		}
		if err := c.(netx.CloseWriter).CloseWrite(); err != nil {
			t.Error(err)
		}
	})
	got, err := io.ReadAll(c)
	wg.Wait()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, %v; want %d", len(got), err, len(want))
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	r.await("settled", func() bool { return len(r.gw.Streams()) == 0 })
}
