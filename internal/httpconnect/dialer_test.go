package httpconnect_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/httpconnect"
	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/secret"
)

// proxied dials through a proxy that answers as given, and returns what it was asked.
func proxied(t *testing.T, d httpconnect.Dialer, addr, answer string, then func(net.Conn)) (asked string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := &memnet.Network{}
		l, lerr := n.Listen(t.Context(), "tcp", "127.0.0.1:3128")
		if lerr != nil {
			t.Fatal(lerr)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return // nobody came
			}
			defer c.Close()
			for r := bufio.NewReader(c); !strings.HasSuffix(asked, "\r\n\r\n"); {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				asked += line
			}
			_, _ = io.WriteString(c, answer) // the dialer may have gone
			if answer == "" {
				_, _ = io.Copy(io.Discard, c)
			}
		}()
		d.Dial, d.Proxy = n.Dial, "127.0.0.1:3128"
		var c net.Conn
		if c, err = d.DialContext(t.Context(), "tcp", addr); err == nil {
			then(c)
			_ = c.Close() // the test is over
		}
		_ = l.Close() // as above
		<-done
	})
	return asked, err
}

func TestDial(t *testing.T) {
	var got string
	asked, err := proxied(t, httpconnect.Dialer{User: "me", Password: secret.New("s3:cret")}, "ftp-erp:21",
		"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n220 welcome\r\n", func(c net.Conn) {
			b, _ := io.ReadAll(c)
			got = string(b)
		})
	if err != nil || got != "220 welcome\r\n" {
		t.Errorf("got %q, %v", got, err)
	}
	want := "CONNECT ftp-erp:21 HTTP/1.1\r\nHost: ftp-erp:21\r\nProxy-Authorization: Basic " +
		base64.StdEncoding.EncodeToString([]byte("me:s3:cret")) + "\r\n\r\n"
	if asked != want {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

func TestRefusals(t *testing.T) {
	for answer, kind := range map[string]fault.Kind{
		"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno": fault.Unauthenticated,
		"HTTP/1.0 403 Forbidden\r\n\r\n":                      fault.Denied,
		"HTTP/1.1 502 Bad Gateway\r\n\r\n":                    fault.Unreachable,
		"HTTP/1.1 503 Service Unavailable\r\n\r\n":            fault.Busy,
		"HTTP/1.1 504 Gateway Timeout\r\n\r\n":                fault.TimedOut,
		"SSH-2.0-OpenSSH\r\n\r\n":                             fault.Invalid,
		"HTTP/1.1 2":                                          fault.Unreachable,
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<15): fault.Invalid,
		"": fault.TimedOut,
	} {
		_, err := proxied(t, httpconnect.Dialer{Timeout: 5 * time.Second}, "h:21", answer, func(net.Conn) { t.Error("it was opened") })
		if fault.KindOf(err) != kind || answer != "" && fault.KindOf(err) != fault.Invalid && fault.HintOf(err) == "" {
			t.Errorf("%.40q: got %v (%v)", answer, err, fault.KindOf(err))
		}
		if err != nil && strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("not quoted: %q", err)
		}
	}
}

func TestAddresses(t *testing.T) {
	d := httpconnect.Dialer{Proxy: "p:1", Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("it was dialled")
		return nil, io.EOF
	}}
	for _, addr := range []string{"h", "h:0", "h:x", ":21", "a b:21", "a\r\nX: y:21", "u@h:21", "h/:21"} {
		if _, err := d.DialContext(t.Context(), "tcp", addr); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", addr, err)
		}
	}
	if _, err := d.DialContext(t.Context(), "udp", "h:1"); fault.KindOf(err) != fault.Unsupported {
		t.Errorf("udp: %v", err)
	}
}
