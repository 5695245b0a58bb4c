//go:build unix

package daemon

import (
	"net"

	"github.com/coreos/go-systemd/v22/activation"

	"sallyport.dev/internal/fault"
)

// Inherited returns the listening sockets that this process was started with, as
// systemd hands them over (sd_listen_fds(3)): the environment's LISTEN_FDS of them,
// from descriptor 3 on. It takes them out of the environment.
func Inherited() ([]net.Listener, error) {
	all, err := activation.Listeners()
	if err != nil {
		return nil, fault.As(err, "take sockets over")
	}
	for i, l := range all {
		if l == nil {
			return nil, fault.New(fault.Invalid, "descriptor %d, handed over by LISTEN_FDS, is no listening socket", 3+i).
				WithHint("a socket unit for this program has ListenStream= alone")
		}
	}
	return all, nil
}
