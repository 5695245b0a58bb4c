package ftpserver_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sallyport.dev/internal/ftp"
)

// The benchmarks measure the server together with a simple client in the same
// process, both sharing the cores: figures to compare with their own yesterday,
// not with other servers.

// BenchmarkSmallFiles moves 1 KiB files one by one over one control connection.
func BenchmarkSmallFiles(b *testing.B) {
	content := strings.Repeat("x", 1<<10)
	run := func(b *testing.B, transfer func(c *client, i int)) {
		s := newSite(b, nil, nil)
		s.write("f", content)
		c := s.login()
		b.ResetTimer()
		for i := range b.N {
			transfer(c, i)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "files/s")
	}
	buf := make([]byte, 4<<10)
	b.Run("RETR", func(b *testing.B) {
		run(b, func(c *client, _ int) {
			data := c.epsvFast()
			c.send("RETR f\r\n")
			c.want("", 150)
			n := 0
			for {
				m, err := data.Read(buf)
				n += m
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			if n != len(content) {
				b.Fatalf("got %d bytes", n)
			}
			if err := data.Close(); err != nil {
				b.Fatal(err)
			}
			c.want("", 226)
		})
	})
	b.Run("STOR", func(b *testing.B) {
		run(b, func(c *client, i int) {
			data := c.epsvFast()
			c.send("STOR f" + strconv.Itoa(i%2000) + "\r\n")
			c.want("", 150)
			if _, err := io.WriteString(data, content); err != nil {
				b.Fatal(err)
			}
			if err := data.Close(); err != nil {
				b.Fatal(err)
			}
			c.want("", 226)
		})
	})
}

// epsvFast is epsv without what tests keep of each connection.
func (c *client) epsvFast() net.Conn {
	port, err := ftp.ParseEpsvReply(c.want("EPSV", 229))
	if err != nil {
		c.t.Fatal(err)
	}
	conn, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)})
	if err != nil {
		c.t.Fatal(err)
	}
	return conn
}

// BenchmarkPlain moves 256 MiB in one file.
func BenchmarkPlain(b *testing.B) {
	const size = 256 << 20
	b.Run("RETR", func(b *testing.B) {
		s := newSite(b, nil, nil)
		if err := os.WriteFile(filepath.Join(s.dir, "f"), bytes.Repeat([]byte("x"), size), 0o600); err != nil {
			b.Fatal(err)
		}
		c := s.login()
		b.SetBytes(size)
		for b.Loop() {
			data := c.epsvFast()
			c.want("RETR f", 150)
			n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{data}, make([]byte, 256<<10))
			if err = errors.Join(err, data.Close()); err != nil || n != size {
				b.Fatal(n, err)
			}
			c.want("", 226)
		}
	})
	b.Run("STOR", func(b *testing.B) {
		s := newSite(b, nil, nil)
		c := s.login()
		chunk := bytes.Repeat([]byte("x"), 1<<20)
		b.SetBytes(size)
		for b.Loop() {
			data := c.epsvFast()
			c.want("STOR f", 150)
			for range size / len(chunk) {
				if _, err := data.Write(chunk); err != nil {
					b.Fatal(err)
				}
			}
			if err := data.Close(); err != nil {
				b.Fatal(err)
			}
			c.want("", 226)
		}
	})
}

// BenchmarkMLSD lists 100,000 entries.
func BenchmarkMLSD(b *testing.B) {
	s := newSite(b, nil, nil)
	for i := range 100_000 {
		if err := os.WriteFile(filepath.Join(s.dir, "file-"+strconv.Itoa(i)), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	c := s.login()
	for b.Loop() {
		data := c.epsvFast()
		c.want("MLSD", 150)
		b1, err := io.ReadAll(data)
		if err = errors.Join(err, data.Close()); err != nil || bytes.Count(b1, []byte("\n")) != 100_000 {
			b.Fatal(len(b1), err)
		}
		c.want("", 226)
	}
}
