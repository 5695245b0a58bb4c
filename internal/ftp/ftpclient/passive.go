package ftpclient

import (
	"context"
	"log/slog"
	"net"
	"strconv"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// passive asks for a data port and connects to it: by EPSV, and from the server's
// first refusal on by PASV. The server is listening for what comes next.
func (c *Conn) passive(ctx context.Context) (net.Conn, error) {
	port, err := c.passivePort(ctx)
	if err != nil {
		return nil, err
	}
	dialCtx, cancel := context.WithTimeout(ctx, c.cfg.Timeouts.Dial)
	defer cancel()
	addr := net.JoinHostPort(c.host, strconv.Itoa(int(port)))
	data, err := c.cfg.Dial(dialCtx, "tcp", addr)
	if err != nil {
		e := fault.As(err, "open data connection to %s, which the server announced", addr)
		if fault.HintOf(err) == "" { // who dialled may know more
			e = e.WithHint("the server's data ports must be reachable from here: its passive port range, in every firewall between")
		}
		return nil, e
	}
	return data, nil
}

func (c *Conn) passivePort(ctx context.Context) (uint16, error) {
	if !c.noEPSV {
		r, err := c.do(ctx, ftp.Command{Verb: "EPSV"}, ftp.CodeExtendedPassive)
		if err == nil {
			var port uint16
			if port, err = ftp.ParseEpsvReply(r); err == nil {
				return port, nil
			}
		} else if !r.Code.Permanent() || c.broken != nil {
			return 0, err
		}
		c.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "EPSV does not work, using PASV", slog.String("server", c.cfg.Addr), slog.Any("error", err))
		c.noEPSV = true
	}
	r, err := c.do(ctx, ftp.Command{Verb: "PASV"}, ftp.CodePassive)
	if err != nil {
		return 0, err
	}
	// The address is not used: it is wrong behind NAT, and a malicious server
	// could point it at somebody else.
	ap, err := ftp.ParsePasvReply(r)
	return ap.Port(), err
}
