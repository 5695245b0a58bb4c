package ftpserver

import (
	"cmp"
	"maps"
	"slices"

	"sallyport.dev/internal/ftp"
)

// argShape says whether a command takes an argument.
type argShape uint8

const (
	argNone argShape = iota
	argOptional
	argRequired
)

// command is one row of the table. The zero value of a flag is the common case.
type command struct {
	verb    string
	alias   string // the X form of RFC 1123 section 4.1.3.1
	rfc     string // number and section
	arg     argShape
	what    string // the argument's name
	login   bool   // needs a login
	during  bool   // without an argument, looked at while a transfer runs; others wait
	writes  bool   // refused to accounts that are read-only
	does    string
	feat    []string                     // lines of FEAT
	refusal string                       // instead of run: why it is not served
	run     func(s *session, arg string) // gets the argument checked for its shape
}

// featMLST stands for the line that depends on what OPTS MLST chose.
const featMLST = "MLST"

// featTLS begins lines that are there only where TLS is.
const featTLS = "tls:"

// featHost begins lines that are there only where several sites are.
const featHost = "host:"

// The columns of the table that are words.
const (
	yes  = true
	no   = false
	none = ""
)

// rows is everything a client can say. FEAT, HELP, [Commands] and the seeds of
// the fuzz tests are drawn from it.
//
//	verb    alias   RFC, section   argument         login during writes what it does
var rows = [...]command{
	{"USER", none, "959 4.1.1", argRequired, "name", no, no, no, "begins a login, also anew", nil, none, (*session).handleUSER},
	{"PASS", none, "959 4.1.1", argOptional, "password", no, no, no, "ends a login", nil, none, (*session).handlePASS},
	{"ACCT", none, "959 4.1.1", argRequired, "account", no, no, no, "does nothing: accounts are not used", nil, none, (*session).handleACCT},
	{"HOST", none, "7151 3", argRequired, "name", no, no, no, "chooses the site, where there are several at one address", []string{featHost + "HOST"}, none, (*session).handleHOST},
	{"QUIT", none, "959 4.1.1", argNone, none, no, no, no, "ends the session, after a transfer that runs", nil, none, (*session).handleQUIT},
	{"REIN", none, "959 4.1.1", argNone, none, no, no, no, "begins anew, after a transfer that runs; TLS stays", nil, none, (*session).handleREIN},
	{"CWD", "XCWD", "959 4.1.1", argRequired, "directory", yes, no, no, "changes the current directory", []string{"TVFS"}, none, (*session).handleCWD},
	{"CDUP", "XCUP", "959 4.1.1", argNone, none, yes, no, no, "goes to the directory above", nil, none, (*session).handleCDUP},

	{"TYPE", none, "959 4.1.2", argRequired, "A|I", yes, no, no, "sets text or binary transfers", nil, none, (*session).handleTYPE},
	{"MODE", none, "959 4.1.2", argRequired, "S", yes, no, no, "sets the transfer mode: stream", nil, none, (*session).handleMODE},
	{"STRU", none, "959 4.1.2", argRequired, "F", yes, no, no, "sets the file structure: file", nil, none, (*session).handleSTRU},
	{"PASV", none, "959 4.1.2", argNone, none, yes, no, no, "names an address and port of the server for the next data connection", nil, none, (*session).handlePASV},
	{"EPSV", none, "2428 3", argOptional, "1|2|ALL", yes, no, no, "names a port of the server for the next data connection", []string{"EPSV"}, none, (*session).handleEPSV},
	{"PORT", none, "959 4.1.2", argRequired, "h1,h2,h3,h4,p1,p2", yes, no, no, "names the client's port for the next data connection", nil, none, (*session).handlePORT},
	{"EPRT", none, "2428 2", argRequired, "|family|address|port|", yes, no, no, "names the client's port for the next data connection", []string{"EPRT"}, none, (*session).handleEPRT},

	{"RETR", none, "959 4.1.3", argRequired, "file", yes, no, no, "downloads a file", nil, none, (*session).handleRETR},
	{"STOR", none, "959 4.1.3", argRequired, "file", yes, no, yes, "uploads a file, which appears when it is whole", nil, none, (*session).handleSTOR},
	{"APPE", none, "959 4.1.3", argRequired, "file", yes, no, yes, "adds to the end of a file", nil, none, (*session).handleAPPE},
	{"STOU", none, "959 4.1.3", argOptional, "name", yes, no, yes, "uploads a file under a name that the server makes", nil, none, (*session).handleSTOU},
	{"REST", none, "3659 5", argRequired, "offset", yes, no, no, "makes the next RETR or STOR begin at a byte of the file", []string{"REST STREAM"}, none, (*session).handleREST},
	{"ABOR", none, "959 4.1.3", argNone, none, yes, yes, no, "ends a transfer that runs", nil, none, (*session).handleABOR},
	{"ALLO", none, "959 4.1.3", argOptional, "size", yes, no, no, "says whether there is room for a file of that size", nil, none, (*session).handleALLO},
	{"AVBL", none, "draft-peterson-streamlined-ftp-command-extensions 4", argOptional, "directory", yes, no, no, "says for how many bytes there is room", []string{"AVBL"}, none, (*session).handleAVBL},

	{"LIST", none, "959 4.1.3", argOptional, "path", yes, no, no, "lists a directory as ls does", nil, none, (*session).handleLIST},
	{"NLST", none, "959 4.1.3", argOptional, "path", yes, no, no, "lists the names in a directory", nil, none, (*session).handleNLST},
	{"MLSD", none, "3659 7", argOptional, "directory", yes, no, no, "lists a directory for programs", nil, none, (*session).handleMLSD},
	{"MLST", none, "3659 7", argOptional, "path", yes, no, no, "describes one name for programs", []string{featMLST}, none, (*session).handleMLST},
	{"SIZE", none, "3659 4", argRequired, "file", yes, no, no, "gives a file's size in bytes", []string{"SIZE"}, none, (*session).handleSIZE},
	{"MDTM", none, "3659 3", argRequired, "file", yes, no, no, "gives a file's time of change in UTC", []string{"MDTM"}, none, (*session).handleMDTM},
	{"MFMT", none, "draft-somers-ftp-mfxx 3.1", argRequired, "time file", yes, no, yes, "sets a file's time of change in UTC", []string{"MFMT"}, none, (*session).handleMFMT},

	{"PWD", "XPWD", "959 4.1.3", argNone, none, yes, no, no, "names the current directory", nil, none, (*session).handlePWD},
	{"MKD", "XMKD", "959 4.1.3", argRequired, "directory", yes, no, yes, "makes a directory", nil, none, (*session).handleMKD},
	{"RMD", "XRMD", "959 4.1.3", argRequired, "directory", yes, no, yes, "removes an empty directory", nil, none, (*session).handleRMD},
	{"DELE", none, "959 4.1.3", argRequired, "file", yes, no, yes, "deletes a file", nil, none, (*session).handleDELE},
	{"RNFR", none, "959 4.1.3", argRequired, "path", yes, no, yes, "begins a rename", nil, none, (*session).handleRNFR},
	{"RNTO", none, "959 4.1.3", argRequired, "path", yes, no, yes, "ends a rename; a file of that name is replaced", nil, none, (*session).handleRNTO},

	{"SYST", none, "959 4.1.3", argNone, none, no, no, no, "says what LIST looks like", nil, none, (*session).handleSYST},
	{"STAT", none, "959 4.1.3", argOptional, "path", no, yes, no, "says how things stand, or lists a path on the control connection", nil, none, (*session).handleSTAT},
	{"HELP", none, "959 4.1.3", argOptional, "command", no, no, no, "lists the commands or explains one", nil, none, (*session).handleHELP},
	{"SITE", none, "959 4.1.3", argRequired, "HELP|CHMOD|UTIME|UMASK|IDLE", no, no, no, "leads to commands beyond the RFCs", nil, none, (*session).handleSITE},
	{"NOOP", none, "959 4.1.3", argNone, none, no, no, no, "does nothing", nil, none, (*session).handleNOOP},
	{"FEAT", none, "2389 3", argNone, none, no, no, no, "lists the extensions", nil, none, (*session).handleFEAT},
	{"OPTS", none, "2389 4", argRequired, "MLST facts|UTF8 ON", no, no, no, "sets how MLST and MLSD describe", []string{"UTF8"}, none, (*session).handleOPTS},
	{"LANG", none, "2640 4", argOptional, "EN", no, no, no, "chooses the language of replies", []string{"LANG EN*"}, none, (*session).handleLANG},
	{"CLNT", none, "none", argRequired, "client", no, no, no, "lets the client say what it is", []string{"CLNT"}, none, (*session).handleCLNT},

	{"AUTH", none, "4217 4", argRequired, "TLS", no, no, no, "begins TLS on the control connection", []string{featTLS + "AUTH TLS"}, none, (*session).handleAUTH},
	{"PBSZ", none, "4217 8", argRequired, "0", no, no, no, "says that TLS needs no buffer; comes before PROT", []string{featTLS + "PBSZ"}, none, (*session).handlePBSZ},
	{"PROT", none, "4217 9", argRequired, "C|P", no, no, no, "sets data connections clear or protected", []string{featTLS + "PROT"}, none, (*session).handlePROT},

	{verb: "SMNT", rfc: "959 4.1.1", arg: argRequired, what: "path", refusal: "There is one file system; use CWD"},
	{verb: "CCC", rfc: "4217 12", refusal: "The control connection stays protected: TLS reads ahead here, and cannot hand plain bytes back"},
}

// commands is rows by verb and alias.
var commands = func() map[string]*command {
	m := make(map[string]*command, len(rows)+8)
	for i := range rows {
		m[rows[i].verb] = &rows[i]
		if rows[i].alias != none {
			m[rows[i].alias] = &rows[i]
		}
	}
	return m
}()

// ordered returns the rows of table once each, in alphabetical order.
func ordered(table map[string]*command) []*command {
	return slices.Compact(slices.SortedFunc(maps.Values(table), func(a, b *command) int { return cmp.Compare(a.verb, b.verb) }))
}

// syntax is how the command is written.
func (c *command) syntax() string {
	switch c.arg {
	case argRequired:
		return c.verb + " " + c.what
	case argOptional:
		return c.verb + " [" + c.what + "]"
	default:
		return c.verb
	}
}

// refusalCode tells a security command, whose refusal RFC 4217 reads as policy,
// from one that is just not there.
func (c *command) refusalCode() ftp.Code {
	if c.verb == "CCC" {
		return ftp.CodePolicyDenied
	}
	return ftp.CodeNotImplemented
}

// CommandInfo is one command as documents list it.
type CommandInfo struct {
	Verb   string
	Alias  string // its X form, or empty
	RFC    string // number and section, as in "959 4.1.3"
	Syntax string // as in "RNFR path" or "LIST [path]"
	Does   string // what it does; empty if it is not served
	Served bool
	Why    string // why it is not served, as the client is told
	Login  bool   // needs a login
	During bool   // answered while a transfer runs
	Writes bool   // refused to accounts that are read-only
}

// Commands lists every command the server knows, in the order of the RFCs'
// chapters, those that it refuses in so many words last.
func Commands() []CommandInfo {
	infos := make([]CommandInfo, len(rows))
	for i := range rows {
		c := &rows[i]
		infos[i] = CommandInfo{
			Verb: c.verb, Alias: c.alias, RFC: c.rfc, Syntax: c.syntax(), Does: c.does,
			Served: c.refusal == none, Why: c.refusal, Login: c.login, During: c.during, Writes: c.writes,
		}
	}
	return infos
}
