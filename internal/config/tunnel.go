package config

import "sallyport.dev/internal/secret"

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
