package daemon

import (
	"context"
	"errors"
	"io/fs"

	"sallyport.dev/internal/api"
	"sallyport.dev/internal/connector"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel/enroll"
)

func (w *world) startConnector(ctx context.Context) error {
	cfg := w.cfg.Connector
	if cfg == nil {
		return nil
	}
	creds, err := w.credentials(ctx)
	if err != nil {
		return err
	}
	w.closers = append(w.closers, creds.Close)
	who := creds.Identity()
	if cfg.Location != "" && cfg.Location != who.Location {
		return fault.New(fault.Invalid, "the document says location %q and the certificate in %s says %q", cfg.Location, w.cfg.State, who.Location).
			WithHint("change connector.location, or join for %q with a new token and an empty state folder", cfg.Location)
	}
	c := &connector.Connector{
		Credentials: creds, Software: w.opts.Version, Grace: w.opts.Grace / 4, Logger: w.log.With("part", "connector"),
		OnConnect: func(gateway string) {
			if w.opts.Connected != nil {
				w.opts.Connected(gateway, who.Location)
			}
		},
	}
	for _, g := range cfg.Gateways {
		c.Gateways = append(c.Gateways, g.String())
	}
	for _, m := range cfg.Mappings {
		c.Mappings = append(c.Mappings, connector.Mapping{
			Virtual: m.Virtual.String(), Internal: m.Internal.String(),
			Protocol: string(m.Protocol), DataPorts: m.DataPorts.String(),
		})
	}
	if _, err := c.Check(); err != nil { // its warnings are logged by Run
		return err
	}
	w.group.start(ctx, "connector", c.Run)
	w.running(api.Part{Kind: "connector", Name: who.Location, State: "running"})
	return nil
}

// credentials opens the connector's certificate, or joins for one with the
// document's token if the state folder has none.
func (w *world) credentials(ctx context.Context) (*enroll.Credentials, error) {
	creds, err := enroll.OpenCredentials(w.cfg.State)
	token := w.cfg.Connector.Token
	if !errors.Is(err, fs.ErrNotExist) || token.IsZero() {
		return creds, err
	}
	text, err := token.Resolve()
	if err != nil {
		return nil, fault.As(err, "read connector.token")
	}
	t, err := enroll.ParseToken(text.Reveal())
	if err != nil {
		return nil, fault.As(err, "read connector.token")
	}
	return enroll.Join(ctx, w.opts.Network.Dial, t, w.cfg.State)
}
