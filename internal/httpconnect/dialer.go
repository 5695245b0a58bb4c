// Package httpconnect opens connections through HTTP proxies, by their CONNECT method
// (RFC 9110 section 9.3.6). [Dialer] is all of it; it is no HTTP client otherwise.
package httpconnect

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/secret"
)

// maxHead bounds what a proxy may say before the connection is open, in bytes.
const maxHead = 16 << 10

// Dialer opens connections through an HTTP proxy. Names go to the proxy unresolved.
type Dialer struct {
	Dial     netx.DialFunc // opens the connection to the proxy; nil: the operating system's
	Proxy    string        // host:port
	User     string        // empty: no authentication; else Basic (RFC 7617)
	Password secret.Text
	Timeout  time.Duration // for the proxy's answer; 0: 60 s. The context counts too
}

// DialContext opens a connection to addr ("host:port") through the proxy. It is a
// [netx.DialFunc]. What the proxy refuses comes back as a fault with a hint.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, fault.New(fault.Unsupported, "an HTTP proxy cannot dial network %q", network)
	}
	if err := checkAddr(addr); err != nil {
		return nil, err
	}
	dial := d.Dial
	if dial == nil {
		dial = netx.System{}.Dial
	}
	ctx, cancel := context.WithTimeoutCause(ctx, cmp.Or(d.Timeout, time.Minute), fault.New(fault.TimedOut, "the proxy does not answer"))
	defer cancel()
	conn, err := dial(ctx, "tcp", d.Proxy)
	if err != nil {
		return nil, fault.As(err, "connect to HTTP proxy %s", d.Proxy).WithHint("is the proxy's address right?")
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // fails on a closed connection only
	err = d.connect(conn, addr)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err == nil {
		return conn, nil
	}
	if f := (*fault.Error)(nil); !errors.As(err, &f) {
		err = fault.As(err, "ask HTTP proxy %s for %s", d.Proxy, addr).WithHint("the proxy closed the connection or speaks another protocol")
	}
	_ = conn.Close() // the reason is in err
	return nil, err
}

var _ netx.DialFunc = (*Dialer)(nil).DialContext

// checkAddr refuses what could become something else than one address in a request.
func checkAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || host == "" || perr != nil || n == 0 ||
		strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`/@?#\"<>`, r) }) {
		return fault.New(fault.Invalid, "address %.200q is not host:port", addr).WithHint("write host:port")
	}
	return nil
}

// connect asks for addr. It reads nothing beyond the proxy's answer.
func (d *Dialer) connect(conn net.Conn, addr string) error {
	var req bytes.Buffer
	req.WriteString("CONNECT " + addr + " HTTP/1.1\r\nHost: " + addr + "\r\n")
	if d.User != "" {
		credentials := base64.StdEncoding.EncodeToString([]byte(d.User + ":" + d.Password.Reveal()))
		req.WriteString("Proxy-Authorization: Basic " + credentials + "\r\n")
	}
	req.WriteString("\r\n")
	_, err := conn.Write(req.Bytes())
	clear(req.Bytes())
	if err != nil {
		return err
	}
	head, err := readHead(conn)
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return fault.New(fault.Invalid, "%s is no HTTP proxy: it answered %.100q", d.Proxy, head)
	}
	_ = resp.Body.Close() // of what is in memory
	if resp.StatusCode/100 == 2 {
		return nil
	}
	return d.refused(resp, addr)
}

// refused says what a status means.
func (d *Dialer) refused(resp *http.Response, addr string) error {
	kind, hint := fault.Unreachable, "the proxy does not reach it"
	switch resp.StatusCode {
	case http.StatusProxyAuthRequired:
		kind, hint = fault.Unauthenticated, "give the proxy's user and password"
		if d.User != "" {
			hint = "check the proxy's user and password; Basic is the one way to log in that is spoken here"
		}
	case http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusUnavailableForLegalReasons:
		kind, hint = fault.Denied, "the proxy must allow CONNECT to this host, to the control port and to the server's data ports; many allow port 443 alone"
	case http.StatusBadRequest, http.StatusNotImplemented:
		kind, hint = fault.Unsupported, "it may be no proxy, or not for CONNECT"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		kind, hint = fault.Busy, "the proxy has too much to do"
	case http.StatusGatewayTimeout:
		kind = fault.TimedOut
	}
	return fault.New(kind, "HTTP proxy %s refuses %s: %.100q", d.Proxy, addr, resp.Status).WithHint("%s", hint)
}

// readHead reads up to the empty line, byte by byte: what follows is the server's.
func readHead(r io.Reader) ([]byte, error) {
	head := make([]byte, 0, 512)
	var b [1]byte
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) && !bytes.HasSuffix(head, []byte("\n\n")) {
		if len(head) == maxHead {
			return nil, fault.New(fault.Invalid, "the proxy's answer has no end within %d bytes", maxHead)
		}
		if _, err := io.ReadFull(r, b[:]); err != nil {
			if errors.Is(err, io.EOF) && len(head) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		head = append(head, b[0])
	}
	return head, nil
}
