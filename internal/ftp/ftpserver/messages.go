package ftpserver

import (
	"errors"
	"io"
	"path"
	"strconv"
	"strings"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// Messages are texts for people, each element one line of a reply. These words in
// them stand for something: %UserName% (empty before a login), %SiteName%,
// %SessionID%, and, from the client's point of view as in IIS, %BytesReceived% (by
// it) and %BytesSent% (by it).
type Messages struct {
	// Banner is what a client sees first. Without it the server's Name greets.
	Banner   []string
	Greeting []string // after a login
	Exit     []string // after QUIT
	Full     []string // before the words that say which limit was reached
	SiteName string
	// FolderFile is the name of a file, such as .message. Whoever enters a folder
	// that has one is shown its beginning. Empty: nobody is.
	FolderFile string
}

// The bounds of a folder's message.
const (
	maxFolderText  = 4 << 10
	maxFolderLines = 40
)

// message returns text with its variables filled in, and last behind it.
func (s *session) message(text []string, last ...string) []string {
	lines := make([]string, 0, len(text)+len(last))
	var vars *strings.Replacer
	for _, line := range text {
		if strings.Contains(line, "%") {
			if vars == nil {
				vars = s.variables()
			}
			line = vars.Replace(line)
		}
		lines = append(lines, shorten(line))
	}
	return append(lines, last...)
}

func (s *session) variables() *strings.Replacer {
	seen := s.snapshot()
	return strings.NewReplacer(
		"%UserName%", seen.Account, "%SiteName%", s.policy.Messages.SiteName, "%SessionID%", strconv.FormatUint(s.id, 10),
		"%BytesReceived%", strconv.FormatInt(seen.Sent, 10), "%BytesSent%", strconv.FormatInt(seen.Received, 10))
}

// banner is the text of 220.
func (s *session) banner() []string {
	if text := s.policy.Messages.Banner; len(text) > 0 {
		return s.message(text)
	}
	return []string{orDefault(s.policy.Name, "Sallyport") + " FTP server ready"}
}

// folderMessage is the beginning of the message of the folder name, if it has one.
func (s *session) folderMessage(name string) []string {
	file := s.policy.Messages.FolderFile
	if file == "" {
		return nil
	}
	f, err := s.account.Tree.Open(path.Join(name, file))
	if err != nil {
		if fault.KindOf(err) != fault.NotFound {
			s.log.Debug("message of a folder", "folder", name, "err", err)
		}
		return nil
	}
	text := make([]byte, maxFolderText)
	n, err := io.ReadFull(f, text)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		s.log.Debug("message of a folder", "folder", name, "err", err)
		n = 0
	}
	_ = f.Close() // only read
	if n == 0 {
		return nil
	}
	body := strings.TrimRight(strings.ToValidUTF8(string(text[:n]), "?"), "\r\n")
	lines := strings.Split(strings.ReplaceAll(body, "\r\n", "\n"), "\n")
	if len(lines) > maxFolderLines {
		lines = append(lines[:maxFolderLines], "...")
	}
	return s.message(lines)
}

// overLimit refuses a login to an account that has as many sessions as it may.
func (s *session) overLimit(account string) error {
	n := s.policy.Limits.SessionsPerUser
	if s.srv.enterUser(account, n) {
		return nil
	}
	s.log.Warn("login refused: too many sessions of one user", "user", account, "limit", n)
	return fault.New(fault.Busy, "too many sessions of this user: %d at once is the most, try again later", n)
}

// enterUser counts a session of user, unless there are most already.
func (s *Server) enterUser(user string, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.perUser[user] >= most {
		return false
	}
	s.perUser[user]++
	return true
}

func (s *Server) leaveUser(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.perUser[user]--; s.perUser[user] == 0 {
		delete(s.perUser, user)
	}
}

// full is the reply to a session that there is no room for.
func (p *policy) full(s *session, reason string) ftp.Reply {
	return ftp.NewReply(ftp.CodeUnavailable, s.message(p.Messages.Full, reason)...)
}
