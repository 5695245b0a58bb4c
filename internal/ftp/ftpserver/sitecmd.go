package ftpserver

import (
	"io/fs"
	"strconv"
	"strings"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// SITE: commands beyond the RFCs that clients have come to expect.

// siteCommand is one of them.
type siteCommand struct {
	word, what, does string
	writes           bool // refused to accounts that are read-only
	run              func(s *session, arg string)
}

var siteCommands = [...]siteCommand{
	{"CHMOD", "mode path", "sets permissions, in octal", true, (*session).siteCHMOD},
	{"UTIME", "time path", "sets a file's time of change in UTC", true, (*session).siteUTIME},
	{"UMASK", "[mask]", "sets or says which permissions new files of this session do not get", false, (*session).siteUMASK},
	{"IDLE", "[seconds]", "sets or says how long this session may be silent", false, (*session).siteIDLE},
}

func (s *session) handleSITE(arg string) {
	word, rest, _ := strings.Cut(arg, " ")
	rest = strings.TrimLeft(rest, " ")
	word = strings.ToUpper(word)
	if word == "HELP" {
		s.siteHELP()
		return
	}
	for _, c := range siteCommands {
		switch {
		case c.word != word:
			continue
		case s.account == nil:
			s.reply(ftp.CodeNotLoggedIn, "Log in first, with USER and PASS")
		case c.writes && s.account.ReadOnly:
			s.reply(ftp.CodeFileUnavailable, readOnlyText)
		case rest == "" && !strings.HasPrefix(c.what, "["):
			s.reply(ftp.CodeBadArgument, "Argument missing: SITE "+c.word+" "+c.what)
		default:
			c.run(s, rest)
		}
		return
	}
	s.reply(ftp.CodeBadParameter, "Unknown SITE command; SITE HELP lists those that are served")
}

func (s *session) siteHELP() {
	lines := []string{"SITE commands:", "HELP: lists them"}
	for _, c := range siteCommands {
		lines = append(lines, c.word+" "+c.what+": "+c.does)
	}
	s.reply(ftp.CodeHelp, append(lines, "End")...)
}

// octal parses permissions. Bits beyond them would let a file run as its owner.
func octal(text string) (fs.FileMode, bool) {
	n, err := strconv.ParseUint(text, 8, 16)
	return fs.FileMode(n), err == nil && n <= 0o777
}

func (s *session) siteCHMOD(arg string) {
	text, file, _ := strings.Cut(arg, " ")
	mode, ok := octal(text)
	if !ok || file == "" {
		s.reply(ftp.CodeBadArgument, "Want SITE CHMOD mode path, the mode in octal from 0 to 777")
		return
	}
	s.change(file, ftp.CodeOK, "Permissions set", func(name string) error { return s.account.Tree.SetMode(name, mode) })
}

// siteUTIME takes both forms that are in use: "YYYYMMDDhhmm[ss] path", and
// "path YYYYMMDDhhmmss YYYYMMDDhhmmss YYYYMMDDhhmmss UTC", which are access,
// change and creation.
func (s *session) siteUTIME(arg string) {
	stamp, file, _ := strings.Cut(arg, " ")
	if words := strings.Split(arg, " "); len(words) >= 5 && strings.EqualFold(words[len(words)-1], "UTC") {
		at := len(words) - 4
		stamp, file = words[at+1], strings.Join(words[:at], " ")
	}
	if len(stamp) == len("200601021504") {
		stamp += "00"
	}
	t, err := ftp.ParseTime(stamp)
	if err != nil || file == "" {
		s.reply(ftp.CodeBadArgument, "Want SITE UTIME YYYYMMDDhhmmss path, in UTC")
		return
	}
	s.change(file, ftp.CodeOK, "Time set", func(name string) error { return s.account.Tree.SetTime(name, t) })
}

func (s *session) siteUMASK(arg string) {
	if arg == "" {
		text := "The site's own permissions hold"
		if s.umask != nil {
			text = "The mask is " + strconv.FormatUint(uint64(*s.umask), 8)
		}
		s.reply(ftp.CodeOK, text)
		return
	}
	mask, ok := octal(arg)
	if !ok {
		s.reply(ftp.CodeBadArgument, "Want SITE UMASK mask, in octal from 0 to 777")
		return
	}
	s.umask = &mask
	s.reply(ftp.CodeOK, "The mask is "+strconv.FormatUint(uint64(mask), 8))
}

// minIdle is the shortest time that SITE IDLE sets.
const minIdle = 10 * time.Second

// siteIDLE lets a client shorten the time that it may be silent. The site's own
// is the most.
func (s *session) siteIDLE(arg string) {
	most := s.policy.Timeouts.Idle
	if arg == "" {
		s.reply(ftp.CodeOK, "This session may be silent for "+s.timeouts.Idle.String()+", at most for "+most.String())
		return
	}
	n, err := strconv.ParseUint(arg, 10, 31)
	idle := time.Duration(n) * time.Second
	if err != nil || idle < min(minIdle, most) || idle > most {
		s.reply(ftp.CodeBadArgument, "Want seconds, for a time from "+min(minIdle, most).String()+" to "+most.String())
		return
	}
	s.timeouts.Idle = idle
	s.pace.setIdle(idle)
	s.reply(ftp.CodeOK, "This session may be silent for "+idle.String())
}

// masked takes the permissions of SITE UMASK from what upload u will publish as
// name; it adds none to those that the site gives. A file that is replaced keeps
// its own.
func (s *session) masked(name string, u Upload) error {
	if s.umask == nil {
		return nil
	}
	if _, err := s.account.Tree.Stat(name); fault.KindOf(err) != fault.NotFound {
		return nil
	}
	info, err := u.File().Stat()
	if err == nil {
		err = u.File().Chmod(info.Mode().Perm() &^ *s.umask)
	}
	if err != nil {
		return fault.As(err, "setting permissions of %q", name)
	}
	return nil
}
