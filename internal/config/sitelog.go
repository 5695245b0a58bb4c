package config

import "fmt"

// SiteLog is the log of what a site's clients do.
type SiteLog struct {
	File   string     `yaml:"file" need:"yes" help:"file that is appended to, such as /var/log/sallyport/softwares.log"`
	Format LogFormat  `yaml:"format" help:"w3c: fields as IIS writes them; xferlog: as wu-ftpd and vsftpd, transfers alone; json: an object a line"`
	Events []LogEvent `yaml:"events" help:"what is written: commands, transfers, infrastructure (data connections, and PASV, EPSV, PORT, EPRT)"`
	Size   int        `yaml:"max_size" min:"1" max:"1048576" help:"MiB after which the file is put by under a name with the time in it"`
	Rotate LogRotate  `yaml:"rotate" help:"daily: the file is put by when a day is over, in UTC, too; size: only when it is large; never: another program does that, and asks for a reload"`
	Keep   int        `yaml:"keep" min:"1" max:"100000" help:"how many files that were put by stay"`
}

// LogFormat is how a log is written.
type LogFormat string

// The formats of logs.
const (
	LogW3C     LogFormat = "w3c"
	LogXferlog LogFormat = "xferlog"
	LogJSON    LogFormat = "json"
)

// Choices lists what may be written.
func (LogFormat) Choices() []string { return []string{"w3c", "xferlog", "json"} }

// LogEvent is what a log may tell of.
type LogEvent string

// What a log may tell of.
const (
	LogCommands       LogEvent = "commands"
	LogTransfers      LogEvent = "transfers"
	LogInfrastructure LogEvent = "infrastructure"
)

// Choices lists what may be written.
func (LogEvent) Choices() []string { return []string{"commands", "transfers", "infrastructure"} }

// LogRotate says when a log's file is put by.
type LogRotate string

// When a log's file is put by.
const (
	LogDaily LogRotate = "daily"
	LogSize  LogRotate = "size"
	LogNever LogRotate = "never"
)

// Choices lists what may be written.
func (LogRotate) Choices() []string { return []string{"daily", "size", "never"} }

func (l *SiteLog) defaults() {
	if l == nil {
		return
	}
	orElse(&l.Format, LogW3C)
	if l.Events == nil {
		l.Events = []LogEvent{LogCommands, LogTransfers}
		if l.Format == LogXferlog {
			l.Events = []LogEvent{LogTransfers}
		}
	}
	orElse(&l.Rotate, LogDaily)
	orElse(&l.Size, 20)
	orElse(&l.Keep, 30)
}

func (c *checker) siteLog(i int, s Site) {
	l, at := s.Log, fmt.Sprintf("sites[%d].log", i)
	if l == nil {
		return
	}
	c.folder(at+".file", l.File)
	for j, other := range c.doc.Sites[:i] {
		if other.Log != nil && other.Log.File == l.File && l.File != "" {
			c.fault(at+".file", "give each site a file of its own", "sites[%d] writes to the same file", j)
		}
	}
	for k, e := range l.Events {
		if l.Format == LogXferlog && e != LogTransfers && e != "" {
			c.fault(fmt.Sprintf("%s.events[%d]", at, k), "write events: [transfers], or format: w3c", "an xferlog has lines for transfers alone")
		}
	}
	for _, key := range []string{"max_size", "keep"} {
		if l.Rotate == LogNever && c.doc.Written(at+"."+key) {
			c.warn(at+"."+key, "remove it, or write rotate: daily", "rotate: never puts no file by")
		}
	}
}
