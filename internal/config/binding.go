package config

import (
	"fmt"
	"strings"
)

// Binding is one address at which a site is reached. Sites may share an address:
// clients then say which they mean.
type Binding struct {
	Listen   Address `yaml:"listen" need:"yes" help:"address and port, such as 0.0.0.0:21; port 0 takes a free one"`
	Host     string  `yaml:"host" help:"name that chooses this site among those at the address: clients say it by HOST, by TLS, or before the user as in NAME|USER; without it the site is for those who say none"`
	Implicit bool    `yaml:"implicit" help:"TLS from the first byte, as on port 990"`
}

// Reached returns every binding of s, also if it is written as listen.
func (s *Site) Reached() []Binding {
	if len(s.Bindings) > 0 {
		return s.Bindings
	}
	return []Binding{{Listen: s.Listen, Implicit: s.TLS != nil && s.TLS.Implicit}}
}

// bindings checks where a site is reached against what was there before.
func (c *checker) bindings(at string, s *Site) {
	if len(s.Bindings) == 0 {
		c.binds(at+".listen", at, s.Reached()[0])
		return
	}
	if c.doc.Written(at + ".listen") {
		c.fault(at+".listen", "write it as one of bindings", "stands beside bindings, which says the same")
	}
	if s.TLS != nil && s.TLS.Implicit {
		c.fault(at+".tls.implicit", "write implicit: true at the bindings that are", "each of bindings says by itself whether TLS is implicit")
	}
	for i, b := range s.Bindings {
		p := fmt.Sprintf("%s.bindings[%d]", at, i)
		if b.Implicit && s.TLS == nil {
			c.fault(p+".implicit", "write tls: {certificate: auto}", "the site has no certificate")
		}
		if b.Host != "" && !hostName(b.Host) {
			c.fault(p+".host", "such as files.example.com, without a port", "%s is no host name", quote(b.Host))
		}
		c.binds(p+".listen", p, b)
	}
}

// binds checks one binding, which stands at path around its address at where.
func (c *checker) binds(where, path string, b Binding) {
	if c.bad[where] {
		return
	}
	for _, l := range c.listen {
		if b.Listen.Port == 0 || b.Listen.Port != l.Port || !sameHost(b.Listen, l.Address) {
			continue
		}
		other := c.doc.places.shown(l.path)
		switch {
		case l.site == nil:
			c.fault(where, "give each listener a port of its own", "%s is taken already by %s (%s)", b.Listen, other, l.Address)
			return
		case !strings.EqualFold(b.Listen.Host, l.Host):
			c.fault(where, fmt.Sprintf("write %s in both, and a host for each", l.Address), "%s overlaps %s of %s", b.Listen, l.Address, other)
			return
		case b.Implicit != l.site.Implicit:
			c.fault(where, "take port 990 for implicit TLS", "%s is taken already by %s, where TLS begins otherwise", b.Listen, other)
			return
		case b.Host == "" && l.site.Host == "":
			c.fault(where, "give each listener a port of its own, or sites a host each: bindings: [{listen: \"ADDRESS\", host: NAME}]", "%s is taken already by %s (%s)", b.Listen, other, l.Address)
			return
		case strings.EqualFold(b.Host, l.site.Host):
			c.fault(path+".host", "keep one, or write another name", "%s is taken already by %s at %s", quote(b.Host), other, l.Address)
			return
		}
	}
	c.listen = append(c.listen, listener{where, b.Listen, &b})
}
