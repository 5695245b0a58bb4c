package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"sallyport.dev/internal/fault"
)

// PortRange is a range of TCP ports, both ends included. Its zero value is no
// range.
type PortRange struct{ Low, High uint16 }

// IsZero reports whether there is no range.
func (r PortRange) IsZero() bool { return r == PortRange{} }

// Size returns how many ports are in r.
func (r PortRange) Size() int {
	if r.IsZero() {
		return 0
	}
	return int(r.High) - int(r.Low) + 1
}

// Contains reports whether port is in r.
func (r PortRange) Contains(port uint16) bool { return !r.IsZero() && r.Low <= port && port <= r.High }

// Overlaps reports whether r and s have a port in common.
func (r PortRange) Overlaps(s PortRange) bool {
	return !r.IsZero() && !s.IsZero() && r.Low <= s.High && s.Low <= r.High
}

// String returns "5000-5010", or "21" for a range of one port, or "".
func (r PortRange) String() string {
	switch {
	case r.IsZero():
		return ""
	case r.Low == r.High:
		return strconv.Itoa(int(r.Low))
	default:
		return fmt.Sprintf("%d-%d", r.Low, r.High)
	}
}

// MarshalText returns what [PortRange.String] returns.
func (r PortRange) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText parses "5000-5010" or "21". Port 0 is refused.
func (r *PortRange) UnmarshalText(b []byte) error {
	low, high, ranged := strings.Cut(string(b), "-")
	if !ranged {
		high = low
	}
	l, lok := parsePort(low)
	h, hok := parsePort(high)
	switch {
	case !lok || !hok || l == 0:
		return fault.New(fault.Invalid, "%s is no port or range of ports", quote(string(b))).
			WithHint("write one port or LOW-HIGH, each from 1 to 65535, such as 5000-5010")
	case l > h:
		return fault.New(fault.Invalid, "range %d-%d ends before it begins", l, h).WithHint("write %d-%d", h, l)
	}
	*r = PortRange{l, h}
	return nil
}

// parsePort reads a decimal port without sign or leading zeros.
func parsePort(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && strconv.FormatUint(n, 10) == s
}

// Address is a host and a port. An empty Host in an address to listen on means
// every address of this machine.
type Address struct {
	Host string
	Port uint16
}

// IsZero reports whether nothing is set.
func (a Address) IsZero() bool { return a == Address{} }

// String returns "host:port", with brackets around an IPv6 address, or "".
func (a Address) String() string {
	if a.IsZero() {
		return ""
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
}

// Loopback reports whether only programs on this machine can reach a listener on a.
func (a Address) Loopback() bool {
	if strings.EqualFold(a.Host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(a.Host)
	return err == nil && ip.Unmap().IsLoopback()
}

// MarshalText returns what [Address.String] returns.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText parses "host:port", "1.2.3.4:port", "[::1]:port" or ":port".
func (a *Address) UnmarshalText(b []byte) error {
	host, port, err := splitHostPort(string(b))
	if err != nil {
		return err
	}
	n, ok := parsePort(port)
	if !ok {
		return fault.New(fault.Invalid, "%s is no port", quote(port)).WithHint("write HOST:PORT with a port up to 65535")
	}
	*a = Address{host, n}
	return nil
}

// Endpoint is a host and one port or a range of them.
type Endpoint struct {
	Host  string
	Ports PortRange
}

// IsZero reports whether nothing is set.
func (e Endpoint) IsZero() bool { return e == Endpoint{} }

// String returns "host:21" or "host:5000-5010", with brackets around an IPv6
// address, or "".
func (e Endpoint) String() string {
	if e.IsZero() {
		return ""
	}
	return net.JoinHostPort(e.Host, e.Ports.String())
}

// MarshalText returns what [Endpoint.String] returns.
func (e Endpoint) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText parses "host:21" or "host:5000-5010"; the host must be there.
func (e *Endpoint) UnmarshalText(b []byte) error {
	host, ports, err := splitHostPort(string(b))
	if err != nil {
		return err
	}
	if host == "" {
		return fault.New(fault.Invalid, "%s names no host", quote(string(b))).WithHint("write HOST:PORT or HOST:LOW-HIGH")
	}
	var r PortRange
	if err := r.UnmarshalText([]byte(ports)); err != nil {
		return err
	}
	*e = Endpoint{host, r}
	return nil
}

// splitHostPort splits HOST:PORT and checks HOST: empty, an IP address, or a
// host name.
func splitHostPort(s string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(s)
	if err != nil {
		return "", "", fault.New(fault.Invalid, "%s is no HOST:PORT", quote(s)).
			WithHint("write the port after a colon, and an IPv6 address in brackets, such as [::1]:21")
	}
	if _, err := netip.ParseAddr(host); host != "" && err != nil && !hostName(host) {
		return "", "", fault.New(fault.Invalid, "%s is no host name and no IP address", quote(host)).
			WithHint("a name has letters, digits, '-', '_' and '.', no scheme and no path")
	}
	return host, port, nil
}

// hostName reports whether s can be a name of a host: labels of RFC 1123, with
// the underscore that Windows networks are full of. What looks like a mistyped
// IPv4 address (its last label is a number) is none.
func hostName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.Trim(l, hostBytes) != "" {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

const hostBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
