package daemon

import (
	"log/slog"
	"slices"

	"sallyport.dev/internal/config"
	"sallyport.dev/internal/ftp/ftplog"
)

// openRecord opens the log of what a site's clients do; nil if it has none.
func openRecord(cfg config.Site, log *slog.Logger) (*ftplog.Log, error) {
	c := cfg.Log
	if c == nil {
		return nil, nil
	}
	o := ftplog.Options{
		Path: c.File, Format: string(c.Format), Site: cfg.Name, Logger: log,
		Kinds: ftplog.Kinds{
			Commands:       slices.Contains(c.Events, config.LogCommands),
			Transfers:      slices.Contains(c.Events, config.LogTransfers),
			Infrastructure: slices.Contains(c.Events, config.LogInfrastructure),
		},
	}
	if c.Rotate != config.LogNever {
		o.MaxSize, o.Daily, o.Keep = int64(c.Size)<<20, c.Rotate == config.LogDaily, c.Keep
	}
	return ftplog.Open(o)
}
