package config

import (
	"fmt"
	"net/netip"
	"strings"

	"sallyport.dev/internal/secret"
)

// Gateway is the outside end of the tunnel.
type Gateway struct {
	Listen Address `yaml:"listen" help:"address and port that connectors dial, such as :443"`
	Public Address `yaml:"public" help:"host and port that join tokens carry, as connectors see the gateway"`
	SOCKS  *SOCKS  `yaml:"socks" help:"SOCKS5 listener for programs; without it there is none"`
}

// SOCKS is a gateway's SOCKS5 listener. Without Allow everybody on this machine
// may use it, and it must listen on loopback.
type SOCKS struct {
	Listen Address  `yaml:"listen" help:"address and port, such as 127.0.0.1:1080"`
	Allow  []string `yaml:"allow" help:"who may use it, by password: accounts, \"@group\", \"*\" every account; without it everybody on this machine"`
}

// Connector is the inside end of the tunnel.
type Connector struct {
	Gateways []Address  `yaml:"gateways" need:"yes" help:"gateways to serve, all of them at once, such as gateway.example.com:443"`
	Location string     `yaml:"location" need:"yes" help:"name under which flows and programs reach what this connector exposes"`
	Token    secret.Ref `yaml:"token" help:"env:NAME or file:PATH of a join token, used once when the state folder holds no certificate"`
	Mappings []Mapping  `yaml:"mappings" need:"yes" help:"what may be reached, under which names; nothing else can be"`
}

// Mapping exposes the ports of an internal host under a virtual one. The two
// ranges of ports have one size.
type Mapping struct {
	Virtual   Endpoint     `yaml:"virtual" need:"yes" help:"name and port, or range, that clients ask for, such as ftp-erp:21"`
	Internal  Endpoint     `yaml:"internal" need:"yes" help:"host and port, or range, that the connector dials, such as 10.0.0.5:21"`
	Protocol  Protocol     `yaml:"protocol" help:"ftp opens data ports as the server announces them; ftps is implicit TLS"`
	DataPorts PortRange    `yaml:"data_ports" help:"ports that are mapped as well, such as 5000-5010: for control connections that cannot be read"`
	FTPS      FTPSPolicy   `yaml:"ftps" help:"what a control connection that turns to TLS may still open"`
	Active    ActivePolicy `yaml:"active" help:"may the server dial back to the client (PORT, EPRT)?"`
}

// Protocol is what a mapping's connections speak.
type Protocol string

// The protocols of a mapping.
const (
	TCP  Protocol = "tcp"  // nothing is read
	FTP  Protocol = "ftp"  // the control connection is read, data ports open one by one
	FTPS Protocol = "ftps" // implicit TLS
)

// Choices lists what may be written.
func (Protocol) Choices() []string { return []string{"tcp", "ftp", "ftps"} }

// FTPSPolicy is what happens behind AUTH TLS, where the connector reads nothing.
// The zero value leaves it to the principal: same-host with authentication,
// off without.
type FTPSPolicy string

// The policies for control connections that turn to TLS.
const (
	FTPSOff       FTPSPolicy = "off"
	FTPSSameHost  FTPSPolicy = "same-host" // one TLS data connection at a time, to that host
	FTPSTerminate FTPSPolicy = "terminate" // the connector speaks TLS to the server
)

// Choices lists what may be written.
func (FTPSPolicy) Choices() []string { return []string{"off", "same-host", "terminate"} }

// ActivePolicy says whether active mode travels through a mapping.
type ActivePolicy string

// The policies for active mode. The zero value is what this version does by
// itself.
const (
	ActiveOn  ActivePolicy = "on"
	ActiveOff ActivePolicy = "off"
)

// Choices lists what may be written.
func (ActivePolicy) Choices() []string { return []string{"on", "off"} }

func (c *checker) gateway() {
	g := c.doc.Gateway
	if g == nil {
		return
	}
	c.listens("gateway.listen", g.Listen)
	if !g.Public.IsZero() {
		c.dials("gateway.public", g.Public)
	}
	if g.SOCKS == nil {
		return
	}
	c.listens("gateway.socks.listen", g.SOCKS.Listen)
	c.subjects("gateway.socks.allow", g.SOCKS.Allow, false)
	if !g.SOCKS.Listen.Loopback() && !c.doc.Written("gateway.socks.allow") {
		c.fault("gateway.socks.listen", `write allow: ["*"] for every account of this document, or listen on 127.0.0.1`,
			"other machines can reach %s, and `allow` does not say who may use it", g.SOCKS.Listen)
	}
}

func (c *checker) connector() {
	n := c.doc.Connector
	if n == nil {
		return
	}
	first := map[string]int{}
	for i, g := range n.Gateways {
		at := fmt.Sprintf("connector.gateways[%d]", i)
		if !g.IsZero() {
			c.dials(at, g)
			c.once(first, strings.ToLower(g.String()), at, "gateway", i)
		}
	}
	c.locationName("connector.location", n.Location)
	for i, m := range n.Mappings {
		at := fmt.Sprintf("connector.mappings[%d]", i)
		c.mapping(at, m)
		c.overlaps(i, at, m)
	}
}

func (c *checker) mapping(at string, m Mapping) {
	v, in := m.Virtual.Ports, m.Internal.Ports
	switch {
	case v.IsZero() || in.IsZero():
	case v.Size() != in.Size():
		c.fault(at+".internal", "write two ranges of one size", "%d virtual ports stand for %d internal ones", v.Size(), in.Size())
	case m.Protocol != TCP && v.Size() > 1:
		c.fault(at+".virtual", "write the control port alone; data ports open by themselves", "protocol %s wants one port, not the range %s", m.Protocol, v)
	case m.Protocol == TCP && m.DataPorts.IsZero() && (v == PortRange{21, 21} || in == PortRange{21, 21}):
		c.warn(at, "write protocol: ftp, or name the server's passive range in data_ports", "port 21 as tcp carries FTP commands, and no data connection will be let through")
	}
	if m.DataPorts.Overlaps(v) {
		c.fault(at+".data_ports", "leave the control port out of the range", "the range %s has port %s of `virtual` in it", m.DataPorts, v)
	}
	for key, written := range map[string]bool{"ftps": m.FTPS != "", "active": m.Active != ""} {
		if written && m.Protocol == TCP {
			c.fault(at+"."+key, "write protocol: ftp", "is for mappings whose control connection is read")
		}
	}
	c.internalHost(at+".internal", m.Internal.Host)
}

// internalHost refuses what the connector would refuse when it resolves it.
func (c *checker) internalHost(at, host string) {
	h := strings.ToLower(strings.TrimSuffix(host, "."))
	if h == "localhost" || strings.HasSuffix(h, ".localhost") {
		c.fault(at, "write 127.0.0.1 or [::1] if this machine is meant", "the name %s leads to this machine, and no name may", quote(host))
	}
	if ip, err := netip.ParseAddr(h); err == nil && (ip.IsUnspecified() || ip.IsMulticast()) {
		c.fault(at, "write the server's address", "%s is no address to dial", ip)
	}
}

// overlaps compares a mapping with those before it: a virtual host and port lead
// to one place.
func (c *checker) overlaps(i int, at string, m Mapping) {
	for j, other := range c.doc.Connector.Mappings[:i] {
		if m.Virtual.IsZero() || !strings.EqualFold(m.Virtual.Host, other.Virtual.Host) {
			continue
		}
		for _, mine := range []struct {
			key   string
			ports PortRange
		}{{"virtual", m.Virtual.Ports}, {"data_ports", m.DataPorts}} {
			for _, theirs := range []PortRange{other.Virtual.Ports, other.DataPorts} {
				if mine.ports.Overlaps(theirs) {
					c.fault(at+"."+mine.key, "give each mapping virtual ports of its own, or another virtual host",
						"ports %s of %s are mapped already by connector.mappings[%d]", mine.ports, quote(m.Virtual.Host), j)
				}
			}
		}
	}
}
