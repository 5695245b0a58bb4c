package gateway_test

import (
	"io"
	"net"
	"testing"

	"sallyport.dev/internal/connector"
	"sallyport.dev/internal/gateway"
)

// benchTunnel is a tunnel on loopback to a server that handle serves.
func benchTunnel(b *testing.B, handle func(net.Conn)) (*gateway.Gateway, *rig) {
	b.Helper()
	r := newTCPRig(b)
	inside := r.listen("127.0.0.1:0", handle)
	r.connect("plant1", connector.Mapping{Virtual: "s:1", Internal: inside})
	return r.gw, r
}

// BenchmarkDownload moves bytes from the plant over one stream.
func BenchmarkDownload(b *testing.B) {
	const size = 64 << 20
	block := make([]byte, 1<<20)
	_, r := benchTunnel(b, func(c net.Conn) {
		for range size / len(block) {
			if _, err := c.Write(block); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.SetBytes(size)
	for b.Loop() {
		c := r.mustDial("s:1")
		buf := make([]byte, 64<<10)
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, c, buf)
		if err != nil || n != size {
			b.Fatalf("got %d bytes, %v", n, err)
		}
		c.Close()
	}
}

// BenchmarkUpload moves bytes to the plant over one stream.
func BenchmarkUpload(b *testing.B) {
	const size = 64 << 20
	block := make([]byte, 64<<10)
	_, r := benchTunnel(b, func(c net.Conn) {
		n, err := io.Copy(struct{ io.Writer }{io.Discard}, c)
		if err != nil || n != size {
			b.Errorf("got %d bytes, %v", n, err)
		}
	})
	b.SetBytes(size)
	for b.Loop() {
		c := r.mustDial("s:1")
		for range size / len(block) {
			if _, err := c.Write(block); err != nil {
				b.Fatal(err)
			}
		}
		c.(interface{ CloseWrite() error }).CloseWrite()
		if _, err := io.Copy(io.Discard, c); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

func benchOpens(b *testing.B, workers int) {
	_, r := benchTunnel(b, echo)
	b.SetParallelism(workers)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		one := make([]byte, 1)
		for pb.Next() {
			c, err := r.dial("user:a", "", "s:1")
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := c.Write(one); err != nil {
				b.Error(err)
			}
			if _, err := io.ReadFull(c, one); err != nil {
				b.Error(err)
			}
			c.(interface{ CloseWrite() error }).CloseWrite()
			if _, err := io.Copy(io.Discard, c); err != nil {
				b.Error(err)
			}
			c.Close()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "opens/s")
	b.ReportMetric(float64(r.links.Load()), "links")
}

// BenchmarkOpen opens, echoes one byte and closes.
func BenchmarkOpen(b *testing.B)   { benchOpens(b, 1) }
func BenchmarkOpen32(b *testing.B) { benchOpens(b, 16) }

// BenchmarkDirect is the same download without a tunnel, for comparison.
func BenchmarkDirect(b *testing.B) {
	const size = 64 << 20
	block := make([]byte, 1<<20)
	r := newTCPRig(b)
	addr := r.listen("127.0.0.1:0", func(c net.Conn) {
		for range size / len(block) {
			if _, err := c.Write(block); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.SetBytes(size)
	for b.Loop() {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, c, make([]byte, 64<<10)); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}
