package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"sallyport.dev/internal/fault"
)

// upgradeProtocol names what a dialled socket carries after its 101.
const upgradeProtocol = "sallyport-stream/1"

// Client asks the part that runs in a state folder.
type Client struct {
	// Dir is the state folder.
	Dir string
}

// Status asks what the process is and does.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, c, http.MethodGet, "/v1/status")
}

// Connectors asks a gateway for its connectors.
func (c *Client) Connectors(ctx context.Context) ([]Connector, error) {
	return ask[[]Connector](ctx, c, http.MethodGet, "/v1/connectors")
}

// Streams asks a gateway for the connections in progress.
func (c *Client) Streams(ctx context.Context) ([]Stream, error) {
	return ask[[]Stream](ctx, c, http.MethodGet, "/v1/streams")
}

// Sessions asks for the sessions of programs with SOCKS5 servers and sites.
func (c *Client) Sessions(ctx context.Context) ([]Session, error) {
	return ask[[]Session](ctx, c, http.MethodGet, "/v1/sessions")
}

// ask asks path and decodes the answer, bounded by [MaxBody] and a minute.
func ask[T any](ctx context.Context, c *Client, method, path string) (T, error) {
	var v T
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tr := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dialSocket(ctx, c.Dir) },
		DisableKeepAlives: true,
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://part"+path, nil)
	if err != nil {
		return v, err
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		return v, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return v, problemOf(res)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, MaxBody)).Decode(&v); err != nil {
		return v, fault.As(err, "read the running part's answer to %s", path)
	}
	return v, nil
}

func problemOf(res *http.Response) error {
	var p Problem
	if err := json.NewDecoder(io.LimitReader(res.Body, MaxBody)).Decode(&p); err != nil || p.Text == "" {
		return fault.New(fault.Unsupported, "the running part answered %s", res.Status).
			WithHint("it may be of another version: restart it")
	}
	return p.Err()
}

// Dial opens a connection to req.Address at req.Location through the running
// part. The context bounds the opening alone. The connection has half-close and
// reset; one that is cut anywhere on its way reads as an error, never as an end.
func (c *Client) Dial(ctx context.Context, req DialRequest) (net.Conn, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	conn, err := dialSocket(ctx, c.Dir)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // wakes what waits below
	br := bufio.NewReader(conn)
	err = c.upgrade(ctx, conn, br, body)
	if !stop() {
		err = context.Cause(ctx) // whatever broke off because of it
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return newStream(conn, br), nil
}

func (c *Client) upgrade(ctx context.Context, conn net.Conn, br *bufio.Reader, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://part/v1/dial", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", upgradeProtocol)
	if err := req.Write(conn); err != nil {
		return fault.As(err, "ask the running part to dial")
	}
	res, err := http.ReadResponse(br, req)
	if err != nil {
		return fault.As(err, "read the running part's answer")
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		defer res.Body.Close()
		return problemOf(res)
	}
	return nil
}

// DialFunc returns a netx.DialFunc that dials by location through the running part.
func (c *Client) DialFunc(location string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if network != "tcp" {
			return nil, fault.New(fault.Unsupported, "the tunnel carries tcp, not %q", network)
		}
		return c.Dial(ctx, DialRequest{Location: location, Address: addr})
	}
}
