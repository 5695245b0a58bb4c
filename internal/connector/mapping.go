package connector

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel"
	"sallyport.dev/internal/tunnel/frame"
)

// Mapping exposes an internal host under a virtual name, as a document writes it.
type Mapping struct {
	Virtual   string // host:port or host:first-last
	Internal  string // host:port or host:first-last, as many ports
	Protocol  string // "tcp" (also if empty) or "ftp"
	DataPorts string // first-last: short for a second tcp mapping of that range
}

// String returns the mapping as --expose takes it.
func (m Mapping) String() string {
	s := m.Virtual + "=" + m.Internal
	if m.Protocol != "" {
		s += ",protocol=" + m.Protocol
	}
	if m.DataPorts != "" {
		s += ",data_ports=" + m.DataPorts
	}
	return s
}

const exposeForm = "write VIRTUAL:PORT=HOST:PORT[,protocol=ftp][,data_ports=5000-5010], such as ftp-erp:21=10.0.0.5:21,protocol=ftp"

// ParseExpose parses what follows --expose:
// VIRTUAL:PORT=HOST:PORT[,protocol=tcp|ftp][,data_ports=FIRST-LAST].
func ParseExpose(s string) (Mapping, error) {
	head, options, _ := strings.Cut(s, ",")
	virtual, internal, ok := strings.Cut(head, "=")
	if !ok {
		return Mapping{}, fault.New(fault.Invalid, "mapping %.300q has no =", s).WithHint(exposeForm)
	}
	m := Mapping{Virtual: virtual, Internal: internal}
	for options != "" {
		var option string
		option, options, _ = strings.Cut(options, ",")
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "protocol":
			m.Protocol = value
		case "data_ports":
			m.DataPorts = value
		case "ftps":
			return Mapping{}, errFTPS("ftps=" + value)
		default:
			return Mapping{}, fault.New(fault.Invalid, "mapping %.300q has an unknown option %.100q", s, option).
				WithHint("options are protocol and data_ports; %s", exposeForm)
		}
	}
	if _, err := m.rules(); err != nil {
		return Mapping{}, err
	}
	return m, nil
}

// errFTPS refuses what comes later in words that name what works today.
func errFTPS(what string) *fault.Error {
	return fault.New(fault.Unsupported, "%.100q of a mapping is not served yet", what).
		WithHint("expose the server with protocol tcp and data_ports set to its passive range: FTPS passes through unread")
}

// rule is one compiled mapping: a virtual host with a range of ports.
type rule struct {
	frame.Mapping            // the virtual side, which gateways are told
	host          string     // internal name; empty if addr is valid
	addr          netip.Addr // internal literal address
	first         uint16     // internal port of Mapping.First
}

// port returns the internal port for a virtual one in the range.
func (r rule) port(virtual uint16) uint16 { return r.first + (virtual - r.First) }

// compile turns mappings into rules that do not overlap.
func compile(ms []Mapping) (rules []rule, warnings []string, err error) {
	for _, m := range ms {
		rs, err := m.rules()
		if err != nil {
			return nil, nil, err
		}
		if r := rs[0]; r.Protocol == "tcp" && r.port(r.First) <= 21 && r.port(r.Last) >= 21 && len(rs) == 1 {
			warnings = append(warnings, fmt.Sprintf("mapping %s=%s leads to port 21 as tcp without data_ports: transfers will find no data port; add protocol=ftp", m.Virtual, m.Internal))
		}
		for _, r := range rs {
			for _, o := range rules {
				if tunnel.SameHost(r.Host, o.Host) && r.First <= o.Last && o.First <= r.Last {
					return nil, nil, fault.New(fault.Invalid, "mappings %s and %s overlap", tunnel.MappingText(o.Mapping), tunnel.MappingText(r.Mapping)).
						WithHint("give each virtual host and port to one internal host")
				}
			}
			rules = append(rules, r)
		}
	}
	if len(rules) > frame.MaxMappings {
		return nil, nil, fault.New(fault.Invalid, "%d mappings, the limit is %d", len(rules), frame.MaxMappings).WithHint("use ranges: host:5000-5010")
	}
	return rules, warnings, nil
}

// rules compiles one mapping: itself, and its data ports.
func (m Mapping) rules() ([]rule, error) {
	vhost, first, last, err := splitRange(m.Virtual)
	if err != nil {
		return nil, m.wrong("virtual", m.Virtual, err)
	}
	host, inFirst, inLast, err := splitRange(m.Internal)
	if err != nil {
		return nil, m.wrong("internal", m.Internal, err)
	}
	if last-first != inLast-inFirst {
		return nil, fault.New(fault.Invalid, "mapping %.300q: %d virtual ports and %d internal ones", m.Virtual, last-first+1, inLast-inFirst+1).
			WithHint("give both sides as many ports")
	}
	r := rule{Mapping: frame.Mapping{Host: vhost, First: first, Last: last, Protocol: m.Protocol}, host: host, first: inFirst}
	switch m.Protocol {
	case "":
		r.Protocol = "tcp"
	case "tcp":
	case "ftp":
		if first != last {
			return nil, fault.New(fault.Invalid, "mapping %.300q: protocol ftp is for one port", m.Virtual).
				WithHint("data ports open by themselves as the server announces them: name the control port alone, as a rule 21")
		}
	case "ftps":
		return nil, errFTPS("protocol: ftps")
	default:
		return nil, fault.New(fault.Invalid, "mapping %.300q: protocol %.100q", m.Virtual, m.Protocol).WithHint("use tcp or ftp")
	}
	if a, err := netip.ParseAddr(host); err == nil {
		r.host, r.addr = "", a.Unmap()
	}
	rs := []rule{r}
	if m.DataPorts != "" {
		d := r
		if d.First, d.Last, err = parsePorts(m.DataPorts); err != nil {
			return nil, m.wrong("data_ports", m.DataPorts, err)
		}
		d.Protocol, d.first = "tcp", d.First
		rs = append(rs, d)
	}
	return rs, nil
}

func (m Mapping) wrong(field, value string, err error) error {
	return fault.Wrap(fault.Invalid, err, "mapping %.300q: %s %.300q", m.Virtual+"="+m.Internal, field, value).WithHint(exposeForm)
}

func splitRange(s string) (host string, first, last uint16, err error) {
	host, ports, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, 0, fmt.Errorf("want host:port")
	}
	if err := frame.CheckHost(host); err != nil {
		return "", 0, 0, err
	}
	first, last, err = parsePorts(ports)
	return host, first, last, err
}

func parsePorts(s string) (first, last uint16, err error) {
	lo, hi, isRange := strings.Cut(s, "-")
	a, err := strconv.ParseUint(lo, 10, 16)
	if err != nil || a == 0 {
		return 0, 0, fmt.Errorf("want a port from 1 to 65535, or first-last")
	}
	b := a
	if isRange {
		if b, err = strconv.ParseUint(hi, 10, 16); err != nil || b < a {
			return 0, 0, fmt.Errorf("want first-last in rising order")
		}
	}
	return uint16(a), uint16(b), nil
}

// addrs returns where a rule leads. A literal is meant as it stands; a name may
// not lead to this machine, the local link or a cloud's metadata service, since
// who answers DNS would decide what the connector reaches.
func (c *Connector) addrs(ctx context.Context, r rule) ([]netip.Addr, error) {
	if r.addr.IsValid() {
		return []netip.Addr{r.addr}, nil
	}
	found, err := c.resolve(ctx, r.host)
	if err != nil {
		return nil, fault.Wrap(fault.Unreachable, err, "look up the internal host of %s", tunnel.MappingText(r.Mapping)).
			WithHint("the connector's machine must be able to resolve it; or write its address into the mapping")
	}
	out := make([]netip.Addr, 0, len(found))
	for _, a := range found {
		a = a.Unmap()
		if why := forbidden(a); why != "" {
			return nil, fault.New(fault.Denied, "the internal host of %s resolves to %s", tunnel.MappingText(r.Mapping), why).
				WithHint("a name may not lead there; if it is meant, write the address itself into the mapping")
		}
		out = append(out, a)
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Unreachable, "the internal host of %s has no address", tunnel.MappingText(r.Mapping))
	}
	return out, nil
}

// metadata are the addresses of cloud metadata services that are not link-local.
var metadata = []netip.Addr{netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("fd00:ec2::254")}

func forbidden(a netip.Addr) string {
	switch {
	case a.IsLoopback():
		return "a loopback address"
	case a.IsLinkLocalUnicast(), a.IsLinkLocalMulticast():
		return "a link-local address"
	case a.IsUnspecified(), a.IsMulticast():
		return "no host's address"
	}
	for _, m := range metadata {
		if a.WithZone("") == m {
			return "a metadata service's address"
		}
	}
	return ""
}
