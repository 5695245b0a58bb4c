package daemon

import (
	"errors"
	"net"
	"net/netip"
	"slices"

	"sallyport.dev/internal/fault"
)

// inheritance is the sockets that whoever started the process had opened for it.
// They let an FTP server be on port 21 that has no right to open it.
type inheritance struct {
	left []net.Listener
}

// take returns the socket that listens at addr, nil if there is none: the port must
// be the same, and the address, or one of the two is any address.
func (i *inheritance) take(addr string) net.Listener {
	want, err := netip.ParseAddrPort(addr)
	if err != nil {
		host, port, serr := net.SplitHostPort(addr)
		if serr != nil || host != "" {
			return nil // a name: which of its addresses is meant is not ours to say
		}
		if want, err = netip.ParseAddrPort("0.0.0.0:" + port); err != nil {
			return nil
		}
	}
	at := slices.IndexFunc(i.left, func(l net.Listener) bool {
		has, err := netip.ParseAddrPort(l.Addr().String())
		if err != nil || want.Port() == 0 || has.Port() != want.Port() {
			return false
		}
		a, b := has.Addr().Unmap(), want.Addr().Unmap()
		return a == b || a.IsUnspecified() || b.IsUnspecified()
	})
	if at < 0 {
		return nil
	}
	l := i.left[at]
	i.left = slices.Delete(i.left, at, at+1)
	return l
}

// close closes the sockets that no part took, and says which: nobody would ever
// answer there.
func (i *inheritance) close() error {
	var err error
	for _, l := range i.left {
		err = errors.Join(err, fault.New(fault.Invalid, "a socket was handed over for %s, where no part listens", l.Addr()).
			WithHint("write that address at a site's listen, or take it out of the socket unit"), l.Close())
	}
	i.left = nil
	return err
}
