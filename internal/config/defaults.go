package config

import "time"

// defaults fills in what a document leaves out. This is the one place where
// defaults are.
func (c *Config) defaults() {
	orElse(&c.State, "./state")
	if c.Journal.IsZero() {
		c.Journal.Embedded = true
	}
	if c.Journal.Embedded {
		orElse(&c.Journal.MinFree, DefaultMinFree)
	} else {
		orElse(&c.Journal.Replicas, 1)
	}
	for i := range c.Sites {
		s := &c.Sites[i]
		if len(s.Bindings) == 0 {
			orElse(&s.Listen, Address{"127.0.0.1", 2121})
		}
		s.bounds()
		s.Uploads.defaults()
		s.Listing.defaults()
		s.Log.defaults()
		if t := s.TLS; t != nil {
			orElse(&t.Control, ControlRequire)
			orElse(&t.Data, DataRequire)
			orElse(&t.Resumption, ResumptionWarn)
			orElse(&t.Truncated, TruncatedRefuse)
		}
	}
	if g := c.Gateway; g != nil {
		orElse(&g.Listen, Address{"", 8443})
		if g.SOCKS != nil {
			orElse(&g.SOCKS.Listen, Address{"127.0.0.1", 1080})
		}
	}
	if c.Connector != nil {
		for i := range c.Connector.Mappings {
			orElse(&c.Connector.Mappings[i].Protocol, TCP)
		}
	}
	for i := range c.Flows {
		c.Flows[i].defaults()
	}
}

// bounds fills in how much and how long a site bears.
func (s *Site) bounds() {
	orElse(&s.Passive.Resolve, 5*time.Minute)
	orElse(&s.Active.Mode, ActiveOn)
	orElse(&s.Limits.Sessions, 10_000)
	orElse(&s.Limits.Passwords, 5)
	orElse(&s.Timeouts.Login, time.Minute)
	orElse(&s.Timeouts.Idle, 5*time.Minute)
	orElse(&s.Timeouts.Stall, 2*time.Minute)
	orElse(&s.Timeouts.Connect, 30*time.Second)
	s.Attempts = s.Attempts.Defaults()
}

func (f *Flow) defaults() {
	orElse(&f.Concurrency, 4)
	orElse(&f.Retry.Attempts, 8)
	orElse(&f.Retry.First, 5*time.Second)
	orElse(&f.Retry.Max, max(10*time.Minute, f.Retry.First))
	s := &f.Source
	s.FTP.defaults()
	orElse(&s.Match, "*")
	orElse(&s.Every, time.Minute)
	orElse(&s.Ready.When, ReadyUnchanged)
	if s.Ready.When == ReadyUnchanged {
		orElse(&s.Ready.For, 5*time.Second)
	}
	orElse(&s.After.Action, AfterKeep)
	for i := range f.Sinks {
		if t := f.Sinks[i].FTP; t != nil {
			t.FTPServer.defaults()
			orElse(&t.Name, "${file.name}")
			orElse(&t.Existing, ExistingFail)
		}
		if t := f.Sinks[i].Local; t != nil {
			orElse(&t.Name, "${file.name}")
			orElse(&t.Existing, ExistingFail)
		}
	}
}

func (s *FTPServer) defaults() {
	if s == nil {
		return
	}
	orElse(&s.User, "anonymous")
	orElse(&s.Security, SecurityExplicit)
	orElse(&s.Mode, ModePassive)
	orElse(&s.PasvAddress, PasvControlHost)
	orElse(&s.KeepAlive, KeepAliveNone)
	orElse(&s.Charset, "utf-8")
}

// orElse sets *p to v if it has no value.
func orElse[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}
