package gateway_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestSilentHandshakesAreBounded: whoever connects and says nothing is thrown out
// after 10 s, and holds no more than half of the places.
func TestSilentHandshakesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var conns []net.Conn
		for range 70 {
			c, err := r.outside.Dial(t.Context(), "tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		synctest.Wait()
		if !strings.Contains(r.log.text(), "too many handshakes pending from this address") {
			t.Error("the log does not say that connections were refused")
		}
		start := time.Now()
		ended := 0
		for _, c := range conns {
			if _, err := c.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
				ended++
			}
			c.Close()
		}
		if ended != len(conns) || time.Since(start) != 10*time.Second {
			t.Errorf("%d of %d thrown out after %v, want all after 10s", ended, len(conns), time.Since(start))
		}
		r.connect("plant1") // there is room again
	})
}

// TestSilentJoinsAreBounded: a join that shakes hands and then says nothing counts
// against its address to its end, so that one address cannot shut connectors out.
func TestSilentJoinsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		cfg := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS13} //nolint:gosec // a stranger verifies nothing
		shaken := 0
		for range 100 {
			raw, err := r.outside.Dial(t.Context(), "tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			c := tls.Client(raw, cfg)
			if c.HandshakeContext(t.Context()) == nil {
				shaken++
			}
			defer raw.Close()
		}
		if shaken == 0 || shaken > 64 {
			t.Errorf("one address holds %d silent joins, want some and at most half of the places", shaken)
		}
		if !strings.Contains(r.log.text(), "too many handshakes pending from this address") {
			t.Error("the log does not say that connections were refused")
		}
		time.Sleep(time.Minute) // fake: the silent ones are thrown out
		r.connect("plant1")
	})
}
