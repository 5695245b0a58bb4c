package daemon

import (
	"context"
	"errors"
	"path/filepath"

	"sallyport.dev/internal/api"
	"sallyport.dev/internal/config"
	"sallyport.dev/internal/expr"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/flow/ftpio"
	"sallyport.dev/internal/flow/jetstream"
)

// startFlows opens the journal and runs the flows over it.
func (w *world) startFlows(ctx context.Context) error {
	if len(w.cfg.Flows) == 0 {
		return nil
	}
	flows := make([]flow.Flow, len(w.cfg.Flows))
	for i := range w.cfg.Flows {
		f, err := w.newFlow(&w.cfg.Flows[i])
		if err != nil {
			return fault.As(err, "flow %q", w.cfg.Flows[i].Name)
		}
		flows[i] = *f
	}
	journal, err := jetstream.Open(ctx, jetstream.Options{
		Dir: filepath.Join(w.cfg.State, "journal"), MinFree: int64(w.cfg.Journal.MinFree) << 20, Logger: w.log.With("part", "journal"),
	})
	if err != nil {
		return err
	}
	w.closers = append(w.closers, journal.Close)
	w.flows = &flow.Runner{Journal: journal, Flows: flows, Grace: w.opts.Grace / 2, Logger: w.log.With("part", "flow")}
	w.group.start(ctx, "flows", func(ctx context.Context) error {
		err := w.flows.Run(ctx)
		for _, p := range w.pools { // before the gateway goes, whose streams they keep open
			err = errors.Join(err, p.Close())
		}
		return err
	})
	for _, f := range flows {
		w.running(api.Part{Kind: "flow", Name: f.Name, State: "running"})
	}
	return nil
}

// newFlow turns a flow of the document into one that can run.
func (w *world) newFlow(cfg *config.Flow) (*flow.Flow, error) {
	f := &flow.Flow{
		Name: cfg.Name, Every: cfg.Source.Every, Concurrency: cfg.Concurrency,
		Retry: flow.Retry{Attempts: cfg.Retry.Attempts, First: cfg.Retry.First, Max: cfg.Retry.Max},
		Ready: flow.Ready{For: cfg.Source.Ready.For, MinAge: cfg.Source.Ready.Age},
	}
	var err error
	if f.Source, err = w.newSource(cfg); err != nil {
		return nil, fault.As(err, "source")
	}
	if f.Ready.When, err = flow.ParseWhen(string(cfg.Source.Ready.When)); err != nil {
		return nil, err
	}
	if cfg.Source.Filter != "" {
		if f.Filter, err = expr.ParseFilter(cfg.Source.Filter); err != nil {
			return nil, fault.As(err, "source.filter")
		}
	}
	if f.After.Do, err = flow.ParseAction(string(cfg.Source.After.Action)); err != nil {
		return nil, err
	}
	if f.After.Do == flow.Move {
		if f.After.To, err = expr.ParseTemplate(cfg.Source.After.Move); err != nil {
			return nil, fault.As(err, "source.after.move")
		}
	}
	for i, s := range cfg.Sinks {
		d, err := w.newDelivery(cfg, s)
		if err != nil {
			return nil, fault.As(err, "sinks[%d]", i)
		}
		f.Sinks = append(f.Sinks, d)
	}
	return f, nil
}

func (w *world) newSource(cfg *config.Flow) (flow.Source, error) {
	if l := cfg.Source.Local; l != nil {
		return &ftpio.LocalSource{Path: l.Path, Match: cfg.Source.Match}, nil
	}
	server, err := w.newServer(cfg, cfg.Source.FTP, cfg.Source.Directory)
	if err != nil {
		return nil, err
	}
	return &ftpio.FTPSource{FTPServer: server, Match: cfg.Source.Match}, nil
}

func (w *world) newDelivery(cfg *config.Flow, s config.Sink) (d flow.Delivery, err error) {
	var name string
	var existing config.Existing
	if l := s.Local; l != nil {
		name, existing = l.Name, l.Existing
		d.Sink = &ftpio.LocalSink{Path: l.Path}
	} else {
		name, existing = s.FTP.Name, s.FTP.Existing
		server, err := w.newServer(cfg, &s.FTP.FTPServer, s.FTP.Directory)
		if err != nil {
			return d, err
		}
		d.Sink = &ftpio.FTPSink{FTPServer: server}
	}
	if d.Existing, err = flow.ParseExisting(string(existing)); err != nil {
		return d, err
	}
	if name != "" {
		d.Name, err = expr.ParseTemplate(name)
	}
	return d, err
}

// newServer is a flow's end at an FTP server. Its name keeps servers apart that
// have one virtual name at different locations.
func (w *world) newServer(cfg *config.Flow, s *config.FTPServer, directory string) (ftpio.FTPServer, error) {
	pool, err := w.newPool(cfg, s)
	name := "ftp://" + s.User + "@" + s.Address.String()
	if s.Location != "" {
		name += " at " + s.Location
	}
	return ftpio.FTPServer{Pool: pool, Name: name, Directory: directory}, err
}
