package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"sallyport.dev/internal/fault"
)

// SiteLimits bounds what clients of a site may use at one moment.
type SiteLimits struct {
	Sessions   int `yaml:"sessions" min:"1" max:"1000000" help:"sessions at once; one more is answered 421"`
	PerAddress int `yaml:"per_address" min:"1" max:"1000000" help:"sessions at once from one client address, answered 421; clients behind a connector share one; without it only sessions counts"`
	PerUser    int `yaml:"per_user" min:"1" max:"1000000" help:"sessions at once of one user, answered 530; without it only sessions counts"`
	Passwords  int `yaml:"passwords" min:"1" max:"100" help:"wrong passwords in one session, after which it is closed"`
}

// SiteTimeouts bounds how long a site waits for its clients.
type SiteTimeouts struct {
	Login   time.Duration `yaml:"login" min:"5s" max:"1h" help:"from the first line to a good password, else 421"`
	Idle    time.Duration `yaml:"idle" min:"10s" max:"24h" help:"from one command to the next, else 421; rests during a transfer"`
	Stall   time.Duration `yaml:"stall" min:"5s" max:"24h" help:"without one byte moving on a data connection, else 426"`
	Connect time.Duration `yaml:"connect" min:"1s" max:"10m" help:"for a data connection to come about, else 425"`
}

// Attempts bounds the guessing of passwords. Wrong ones count for each pair of
// user and client address.
type Attempts struct {
	Mode     AttemptsMode  `yaml:"mode" help:"block: a pair of user and address is answered 530 for a while; log: it would be, says the log; off"`
	Failures int           `yaml:"failures" min:"1" max:"1000" help:"wrong passwords of one user from one address that block this pair"`
	Within   time.Duration `yaml:"within" min:"1s" max:"24h" help:"the time in which they count; a right password counts anew"`
	Block    time.Duration `yaml:"block" min:"1s" max:"24h" help:"how long the first block lasts; one that follows soon lasts twice as long as the one before"`
	Longest  time.Duration `yaml:"longest" min:"1s" max:"168h" help:"the longest block"`
	Trusted  []Network     `yaml:"trusted" help:"networks of clients that are never blocked, 127.0.0.0/8 and ::1 unless others are written; all clients behind a connector have its address"`
}

// AttemptsMode says what becomes of who guesses.
type AttemptsMode string

// What becomes of who guesses.
const (
	AttemptsBlock AttemptsMode = "block"
	AttemptsLog   AttemptsMode = "log"
	AttemptsOff   AttemptsMode = "off"
)

// Choices lists what may be written.
func (AttemptsMode) Choices() []string { return []string{"block", "log", "off"} }

// Defaults returns a with what it leaves out.
func (a Attempts) Defaults() Attempts {
	orElse(&a.Mode, AttemptsBlock)
	orElse(&a.Failures, 4)
	orElse(&a.Within, 30*time.Second)
	orElse(&a.Block, 30*time.Second)
	orElse(&a.Longest, max(time.Hour, a.Block))
	if a.Trusted == nil {
		a.Trusted = []Network{{netip.MustParsePrefix("127.0.0.0/8")}, {netip.MustParsePrefix("::1/128")}}
	}
	return a
}

// SiteMessages are texts for people. Each may have many lines.
type SiteMessages struct {
	Banner   Lines  `yaml:"banner" help:"what a client sees first, in place of the one line that banner makes"`
	Greeting Lines  `yaml:"greeting" help:"after a login"`
	Exit     Lines  `yaml:"exit" help:"after QUIT"`
	Full     Lines  `yaml:"full" help:"to a client that comes when there are too many sessions"`
	Folder   string `yaml:"folder_file" help:"name of a file, such as .message: whoever enters a folder that has one is shown its first 4 KiB"`
}

// Lines is text of one or more lines.
type Lines []string

const (
	maxMessageLine  = 400
	maxMessageLines = 40
)

// decode reads a text, or a list of them.
func (l *Lines) decode(d *decoder, n ast.Node, path string) {
	if _, ok := n.(*ast.SequenceNode); ok {
		d.sequence(n, reflect.ValueOf((*[]string)(l)).Elem(), path)
		return
	}
	*l = Lines{""}
	d.str(n, reflect.ValueOf(&(*l)[0]).Elem(), path)
}

func (c *checker) lines(at string, l Lines) {
	if len(l) > maxMessageLines {
		c.fault(at, "", "has more than %d lines", maxMessageLines)
	}
	for i, line := range l {
		if len(line) > maxMessageLine {
			c.fault(at, "write it in several lines", "line %d has more than %d bytes", i+1, maxMessageLine)
		}
	}
}

// Network is a network of clients, as 10.0.0.0/8, or one address.
type Network struct{ netip.Prefix }

// IsZero reports whether nothing is set.
func (n Network) IsZero() bool { return !n.IsValid() }

// UnmarshalText parses "10.0.0.0/8", "2001:db8::/32", or an address.
func (n *Network) UnmarshalText(b []byte) error {
	s := string(b)
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		n.Prefix = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
		return nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || p.Addr().Is4In6():
		return fault.New(fault.Invalid, "%s is no network and no address", quote(s)).WithHint("write ADDRESS/BITS, such as 10.0.0.0/8, or one address")
	case p.Masked() != p:
		return fault.New(fault.Invalid, "%s is an address in a network", quote(s)).WithHint("write the network, %s, or the address without /%d", p.Masked(), p.Bits())
	}
	n.Prefix = p
	return nil
}

// limits checks what a site bounds.
func (c *checker) limits(at string, s Site) {
	l, t, a := s.Limits, s.Timeouts, s.Attempts
	for _, part := range []struct {
		key string
		n   int
	}{{"per_address", l.PerAddress}, {"per_user", l.PerUser}} {
		if part.n > l.Sessions && c.doc.Written(at+".limits."+part.key) {
			c.warn(at+".limits."+part.key, "", "is more than sessions, %d", l.Sessions)
		}
	}
	if t.Connect > t.Idle {
		c.warn(at+".timeouts.connect", "", "is more than idle, %s: the control connection would end first", durationText(t.Idle))
	}
	if a.Longest < a.Block {
		c.fault(at+".attempts.longest", "write at least block", "is less than block, %s", durationText(a.Block))
	}
	m := s.Messages
	for key, text := range map[string]Lines{"banner": m.Banner, "greeting": m.Greeting, "exit": m.Exit, "full": m.Full} {
		c.lines(at+".messages."+key, text)
	}
	if strings.ContainsAny(m.Folder, `/\`) || m.Folder == "." || m.Folder == ".." {
		c.fault(at+".messages.folder_file", "such as .message", "%s is no name of a file", quote(m.Folder))
	}
	if len(m.Banner) > 0 && s.Banner != "" {
		c.fault(at+".messages.banner", "keep one of the two", "stands in place of banner, which is written, too")
	}
}

// ExternalRule says which address PASV names to some clients.
type ExternalRule struct {
	Clients []Network       `yaml:"clients" help:"networks of the clients that this line is for; without it all that no line before is for"`
	Address ExternalAddress `yaml:"address" need:"yes" help:"IPv4 address, name that has one, or own: that of the control connection"`
}

// External is the addresses that PASV names. In the document it is one address or
// name for everybody, or a list of rules, of which the first that fits counts.
type External []ExternalRule

// ExternalAddress is an address, a name that is looked up, or neither: the one that
// the control connection came to.
type ExternalAddress struct {
	IP   netip.Addr
	Name string
	Own  bool
}

// IsZero reports whether nothing is set.
func (a ExternalAddress) IsZero() bool { return a == ExternalAddress{} }

// MarshalText returns the address as it is written.
func (a ExternalAddress) MarshalText() ([]byte, error) {
	switch {
	case a.Own:
		return []byte("own"), nil
	case a.Name != "":
		return []byte(a.Name), nil
	case a.IP.IsValid():
		return a.IP.MarshalText()
	}
	return nil, nil
}

// UnmarshalText parses an IPv4 address, a name, or own.
func (a *ExternalAddress) UnmarshalText(b []byte) error {
	s := string(b)
	ip, err := netip.ParseAddr(s)
	switch {
	case s == "own":
		*a = ExternalAddress{Own: true}
	case err == nil && (!ip.Is4() || ip.IsUnspecified() || ip.IsMulticast()):
		return fault.New(fault.Invalid, "%s cannot stand in the answer to PASV", s).
			WithHint("write the IPv4 address under which clients reach the site; EPSV needs none")
	case err == nil:
		*a = ExternalAddress{IP: ip}
	case hostName(s):
		*a = ExternalAddress{Name: s}
	default:
		return fault.New(fault.Invalid, "%s is no IP address and no name", quote(s)).WithHint("such as 203.0.113.7 or ftp.example.com")
	}
	return nil
}

// simple returns the one address for everybody, if that is all there is.
func (e External) simple() (ExternalAddress, bool) {
	if len(e) == 1 && len(e[0].Clients) == 0 {
		return e[0].Address, true
	}
	return ExternalAddress{}, false
}

// decode reads an address, a name, or a list of rules.
func (e *External) decode(d *decoder, n ast.Node, path string) {
	if _, ok := n.(*ast.SequenceNode); ok {
		d.sequence(n, reflect.ValueOf((*[]ExternalRule)(e)).Elem(), path)
		return
	}
	*e = External{{}}
	d.text(n, &(*e)[0].Address, path)
}

func (c *checker) external(at string, e External) {
	for i, r := range e {
		if len(r.Clients) == 0 && i < len(e)-1 {
			c.fault(fmt.Sprintf("%s[%d]", at, i), "write it last, or write clients: [10.0.0.0/8]", "is for everybody, so that no line below counts")
		}
	}
}
