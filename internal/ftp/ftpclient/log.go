package ftpclient

import (
	"log/slog"
)

// levelFallback is for what went another way than the first choice.
const levelFallback = slog.LevelDebug

func attrServer(c *Conn) slog.Attr  { return slog.String("server", c.cfg.Addr) }
func attrError(err error) slog.Attr { return slog.Any("error", err) }
