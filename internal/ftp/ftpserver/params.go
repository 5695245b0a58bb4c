package ftpserver

import (
	"strconv"
	"strings"

	"sallyport.dev/internal/ftp"
)

// Transfer parameters, RFC 959 section 4.1.2, and what a server says of itself.

func (s *session) handleTYPE(arg string) {
	switch strings.Join(strings.Fields(strings.ToUpper(arg)), " ") {
	case "A", "A N":
		s.ascii = true
		s.reply(ftp.CodeOK, "Type is ASCII")
	case "I", "L 8", "L8":
		s.ascii = false
		s.reply(ftp.CodeOK, "Type is binary")
	default:
		s.reply(ftp.CodeBadParameter, "Types are A (text) and I (binary)")
	}
}

func (s *session) handleMODE(arg string) {
	if !strings.EqualFold(arg, "S") {
		s.reply(ftp.CodeBadParameter, "The mode is S (stream)")
		return
	}
	s.reply(ftp.CodeOK, "Mode is stream")
}

func (s *session) handleSTRU(arg string) {
	if !strings.EqualFold(arg, "F") {
		s.reply(ftp.CodeBadParameter, "The structure is F (file)")
		return
	}
	s.reply(ftp.CodeOK, "Structure is file")
}

// handleREST keeps the offset for the next transfer (RFC 3659 section 5).
func (s *session) handleREST(arg string) {
	n, err := strconv.ParseInt(arg, 10, 64)
	if err != nil || n < 0 || arg[0] == '+' {
		s.reply(ftp.CodeBadArgument, "Want a number of bytes, 0 or more")
		return
	}
	s.restart = n
	s.reply(ftp.CodePending, "Restarting at byte "+strconv.FormatInt(n, 10)+"; send RETR or STOR")
}

func (s *session) handleNOOP(string) { s.reply(ftp.CodeOK, "Fine") }

// handleACCT is for clients that send it whether it is asked for or not.
func (s *session) handleACCT(string) {
	s.reply(ftp.CodeSuperfluous, "Accounts are not used; USER and PASS are enough")
}

// handleCLNT lets a client say what it is.
func (s *session) handleCLNT(arg string) {
	s.log.Info("client", "name", arg)
	s.reply(ftp.CodeOK, "Noted")
}

// handleLANG chooses the language of replies, of which there is one (RFC 2640
// section 4).
func (s *session) handleLANG(arg string) {
	lang, _, _ := strings.Cut(strings.ToUpper(arg), "-")
	if lang != "" && lang != "EN" {
		s.reply(ftp.CodeBadParameter, "Replies are in English (EN)")
		return
	}
	s.reply(ftp.CodeOK, "Replies are in English")
}

func (s *session) handleSYST(string) { s.reply(ftp.CodeSystemType, s.policy.Listing.system()) }

// handleFEAT lists the extensions (RFC 2389 section 3).
func (s *session) handleFEAT(string) {
	lines := []string{"Extensions:"}
	for _, c := range ordered(s.table) {
		for _, f := range c.feat {
			if f == featMLST {
				f = offeredFacts.Feat(s.facts)
			}
			switch {
			case strings.HasPrefix(f, featTLS) && s.secureServer() == nil, strings.HasPrefix(f, featHost) && s.door == nil:
			default:
				lines = append(lines, strings.TrimPrefix(strings.TrimPrefix(f, featTLS), featHost))
			}
		}
	}
	s.reply(ftp.CodeSystemStatus, append(lines, "End")...)
}

// handleOPTS sets options of other commands (RFC 2389 section 4).
func (s *session) handleOPTS(arg string) {
	verb, value, _ := strings.Cut(arg, " ")
	value = strings.TrimSpace(value)
	switch strings.ToUpper(verb) {
	case "UTF8", "UTF-8":
		if value == "" || strings.EqualFold(value, "ON") {
			s.reply(ftp.CodeOK, "Names are UTF-8, always")
			return
		}
		s.reply(ftp.CodeBadParameter, "Names are UTF-8, always")
	case "MLST":
		s.facts = ftp.ParseFacts(value) & offeredFacts
		s.reply(ftp.CodeOK, strings.TrimRight("MLST OPTS "+s.facts.String(), " "))
	default:
		s.reply(ftp.CodeBadArgument, "Options are there for MLST and UTF8")
	}
}

// handleHELP lists the verbs, or says how one is written (RFC 959 section 4.1.3).
func (s *session) handleHELP(arg string) {
	if arg == "" {
		s.reply(ftp.CodeHelp, s.verbs("Commands (see HELP with one of them):", func(c *command) bool { return c.refusal == "" })...)
		return
	}
	cmd := s.table[strings.ToUpper(arg)]
	switch {
	case cmd == nil:
		s.reply(ftp.CodeBadArgument, "Unknown command; HELP lists those that are served")
	case cmd.refusal != "":
		s.reply(ftp.CodeHelp, cmd.refusal)
	default:
		s.reply(ftp.CodeHelp, cmd.syntax()+": "+cmd.does+" ("+cmd.rfc+")")
	}
}

// verbs returns lines of eight verbs each.
func (s *session) verbs(title string, want func(*command) bool) []string {
	lines := []string{title}
	var row []string
	for _, c := range ordered(s.table) {
		if !want(c) {
			continue
		}
		if row = append(row, c.verb); len(row) == 8 {
			lines, row = append(lines, strings.Join(row, " ")), nil
		}
	}
	if len(row) > 0 {
		lines = append(lines, strings.Join(row, " "))
	}
	return append(lines, "End")
}

// handleSTAT without an argument says how things stand, also during a transfer
// (RFC 959 section 4.1.3); with one it lists over the control connection.
func (s *session) handleSTAT(arg string) {
	if arg != "" {
		s.statPath(arg)
		return
	}
	lines := []string{"Status:", "Your address is " + s.peer.String()}
	if s.account == nil {
		lines = append(lines, "Not logged in")
	} else {
		lines = append(lines, "Logged in as "+strconv.Quote(s.account.Name), "Directory "+shorten(strconv.Quote(s.cwd)))
	}
	kind := "binary"
	if s.ascii {
		kind = "ASCII"
	}
	lines = append(lines, "Type "+kind+", mode stream, structure file", s.protectionText())
	if t := s.current(); t != nil {
		lines = append(lines, t.verb+" "+shorten(strconv.Quote(t.path))+" is under way, "+strconv.FormatInt(t.moved.Load(), 10)+" bytes so far")
	}
	s.reply(ftp.CodeSystemStatus, append(lines, "End")...)
}
