package testkit

// FTPServer is a real FTP server that runs for one test.
type FTPServer struct {
	Addr     string // host:port of the control connection
	Host     string
	Port     int
	User     string
	Password string
	Home     string    // the folder served, as the server's root; owned by the server's user
	LogFile  string    // what the server writes, its output included
	Passive  PortRange // the data ports that it announces
	Certs    *Certs    // its authority; nil without TLS
	PID      int       // of the listening process

	uid, gid int
}

// ServerTLS says what TLS a server under test speaks.
type ServerTLS struct {
	// Certs holds the server's certificate. Nil makes one for Host and localhost.
	Certs *Certs
	// Implicit means TLS from the first byte instead of AUTH TLS (vsftpd, ProFTPD).
	Implicit bool
	// Optional also takes logins and data without TLS.
	Optional bool
	// NoReuse lets data connections start a TLS session of their own. Without it
	// vsftpd and ProFTPD demand that they resume the control connection's.
	NoReuse bool
	// MaxVersion is "1.2" or "1.3"; empty leaves it to the server.
	MaxVersion string
}

// ServerOptions start an FTP server. The zero value is a plain one on 127.0.0.1
// with passive ports of its own choice out of a reserved range.
type ServerOptions struct {
	// Host is the address to listen on. Empty means 127.0.0.1.
	Host string
	// Port of the control connection. Zero picks one below 32768.
	Port int
	// Netns runs the server in that network namespace; set Host too then.
	Netns string
	// PassiveMin and PassiveMax bound the data ports. Zero: a range reserved for
	// this server.
	PassiveMin, PassiveMax int
	// Home is the folder to serve; it must be reachable for other users. Empty
	// makes one.
	Home string
	// TLS, if not nil, turns on TLS.
	TLS *ServerTLS
	// Extra are further settings: "key": "value" lines of vsftpd.conf or
	// proftpd.conf, or options of pure-ftpd ("-C": "1000"). They win over ours.
	Extra map[string]string
}

// VsftpdOptions, ProftpdOptions, PureftpdOptions and PyftpdlibOptions are
// [ServerOptions].
type (
	VsftpdOptions    = ServerOptions
	ProftpdOptions   = ServerOptions
	PureftpdOptions  = ServerOptions
	PyftpdlibOptions = ServerOptions
)
