package ftpserver

import (
	"strconv"
	"strings"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// Room for files: ALLO of RFC 959 section 4.1.3, and AVBL.

// handleALLO says whether there is room for a file ("ALLO 1048576", or with the
// size of records as in "ALLO 1048576 R 80", which is nothing to us). Nothing is
// set aside.
func (s *session) handleALLO(arg string) {
	if arg == "" {
		s.reply(ftp.CodeSuperfluous, "No storage need be allocated ahead")
		return
	}
	size, records, _ := strings.Cut(arg, " ")
	want, err := strconv.ParseUint(size, 10, 63)
	if err == nil && records != "" {
		letter, record, _ := strings.Cut(records, " ")
		if _, err = strconv.ParseUint(record, 10, 63); !strings.EqualFold(letter, "R") {
			err = strconv.ErrSyntax
		}
	}
	if err != nil {
		s.reply(ftp.CodeBadArgument, "Want a number of bytes")
		return
	}
	free, err := s.account.Tree.Free(s.cwd)
	switch {
	case err != nil: // a disk that does not tell
		s.reply(ftp.CodeSuperfluous, "No storage need be allocated ahead")
	case want > free:
		s.reply(ftp.CodeNoSpace, "There is room for "+strconv.FormatUint(free, 10)+" bytes")
	default:
		s.reply(ftp.CodeOK, "There is room; nothing is set aside")
	}
}

// handleAVBL tells how many bytes there are room for in a folder
// (draft-peterson-streamlined-ftp-command-extensions section 4).
func (s *session) handleAVBL(arg string) {
	name, info, ok := s.stat(arg)
	if !ok {
		return
	}
	if !info.IsDir() {
		s.fail(fault.New(fault.Denied, "%q is not a folder", name))
		return
	}
	free, err := s.account.Tree.Free(name)
	if err != nil {
		s.fail(err)
		return
	}
	s.reply(ftp.CodeFileStatus, strconv.FormatUint(free, 10))
}
