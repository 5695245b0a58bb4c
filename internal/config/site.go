package config

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"sallyport.dev/internal/secret"
)

// Site is one FTP server over a folder.
type Site struct {
	Name          string       `yaml:"name" need:"yes" help:"name of the site in logs and commands"`
	Path          string       `yaml:"path" need:"yes" help:"folder that it serves, such as /srv/files"`
	Listen        Address      `yaml:"listen" help:"address and port, such as 0.0.0.0:21; port 0 takes a free one"`
	Bindings      []Binding    `yaml:"bindings" help:"in place of listen: several addresses, or one that is shared with other sites"`
	TLS           *SiteTLS     `yaml:"tls" help:"FTPS; without it the site speaks plain FTP"`
	Uploads       Uploads      `yaml:"uploads" help:"what is done with files that come in"`
	Listing       Listing      `yaml:"listing" help:"what LIST looks like"`
	Passive       Passive      `yaml:"passive" help:"passive mode: the ports it offers, the address it names"`
	Active        Active       `yaml:"active" help:"active mode: the port it dials from"`
	Homes         *Homes       `yaml:"homes" help:"a folder for each account; without it all share the site"`
	Authorization []Rule       `yaml:"authorization" help:"who may do what; without it every account may read and write"`
	Anonymous     bool         `yaml:"anonymous" help:"let anybody in to read; with authorization, write a rule that allows \"?\" instead"`
	ReadOnly      bool         `yaml:"read_only" help:"refuse every command that changes files"`
	Banner        string       `yaml:"banner" help:"first line that a client sees"`
	Messages      SiteMessages `yaml:"messages" help:"longer texts for clients"`
	Limits        SiteLimits   `yaml:"limits" help:"how many sessions at once"`
	Timeouts      SiteTimeouts `yaml:"timeouts" help:"how long clients are waited for"`
	Attempts      Attempts     `yaml:"attempts" help:"what becomes of who guesses passwords"`
	Log           *SiteLog     `yaml:"log" help:"a log of what clients do; without it only the program's own"`
}

// SiteTLS says how a site speaks TLS.
type SiteTLS struct {
	Certificate Certificate   `yaml:"certificate" need:"yes" help:"file:PATH of a PEM chain, or auto for one that the site makes itself"`
	Key         secret.Ref    `yaml:"key" help:"file:PATH of the PEM private key"`
	Control     ControlPolicy `yaml:"control" help:"TLS on the control connection"`
	Data        DataPolicy    `yaml:"data" help:"TLS on data connections"`
	Resumption  Resumption    `yaml:"resumption" help:"must a data connection resume the TLS session of its control connection?"`
	Implicit    bool          `yaml:"implicit" help:"TLS from the first byte, as on port 990"`
	Truncated   Truncated     `yaml:"truncated" help:"uploads that end without TLS's own end mark (close_notify), as if they had been cut; accept lets in clients that never send it"`
	Clients     *SiteClients  `yaml:"clients" help:"certificates of clients; without it none are asked for"`
}

// SiteClients says which certificates a site wants of its clients.
type SiteClients struct {
	CA        secret.Ref `yaml:"ca" need:"yes" help:"file:PATH of the PEM certificates of the authorities that they come from"`
	Required  bool       `yaml:"required" help:"let nobody in who shows none"`
	MatchUser bool       `yaml:"match_user" help:"let a certificate log in only the user that its common name says"`
}

// Truncated says what becomes of an upload whose TLS did not end as it should.
type Truncated string

// The policies for truncated uploads.
const (
	TruncatedRefuse Truncated = "refuse"
	TruncatedAccept Truncated = "accept"
)

// Choices lists what may be written.
func (Truncated) Choices() []string { return []string{"refuse", "accept"} }

// Certificate is a reference to a PEM chain, or a certificate that the site makes
// and keeps in its state folder.
type Certificate struct {
	Auto bool
	Ref  secret.Ref
}

// IsZero reports whether nothing is set.
func (c Certificate) IsZero() bool { return c == Certificate{} }

// ControlPolicy says when a control connection must speak TLS.
type ControlPolicy string

// The policies for control connections.
const (
	ControlRequire     ControlPolicy = "require"     // before anything else
	ControlCredentials ControlPolicy = "credentials" // before a password is sent
	ControlAllow       ControlPolicy = "allow"
)

// Choices lists what may be written.
func (ControlPolicy) Choices() []string { return []string{"require", "credentials", "allow"} }

// DataPolicy says when a data connection must speak TLS.
type DataPolicy string

// The policies for data connections.
const (
	DataRequire DataPolicy = "require"
	DataAllow   DataPolicy = "allow"
	DataRefuse  DataPolicy = "refuse" // PROT P is refused: data travels in the clear
)

// Choices lists what may be written.
func (DataPolicy) Choices() []string { return []string{"require", "allow", "refuse"} }

// Resumption says what happens to a data connection that does not resume the TLS
// session of its control connection.
type Resumption string

// The policies for resumption.
const (
	ResumptionRequire Resumption = "require"
	ResumptionWarn    Resumption = "warn"
	ResumptionOff     Resumption = "off"
)

// Choices lists what may be written.
func (Resumption) Choices() []string { return []string{"require", "warn", "off"} }

// Passive is what a site offers in passive mode. Without Ports it takes them from
// a pool of its own.
type Passive struct {
	Ports    PortRange     `yaml:"ports" help:"data ports, such as 5000-5010"`
	External External      `yaml:"external_ip" help:"IPv4 address that PASV names, when clients reach the site under another than its own; or a name that has one; or a list of them for networks of clients"`
	Resolve  time.Duration `yaml:"resolve_every" min:"10s" max:"24h" help:"how often names in external_ip are looked up anew; while that fails the last address counts"`
}

// Active is how a site dials in active mode.
type Active struct {
	Mode       ActivePolicy `yaml:"mode" help:"off refuses PORT and EPRT"`
	SourcePort uint16       `yaml:"source_port" min:"1" max:"65535" help:"local port of active data connections, such as 20; without it any"`
}

// Rule is one line of a site's authorization: what the named may do from Path
// down. The rule nearest to a path decides, of several for one folder a denial does,
// and what no rule allows is denied. Exactly one of Allow and Deny is set. Subjects are account names,
// "@group", "*" (every account) and "?" (anonymous).
type Rule struct {
	Allow       []string     `yaml:"allow" help:"whom the rule allows: accounts, \"@group\", \"*\" every account, \"?\" anonymous"`
	Deny        []string     `yaml:"deny" help:"whom the rule denies: accounts, \"@group\", \"*\" everybody, the anonymous too, \"?\" anonymous"`
	Path        string       `yaml:"path" help:"virtual folder from which the rule holds, such as /public; without it everywhere"`
	Permissions []Permission `yaml:"permissions" need:"yes" help:"what is allowed or denied: read, write"`
}

// Permission is a right over files.
type Permission string

// The permissions. Read includes listing, Write includes everything that changes
// files and folders.
const (
	Read  Permission = "read"
	Write Permission = "write"
)

// Choices lists what may be written.
func (Permission) Choices() []string { return []string{"read", "write"} }

func (c *checker) sites() {
	first := map[string]int{}
	for i, s := range c.doc.Sites {
		at := fmt.Sprintf("sites[%d]", i)
		c.name(at+".name", "a site", s.Name)
		c.once(first, s.Name, at+".name", "site", i)
		c.folder(at+".path", s.Path)
		c.bindings(at, &s)
		c.limits(at, s)
		c.siteTLS(at+".tls", s.TLS)
		c.passive(i, at+".passive", s)
		c.authorization(at, s)
		c.homes(at+".homes", s)
		c.uploads(at+".uploads", s.Uploads)
		c.siteLog(i, s)
		if len(s.Banner) > 400 {
			c.fault(at+".banner", "write up to 400 bytes", "is longer than a reply can be")
		}
	}
}

func (c *checker) siteTLS(at string, t *SiteTLS) {
	switch {
	case t == nil || t.Certificate.IsZero():
	case t.Certificate.Auto && !t.Key.IsZero():
		c.fault(at+".key", "remove key, or write certificate: file:PATH", "a certificate that the site makes itself has a key of its own")
	case !t.Certificate.Auto && t.Key.IsZero() && !c.doc.Written(at+".key"):
		c.fault(at+".key", "write key: file:PATH, the PEM private key of the certificate", "is missing")
	}
	if t != nil && t.Data == DataRefuse && t.Resumption == ResumptionRequire {
		c.fault(at+".resumption", "write resumption: off, or data: require", "data connections without TLS have nothing to resume")
	}
	if t != nil && t.Clients != nil && t.Clients.Required && t.Control != ControlRequire {
		c.fault(at+".clients.required", "write control: require", "a client that logs in without TLS shows no certificate")
	}
}

func (c *checker) passive(i int, at string, s Site) {
	p := s.Passive
	for _, b := range s.Reached() {
		if p.Ports.Contains(b.Listen.Port) && b.Listen.Port != 0 {
			c.fault(at+".ports", "take the port that the site listens on out of the range", "the range %s has port %d of `listen` in it", p.Ports, b.Listen.Port)
		}
	}
	if p.Ports.Low != 0 && p.Ports.Low < 1024 {
		c.warn(at+".ports", "take a range above 1023", "ports below 1024 need privileges, and careful clients refuse them")
	}
	for _, other := range c.doc.Sites[:i] {
		if p.Ports.Overlaps(other.Passive.Ports) && meet(s.Reached(), other.Reached()) {
			c.fault(at+".ports", "give each site a range of its own", "the range %s overlaps %s of site %s", p.Ports, other.Passive.Ports, quote(other.Name))
		}
	}
	c.external(at+".external_ip", p.External)
}

func (c *checker) authorization(at string, s Site) {
	if len(s.Authorization) > 0 && s.Anonymous {
		c.fault(at+".anonymous", `remove it and write a rule {allow: ["?"], permissions: [read]}`, "with authorization, rules say what the anonymous may do")
	}
	if len(c.doc.Accounts) == 0 && len(s.Authorization) == 0 && !s.Anonymous {
		c.fault(at, "write accounts, or anonymous: true", "nobody can log in to this site: the document has no accounts")
	}
	for j, r := range s.Authorization {
		p := fmt.Sprintf("%s.authorization[%d]", at, j)
		allow, deny := c.doc.Written(p+".allow"), c.doc.Written(p+".deny")
		if allow == deny {
			c.fault(p, "write one of the two in each rule", "a rule needs either allow or deny")
		}
		c.subjects(p+".allow", r.Allow, true)
		c.subjects(p+".deny", r.Deny, true)
		c.virtualPath(p+".path", r.Path)
		for k, perm := range r.Permissions {
			if perm != "" && slices.Contains(r.Permissions[:k], perm) {
				c.fault(fmt.Sprintf("%s.permissions[%d]", p, k), "keep one of the two", "%s is written twice", perm)
			}
			if perm == Write && s.ReadOnly && allow {
				c.warn(fmt.Sprintf("%s.permissions[%d]", p, k), "remove one of the two", "read_only of the site takes this permission away")
			}
		}
	}
}

func (c *checker) virtualPath(at, s string) {
	if s != "" && (!strings.HasPrefix(s, "/") || path.Clean(s) != s || strings.Contains(s, `\`)) {
		c.fault(at, "write it from the site's top, such as /public, without . and .. and without a slash at the end", "%s is no virtual folder", quote(s))
	}
}

// meet reports whether a binding of a shares an address of this machine with one of b.
func meet(a, b []Binding) bool {
	return slices.ContainsFunc(a, func(x Binding) bool {
		return slices.ContainsFunc(b, func(y Binding) bool { return sameHost(x.Listen, y.Listen) })
	})
}

// sameHost reports whether listeners on a and b share an address.
func sameHost(a, b Address) bool {
	wild := func(h string) bool { return h == "" || h == "0.0.0.0" || h == "::" }
	return wild(a.Host) || wild(b.Host) || strings.EqualFold(a.Host, b.Host)
}
