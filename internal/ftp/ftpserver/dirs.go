package ftpserver

import (
	"io/fs"
	"path"
	"strconv"
	"strings"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// Folders and single files, RFC 959 section 4.1.3 and RFC 3659.

// path returns the virtual path that arg means, or answers why it means none.
func (s *session) path(arg string) (string, bool) {
	name, err := ftp.JoinPath(s.cwd, arg)
	if err != nil {
		s.fail(err)
		return "", false
	}
	s.touched = name
	return name, true
}

// stat is path followed by Stat.
func (s *session) stat(arg string) (string, fs.FileInfo, bool) {
	name, ok := s.path(arg)
	if !ok {
		return "", nil, false
	}
	info, err := s.account.Tree.Stat(name)
	if err != nil {
		s.fail(err)
		return "", nil, false
	}
	return name, info, true
}

// change carries one change of the tree out and answers it.
func (s *session) change(arg string, code ftp.Code, done string, do func(name string) error) {
	name, ok := s.path(arg)
	if !ok {
		return
	}
	if err := do(name); err != nil {
		s.fail(err)
		return
	}
	s.reply(code, done)
}

func (s *session) handlePWD(string) {
	s.reply(ftp.CodePath, ftp.QuotePath(s.cwd)+" is the current directory")
}

func (s *session) handleCWD(arg string) {
	name, info, ok := s.stat(arg)
	switch {
	case !ok:
	case !info.IsDir():
		s.fail(fault.New(fault.Denied, "%q is not a folder", name))
	default:
		var text []string
		if name != s.cwd {
			text = s.folderMessage(name)
		}
		s.cwd = name
		s.reply(ftp.CodeFileOK, append(text, "Directory changed to "+shorten(ftp.QuotePath(name)))...)
	}
}

func (s *session) handleCDUP(string) { s.handleCWD("..") }

func (s *session) handleMKD(arg string) {
	if name, ok := s.path(arg); ok {
		s.change(arg, ftp.CodePath, ftp.QuotePath(name)+" created", s.mkdir)
	}
}

// mkdir makes a folder and takes the permissions of SITE UMASK from it.
func (s *session) mkdir(name string) error {
	if err := s.account.Tree.Mkdir(name); err != nil || s.umask == nil {
		return err
	}
	info, err := s.account.Tree.Stat(name)
	if err != nil {
		return err
	}
	return s.account.Tree.SetMode(name, info.Mode().Perm()&^*s.umask)
}

func (s *session) handleRMD(arg string) {
	s.change(arg, ftp.CodeFileOK, "Directory removed", s.account.Tree.Rmdir)
}

func (s *session) handleDELE(arg string) {
	s.change(arg, ftp.CodeFileOK, "File deleted", s.account.Tree.Remove)
}

func (s *session) handleRNFR(arg string) {
	if name, _, ok := s.stat(arg); ok {
		s.renameFrom = name
		s.reply(ftp.CodePending, "Send RNTO with the new name")
	}
}

func (s *session) handleRNTO(arg string) {
	from := s.renameFrom
	s.renameFrom = ""
	if from == "" {
		s.reply(ftp.CodeBadSequence, "Send RNFR right before")
		return
	}
	s.change(arg, ftp.CodeFileOK, "Renamed", func(to string) error { return s.account.Tree.Rename(from, to) })
}

// handleSIZE answers the size of a transfer in the current type. For text that
// would take reading the whole file (RFC 3659 section 4 allows to refuse).
func (s *session) handleSIZE(arg string) {
	name, info, ok := s.stat(arg)
	switch {
	case !ok:
	case !info.Mode().IsRegular():
		s.fail(fault.New(fault.Denied, "%q is not a file", name))
	case s.ascii:
		s.reply(ftp.CodeFileUnavailable, "SIZE counts bytes; send TYPE I first")
	default:
		s.reply(ftp.CodeFileStatus, strconv.FormatInt(info.Size(), 10))
	}
}

func (s *session) handleMDTM(arg string) {
	if _, info, ok := s.stat(arg); ok {
		s.reply(ftp.CodeFileStatus, ftp.FormatTime(info.ModTime()))
	}
}

// handleMFMT sets a modification time ("MFMT 20240528091500 name").
func (s *session) handleMFMT(arg string) {
	stamp, file, _ := strings.Cut(arg, " ")
	t, err := ftp.ParseTime(stamp)
	if err != nil || file == "" {
		s.reply(ftp.CodeBadArgument, "Want MFMT YYYYMMDDHHMMSS name, in UTC")
		return
	}
	s.change(file, ftp.CodeFileStatus, "Modify="+ftp.FormatTime(t)+"; "+file, func(name string) error {
		return s.account.Tree.SetTime(name, t)
	})
}

// handleMLST describes one name over the control connection (RFC 3659 section 7).
func (s *session) handleMLST(arg string) {
	name, info, ok := s.stat(arg)
	if !ok {
		return
	}
	e := s.entry(info)
	e.Name = name
	s.reply(ftp.CodeFileOK, "Begin", string(ftp.AppendMLSx(nil, e, s.facts)), "End")
}

// base is path.Base, which for the top folder is "/".
func base(name string) string { return path.Base(name) }
