package daemon

import (
	"fmt"
	"net/netip"

	"sallyport.dev/internal/config"
	"sallyport.dev/internal/ftp/ftpserver"
)

// bound fills in what a site's document says of the network and of what clients
// may use: passive and active mode, limits, time-outs, messages, attempts to log in.
func (s *site) bound(set *ftpserver.Settings) {
	c := s.cfg
	set.Passive = ftpserver.Passive{Low: c.Passive.Ports.Low, High: c.Passive.Ports.High}
	if s.external != nil {
		set.Passive.External = s.external.to
	}
	set.Active = ftpserver.Active{Off: c.Active.Mode == config.ActiveOff, SourcePort: c.Active.SourcePort}
	l, t := c.Limits, c.Timeouts
	set.Limits = ftpserver.Limits{Sessions: l.Sessions, SessionsPerPeer: l.PerAddress, SessionsPerUser: l.PerUser, LoginAttempts: l.Passwords}
	set.Timeouts = ftpserver.Timeouts{Login: t.Login, Idle: t.Idle, Stall: t.Stall, Connect: t.Connect}
	m := c.Messages
	set.Messages = ftpserver.Messages{
		Banner: m.Banner, Greeting: m.Greeting, Exit: m.Exit, Full: m.Full,
		SiteName: c.Name, FolderFile: m.Folder,
	}
	set.Attempts = attemptsOf(c.Attempts.Defaults()) // also where no document was read
}

func attemptsOf(a config.Attempts) ftpserver.Attempts {
	if a.Mode == config.AttemptsOff {
		return ftpserver.Attempts{}
	}
	trusted := make([]netip.Prefix, len(a.Trusted))
	for i, n := range a.Trusted {
		trusted[i] = n.Prefix
	}
	return ftpserver.Attempts{
		Failures: a.Failures, Within: a.Within, Block: a.Block, Longest: a.Longest,
		Trusted: trusted, LogOnly: a.Mode == config.AttemptsLog,
	}
}

// doing says how much of what the site bounds is in use.
func (s *site) doing() string {
	st := s.server.Status()
	text := fmt.Sprintf("%d of %d sessions, %d of %d passive ports free", st.Sessions, st.Most, st.Free, st.Ports)
	if st.Blocked > 0 {
		text += fmt.Sprintf(", %d users blocked from an address after wrong passwords", st.Blocked)
	}
	return text
}
