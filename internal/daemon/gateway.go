package daemon

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"sallyport.dev/internal/api"
	"sallyport.dev/internal/config"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/gateway"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/socks5"
	"sallyport.dev/internal/tunnel/enroll"
)

func (w *world) startGateway(ctx context.Context) error {
	cfg := w.cfg.Gateway
	if cfg == nil {
		return nil
	}
	authority, err := enroll.OpenAuthority(w.cfg.State, time.Now)
	if err != nil {
		return err
	}
	authority.Logger = w.log.With("part", "gateway")
	w.closers = append(w.closers, authority.Close)
	g := &gateway.Gateway{Authority: authority, Logger: w.log.With("part", "gateway"), Software: w.opts.Version}
	l, err := w.listen(ctx, "the gateway", cfg.Listen.String())
	if err != nil {
		return err
	}
	if err := notePublic(w.cfg.State, cfg.Public); err != nil {
		return errors.Join(err, l.Close())
	}
	w.gateway = g
	w.group.start(ctx, "gateway", func(ctx context.Context) error {
		return serve(ctx, g, l, w.opts.Grace/4, gateway.ErrServerClosed)
	})
	w.running(api.Part{Kind: "gateway", Address: l.Addr().String(), State: "running"})
	return nil
}

// publicFile keeps, in the state folder, the address that join tokens carry, so
// that a token can be made without the document.
const publicFile = "public"

func notePublic(state string, public config.Address) error {
	path := filepath.Join(state, publicFile)
	if public.IsZero() {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fault.As(err, "forget the gateway's public address")
		}
		return nil
	}
	if err := os.WriteFile(path, []byte(public.String()+"\n"), 0o600); err != nil {
		return fault.As(err, "note the gateway's public address")
	}
	return nil
}

// PublicAddress returns the address that tokens of the gateway in the state folder
// carry, as gateway.public of its document said when it last ran; "" if it said none.
func PublicAddress(state string) (string, error) {
	text, err := os.ReadFile(filepath.Join(state, publicFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fault.As(err, "read the gateway's public address")
	}
	var a config.Address
	if err := a.UnmarshalText(bytes.TrimSpace(text)); err != nil {
		return "", fault.As(err, "read the gateway's public address in %q", state)
	}
	return a.String(), nil
}

func (w *world) startSOCKS(ctx context.Context) error {
	if w.cfg.Gateway == nil || w.cfg.Gateway.SOCKS == nil {
		return nil
	}
	cfg := w.cfg.Gateway.SOCKS
	s := &socks5.Server{Dial: w.dialSOCKS, Logger: w.log.With("part", "socks5")}
	if len(cfg.Allow) == 0 {
		if !cfg.Listen.Loopback() {
			return fault.New(fault.Invalid, "a SOCKS5 listener on %s without accounts would be open to everybody who reaches it", cfg.Listen).
				WithHint("listen on loopback, or name in gateway.socks.allow who may use it")
		}
		s.Anonymous = anonymousSOCKS
	} else {
		s.Authenticate = w.authenticateSOCKS(cfg)
	}
	l, err := w.listen(ctx, "SOCKS5", cfg.Listen.String())
	if err != nil {
		return err
	}
	w.socks = s
	w.group.start(ctx, "socks5", func(ctx context.Context) error {
		return serve(ctx, s, l, w.opts.Grace/4, socks5.ErrServerClosed)
	})
	w.running(api.Part{Kind: "socks5", Address: l.Addr().String(), State: "running"})
	return nil
}

// anonymousSOCKS lets programs on this machine in; each source address is one
// principal.
func anonymousSOCKS(client netip.AddrPort) (string, bool) {
	a := client.Addr().Unmap()
	return "addr:" + a.String(), a.IsLoopback()
}

// authenticateSOCKS asks the accounts, then whether the listener allows the user.
// A user name may carry the location to reach: name@location.
func (w *world) authenticateSOCKS(cfg *config.SOCKS) func(context.Context, string, secret.Text, netip.AddrPort) (string, error) {
	return func(ctx context.Context, user string, password secret.Text, _ netip.AddrPort) (string, error) {
		name, _ := splitLocation(user)
		if err := w.store().Authenticate(ctx, name, password); err != nil {
			return "", err
		}
		if !w.store().Allows(cfg.Allow, name) {
			return "", fault.New(fault.Denied, "account %q may not use this proxy", name).
				WithHint("name it, or a group of it, in gateway.socks.allow")
		}
		return "user:" + name, nil
	}
}

// dialSOCKS opens what a SOCKS5 client asks for.
func (w *world) dialSOCKS(ctx context.Context, r socks5.Request) (net.Conn, error) {
	_, location := splitLocation(r.User)
	return w.gateway.DialVia(r.Principal, location)(ctx, "tcp", r.Address.String())
}

// splitLocation splits name@location at the last @.
func splitLocation(user string) (name, location string) {
	for i := len(user) - 1; i >= 0; i-- {
		if user[i] == '@' {
			return user[:i], user[i+1:]
		}
	}
	return user, ""
}

var errNoGateway = errors.New("no gateway in this process")

// dialLocation is how flows and the owner reach a location.
func (w *world) dialLocation(principal, location string) (func(context.Context, string, string) (net.Conn, error), error) {
	if w.gateway == nil {
		return nil, fault.Wrap(fault.Invalid, errNoGateway, "location %q cannot be reached", location).
			WithHint("run the flow in the process that plays the gateway: put both into one document")
	}
	return w.gateway.DialVia(principal, location), nil
}
