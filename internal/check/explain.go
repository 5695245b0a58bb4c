package check

import (
	"errors"
	"net"
	"strings"

	"sallyport.dev/internal/fault"
)

// dataError marks an error of a data connection that has been reported.
type dataError struct{ err error }

func (e *dataError) Error() string { return e.err.Error() }
func (e *dataError) Unwrap() error { return e.err }

// isDial reports whether err came from opening the data connection.
func isDial(err error) bool {
	var d *dataError
	return errors.As(err, &d)
}

// explain adds what the person can do to an error of the control connection,
// unless somebody who knew more has said so already.
func (w *walk) explain(err error) error {
	if fault.HintOf(err) != "" {
		return err
	}
	hint := ""
	switch kind := fault.KindOf(err); {
	case kind == fault.Unreachable && w.Via == "" && strings.Contains(err.Error(), "refused"):
		hint = "the host is there and nothing listens on that port: is the FTP server running, on this port?"
	case kind == fault.TimedOut && w.Via == "":
		hint = "nothing answered: a firewall between drops the packets, or the address is wrong; a server inside a closed network is reached by --location"
	case kind == fault.Unreachable && w.Via == "":
		hint = "is this machine allowed to reach it? A server inside a closed network is reached by --location"
	case kind == fault.TimedOut || kind == fault.Unreachable:
		hint = "the way as far as the connector is fine: can the connector's machine reach the internal address of this mapping?"
	case kind == fault.Unauthenticated || kind == fault.Denied:
		hint = "check user and password (--password-file)"
	default:
		return err
	}
	return fault.As(err, "").WithHint("%s", hint)
}

// explainData does so for a data connection, where port ranges go wrong.
func (w *walk) explainData(err error, addr string) error {
	if err == nil {
		return nil
	}
	if fault.HintOf(err) != "" {
		return err
	}
	_, port, splitErr := net.SplitHostPort(addr)
	if splitErr != nil {
		port = addr
	}
	hint := "the login works and the data port does not: the server's passive range must be open in the firewall between; through a connector with protocol=ftp none needs to be"
	if w.Via != "" {
		hint = "the server announced port " + port + ": give the mapping protocol=ftp, so that the connector opens the port by itself, or data_ports for a conversation it cannot read"
	}
	return fault.As(err, "").WithHint("%s", hint)
}
