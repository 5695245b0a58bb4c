package ftpserver

import (
	"crypto/tls"
	"net/netip"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// Settings are what a session begins with and keeps to its end.
type Settings struct {
	// Name greets in the 220 banner. Empty means "Sallyport".
	Name         string
	Messages     Messages
	Authenticate Authenticate
	Passive      Passive
	Active       Active
	Listing      Listing
	Limits       Limits
	Timeouts     Timeouts
	Attempts     Attempts
	// Known, if set, reports whether a name is that of an account: the log may show
	// it before a login. Nil: no name is shown.
	Known func(user string) bool
	// TLS, if set, is offered to clients. Nil serves plain FTP alone.
	TLS *TLS
	// OnTransfer, if set, is told of every file transfer when it is over, before
	// the client is. It is called by the session and holds it up.
	OnTransfer func(Transfer)
	// OnEvent, if set, is told of every command and data connection when it is
	// over, for logs. It is called by the session and by its transfer, also at
	// once, and holds them up. Nil: nothing is gathered.
	OnEvent func(Event)
}

// policy is settings that sessions share: checked, their defaults filled in.
type policy struct {
	Settings
	tlsBase *tls.Config // nil without TLS
}

func newPolicy(s Settings) *policy {
	s.Limits, s.Timeouts, s.Attempts = s.Limits.orDefaults(), s.Timeouts.orDefaults(), s.Attempts.orDefaults()
	p := &policy{Settings: s}
	if s.TLS != nil {
		p.tlsBase = s.TLS.base()
	}
	return p
}

// Apply makes set the settings of sessions to come. Those that run go on with
// theirs; they count towards new limits. Passive ports that are no longer in the
// range are closed once nobody waits on them. It refuses settings that cannot
// work and changes nothing then. It may be called at any time, also before Serve.
func (s *Server) Apply(set Settings) error {
	if err := set.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = newPolicy(set)
	if s.pool != nil {
		s.pool.setRange(set.Passive.Low, set.Passive.High)
	}
	return nil
}

// Passive says where passive data connections arrive.
type Passive struct {
	// Low and High bound the ports, both included. Zero means ports that the
	// operating system picks; they are kept open and used again.
	Low, High uint16
	// ExternalIP is the IPv4 address in a 227 reply, for clients beyond a NAT.
	// Invalid means the control connection's own. EPSV names no address.
	ExternalIP netip.Addr
	// External, if set, is asked in place of ExternalIP which address to name to a
	// client. It must not wait for anything. What is not IPv4 means the control
	// connection's own.
	External func(client netip.Addr) netip.Addr
}

// Active says how active data connections are dialled.
type Active struct {
	Off bool // PORT and EPRT are refused
	// SourcePort is the local port of active data connections, such as 20. Zero
	// means any.
	SourcePort uint16
}

// Limits bounds what clients may use. Zero means the default named.
type Limits struct {
	Sessions        int // at once: 10,000
	SessionsPerPeer int // at once from one address: as many as Sessions
	SessionsPerUser int // at once of one account, by its name: as many as Sessions
	HalfOpenPerPeer int // of those, how many without a login, so that one address cannot lock all others out: half of Sessions
	LoginAttempts   int // wrong passwords in one session: 5
	Line            int // bytes in one command line: 4096
}

// Timeouts bounds what is waited for. Zero means the default named.
type Timeouts struct {
	Login    time.Duration // from the banner to a good password: 1 minute
	Idle     time.Duration // from one command to the next: 5 minutes; rests during a transfer
	Stall    time.Duration // without one byte moving on a data connection: 2 minutes
	Connect  time.Duration // for a data connection to come about: 30 seconds
	Reply    time.Duration // for the client to take a reply: 30 seconds
	BadLogin time.Duration // before a wrong password is answered, times the attempt: 1 second
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func (l Limits) orDefaults() Limits {
	l.Sessions = orDefault(l.Sessions, 10_000)
	l.SessionsPerPeer = orDefault(l.SessionsPerPeer, l.Sessions)
	l.SessionsPerUser = orDefault(l.SessionsPerUser, l.Sessions)
	l.HalfOpenPerPeer = orDefault(l.HalfOpenPerPeer, (l.Sessions+1)/2)
	l.LoginAttempts = orDefault(l.LoginAttempts, 5)
	l.Line = orDefault(l.Line, ftp.DefaultMaxLine)
	return l
}

func (t Timeouts) orDefaults() Timeouts {
	t.Login = orDefault(t.Login, time.Minute)
	t.Idle = orDefault(t.Idle, 5*time.Minute)
	t.Stall = orDefault(t.Stall, 2*time.Minute)
	t.Connect = orDefault(t.Connect, 30*time.Second)
	t.Reply = orDefault(t.Reply, 30*time.Second)
	t.BadLogin = orDefault(t.BadLogin, time.Second)
	return t
}

// check refuses settings that cannot work.
func (s Settings) check() error {
	p := s.Passive
	switch {
	case s.Authenticate == nil:
		return fault.New(fault.Invalid, "ftp server has nobody to ask for passwords").WithHint("set Authenticate")
	case s.TLS != nil && s.TLS.Certificate == nil:
		return fault.New(fault.Invalid, "ftp server has no certificate to speak TLS with").WithHint("set TLS.Certificate")
	case (p.Low == 0) != (p.High == 0) || p.Low > p.High:
		return fault.New(fault.Invalid, "passive ports %d-%d are no range", p.Low, p.High).
			WithHint("give the lowest and the highest port, as in 5000-5010")
	case p.Low != 0 && p.Low < minPort:
		return fault.New(fault.Invalid, "passive ports %d-%d begin below %d", p.Low, p.High, minPort).
			WithHint("choose ports from %d to 65535", minPort)
	case p.ExternalIP.IsValid() && !p.ExternalIP.Unmap().Is4():
		return fault.New(fault.Invalid, "external address %s is not IPv4", p.ExternalIP).
			WithHint("PASV can name IPv4 addresses only; EPSV, which IPv6 uses, names none")
	}
	return nil
}
