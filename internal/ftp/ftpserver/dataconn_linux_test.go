package ftpserver

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"
)

// dataPair is a data connection as a passive port hands it out, and its client's end.
func dataPair(t testing.TB) (*dataConn, *net.TCPConn) {
	t.Helper()
	l, err := listenSystem(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err = errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = client.Close(), conn.Close() // some tests close them
	})
	if got, want := conn.RemoteAddr().String(), client.LocalAddr().String(); got != want {
		t.Errorf("peer: got %s, want %s", got, want)
	}
	return conn.(*dataConn), client.(*net.TCPConn)
}

func TestDataConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := dataPair(t)
		return a, b, func() { _, _ = a.Close(), b.Close() }, nil
	})
}

// A closed listener gives no connection and its Accept ends.
func TestDataListenerCloses(t *testing.T) {
	l, err := listenSystem(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: got %v, want net.ErrClosed", err)
	}
	if conn := l.(*dataListener).acceptNow(); conn != nil {
		t.Errorf("got %v of a closed listener", conn)
	}
}

// Reset is seen as such, before and after the poller has the socket.
func TestDataConnReset(t *testing.T) {
	for _, polled := range []bool{false, true} {
		conn, client := dataPair(t)
		if polled {
			if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		if err := conn.Reset(); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("polled %t: got %v, want it reset", polled, err)
		}
		if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("polled %t: write after: got %v, want net.ErrClosed", polled, err)
		}
	}
}

// What is less than an upload gathers is stored when the deadline passes, and an
// upload that stands still fails then.
func TestReceiveLittle(t *testing.T) {
	conn, client := dataPair(t)
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	receive := func(want string, wantErr error) {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.receiveFile(f, chunk)
		if n != int64(len(want)) || !errors.Is(err, wantErr) {
			t.Errorf("got %d, %v, want %d, %v", n, err, len(want), wantErr)
		}
	}
	receive("", os.ErrDeadlineExceeded)
	if _, err := client.Write([]byte("little")); err != nil {
		t.Fatal(err)
	}
	receive("little", os.ErrDeadlineExceeded)
	receive("", os.ErrDeadlineExceeded)
	if _, err := client.Write([]byte(" more")); err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	receive(" more", io.EOF)
	if b, err := os.ReadFile(f.Name()); err != nil || string(b) != "little more" {
		t.Errorf("got %q, %v", b, err)
	}
}

// A file larger than the socket takes at once goes whole, in pieces.
func TestSendWhole(t *testing.T) {
	conn, client := dataPair(t)
	content := make([]byte, 8<<20)
	_, _ = rand.Read(content)
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	now, err := conn.sendNow(f, int64(len(content)))
	if err != nil || now == 0 || now == int64(len(content)) {
		t.Fatalf("at once: got %d, %v, want some of it", now, err)
	}
	received := make(chan []byte, 1)
	go func() {
		b, err := io.ReadAll(client)
		if err != nil {
			t.Error(err)
		}
		received <- b
	}()
	n, err := conn.sendFile(f, int64(len(content)))
	if n != int64(len(content))-now || !errors.Is(err, io.EOF) {
		t.Errorf("the rest: got %d, %v, want %d, EOF", n, err, int64(len(content))-now)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-received; !bytes.Equal(got, content) {
		t.Errorf("got %d other bytes", len(got))
	}
}

// File systems without splice get their bytes through memory.
func TestStoreSlowly(t *testing.T) {
	p, err := takePipe()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if _, err := syscall.Write(p.w, []byte("content")); err != nil {
		t.Fatal(err)
	}
	// Splice refuses what is open to append.
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "f"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := p.store(int(f.Fd()), len("content")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(f.Name()); err != nil || string(b) != "content" {
		t.Errorf("got %q, %v", b, err)
	}
}
