package ftpserver

import (
	"path"
	"strings"
	"time"

	"sallyport.dev/internal/ftp"
)

// Listing says what LIST looks like. MLSD and MLST are the same whatever it says.
type Listing struct {
	// DOS writes lines as IIS and dir do, and SYST says that this is Windows, by
	// which clients tell; else they are those of ls -l.
	DOS bool
	// Zone is that of the times in LIST. Nil means UTC.
	Zone *time.Location
	// HideDots leaves names that begin with a dot out of LIST, NLST and STAT, unless
	// the client says -a or writes a pattern that begins with a dot.
	HideDots bool
}

// line makes the lines of LIST.
func (l Listing) line(now time.Time) lineFunc {
	zone := l.Zone
	if zone == nil {
		zone = time.UTC
	}
	if l.DOS {
		return func(b []byte, e ftp.Entry) []byte {
			e.Time = e.Time.In(zone)
			return ftp.AppendDOSLine(b, e)
		}
	}
	now = now.In(zone)
	return func(b []byte, e ftp.Entry) []byte {
		e.Time = e.Time.In(zone)
		return ftp.AppendUnixLine(b, e, now)
	}
}

// system is the answer to SYST: clients go by it when they read LIST.
func (l Listing) system() string {
	if l.DOS {
		return "Windows_NT"
	}
	return "UNIX Type: L8"
}

// selection is which entries of a folder a listing has.
type selection struct {
	pattern string // of path.Match; empty: every name
	dots    bool   // also names that begin with a dot
}

// selection is what arg, of LIST, NLST or STAT, asks for by options of ls.
func (s *session) selection(arg string) selection {
	return selection{dots: !s.policy.Listing.HideDots || strings.ContainsAny(options(arg), "aA")}
}

// options returns what stands before the path: "-la " of "-la dir".
func options(arg string) string { return strings.TrimSuffix(arg, withoutOptions(arg)) }

// like narrows a selection to names that match pattern. As with a shell, one that
// begins with a dot means those that do.
func (w selection) like(pattern string) selection {
	return selection{pattern: pattern, dots: w.dots || strings.HasPrefix(pattern, ".")}
}

func (w selection) has(name string) bool {
	if !w.dots && strings.HasPrefix(name, ".") {
		return false
	}
	if w.pattern == "" {
		return true
	}
	match, err := path.Match(w.pattern, name)
	return err == nil && match
}
