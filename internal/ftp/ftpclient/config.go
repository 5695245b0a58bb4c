package ftpclient

import (
	"crypto/tls"
	"log/slog"
	"net"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/secret"
)

// Security says how connections are protected.
type Security uint8

// The kinds of protection.
const (
	Plain    Security = iota // none
	Explicit                 // AUTH TLS on the control connection, PROT P (RFC 4217)
	Implicit                 // TLS from the first byte, usually on port 990
)

// String returns "none", "explicit" or "implicit".
func (s Security) String() string {
	switch s {
	case Plain:
		return "none"
	case Explicit:
		return "explicit"
	case Implicit:
		return "implicit"
	default:
		return "unknown"
	}
}

// Config says which server to speak with and how.
type Config struct {
	// Dial opens every connection. Nil dials with the operating system.
	Dial netx.DialFunc
	// Addr is the server's host:port. Data connections go to the same host,
	// spelled the same: a virtual name is never resolved here.
	Addr string
	// User and Password log in. An empty user is "anonymous".
	User     string
	Password secret.Text
	// Account is given to servers that ask for one beside the password (ACCT).
	Account secret.Text
	// VirtualHost, if set, is the name of the server wanted of several behind one
	// address (HOST, RFC 7151).
	VirtualHost string
	// Security is how connections are protected; the server can not talk the
	// client out of it.
	Security Security
	// TLS is cloned for each control connection; its ClientSessionCache is not
	// used. Nil verifies against the system's roots. An empty ServerName becomes
	// the host of Addr.
	// [Trust.Config] makes one.
	TLS *tls.Config
	// Mode says who opens data connections. The zero value is passive.
	Mode Mode
	// PasvAddress says which address of a reply to PASV is believed.
	PasvAddress PasvAddress
	// Active is for mode Active.
	Active Active
	// Pipelining says whether commands may be sent together.
	Pipelining Pipelining
	// Habits remember what was found out about the server, for all connections to
	// it. Nil: for this connection alone.
	Habits *Habits
	// Timeouts bound the waits.
	Timeouts Timeouts
	// Charset is the character set of the server's names. In UTF-8, the zero value,
	// names are the server's bytes. In another one names in entries are decoded and
	// names in commands encoded again; see [ftp.Charset.Decode] for what becomes of
	// names that are not of the set. The server is not asked for UTF-8 then.
	Charset ftp.Charset
	// Location is the time zone of the server's LIST. Nil: its distance to UTC is
	// learnt by one MDTM an hour, and UTC as long as that tells nothing; see
	// [Conn.Zone]. Name the zone for a server that has summer time, or files of the
	// other half of the year may be an hour off.
	Location *time.Location
	// Stage, if set, is told of each stage of Dial as it begins, in the order of
	// the constants below; StageTLS only where there is TLS, before the greeting
	// where TLS is implicit.
	Stage func(stage string)
	// Logger gets commands and replies at level debug, without secrets. Nil
	// discards them.
	Logger *slog.Logger
}

// The stages of [Dial].
const (
	StageConnect  = "connect"
	StageGreeting = "greeting"
	StageTLS      = "tls"
	StageLogin    = "login"
	StageSession  = "session"
)

// Timeouts bound single waits, never a whole transfer. Zero fields get the
// defaults.
type Timeouts struct {
	Dial  time.Duration // opening one connection, TLS handshake included; 30 s
	Reply time.Duration // the answer to a command; 30 s
	Stall time.Duration // a data connection on which nothing moves; 60 s
	Final time.Duration // the last reply after the data, when a server may still be writing to a slow disk; 2 min
}

func (t Timeouts) withDefaults() Timeouts {
	for _, f := range []struct {
		d    *time.Duration
		zero time.Duration
	}{{&t.Dial, 30 * time.Second}, {&t.Reply, 30 * time.Second}, {&t.Stall, 60 * time.Second}, {&t.Final, 2 * time.Minute}} {
		if *f.d <= 0 {
			*f.d = f.zero
		}
	}
	return t
}

// withDefaults checks c, fills in what it leaves open, and returns the host.
func (c Config) withDefaults() (Config, string, error) {
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil || host == "" || port == "" {
		return c, "", fault.New(fault.Invalid, "server address %q is not host:port", c.Addr).
			WithHint("write it as in ftp.example.com:21")
	}
	if c.Security > Implicit || c.Mode > ActiveMode || c.PasvAddress > TrustPasv {
		return c, "", fault.New(fault.Unsupported, "security %d, mode %d or PASV address %d is not known", c.Security, c.Mode, c.PasvAddress)
	}
	if c.Dial == nil {
		c.Dial = netx.System{}.Dial
	}
	if c.User == "" {
		c.User = "anonymous"
		if c.Password.Empty() {
			c.Password = secret.New("anonymous@")
		}
	}
	if c.Habits == nil {
		c.Habits = &Habits{}
	}
	if c.Stage == nil {
		c.Stage = func(string) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Timeouts = c.Timeouts.withDefaults()
	return c, host, nil
}
