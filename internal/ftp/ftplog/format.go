package ftplog

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpserver"
)

// format turns events into lines.
type format interface {
	header(now time.Time) []byte
	// line returns nil for an event that the format has no line for.
	line(e ftpserver.Event) []byte
}

var formats = map[string]format{"w3c": w3c{}, "xferlog": xferlog{}, "json": jsonLines{}}

// secretArg stands for what is not shown.
const secretArg = "***"

// argument is what of a command's argument may be shown.
func argument(e ftpserver.Event) string {
	if (ftp.Command{Verb: e.Verb, Arg: e.Arg}).Secret() {
		return secretArg
	}
	return e.Arg
}

// w3c is the W3C extended log file format with the fields that IIS writes unless
// told otherwise, and behind them bytes and time taken (milliseconds), by IIS's
// names. Times are UTC.
type w3c struct{}

const w3cFields = "date time c-ip cs-username s-ip s-port cs-method cs-uri-stem sc-status sc-win32-status sc-substatus x-session x-fullpath sc-bytes cs-bytes time-taken"

func (w3c) header(now time.Time) []byte {
	return []byte("#Software: Sallyport\n#Version: 1.0\n#Date: " + now.UTC().Format("2006-01-02 15:04:05") + "\n#Fields: " + w3cFields + "\n")
}

func (w3c) line(e ftpserver.Event) []byte {
	method, stem := e.Verb, argument(e)
	switch e.Kind {
	case ftpserver.EventDataOpened:
		method, stem = "DataChannelOpened", ""
	case ftpserver.EventDataClosed:
		method, stem = "DataChannelClosed", ""
	}
	at := e.At.UTC()
	fields := []string{
		at.Format("2006-01-02"), at.Format("15:04:05"), address(e.Peer), e.Account, address(e.Local), strconv.Itoa(int(e.Local.Port())),
		method, stem, strconv.Itoa(int(e.Code)), "0", "0", strconv.FormatUint(e.Session, 10), e.Path,
		strconv.FormatInt(e.Sent, 10), strconv.FormatInt(e.Received, 10), strconv.FormatInt(e.Took.Milliseconds(), 10),
	}
	for i, f := range fields {
		fields[i] = w3cField(f)
	}
	return []byte(strings.Join(fields, " ") + "\n")
}

// w3cField writes a value without a space in it: as +, as IIS does; what would be
// misread for that, or is no visible character, in the manner of URLs.
func w3cField(s string) string {
	switch s {
	case "":
		return "-"
	case "-":
		return "%2D"
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == ' ':
			b.WriteByte('+')
		case r == '+' || r == '%' || r == utf8.RuneError && n == 1 || !unicode.IsGraphic(r) || unicode.IsSpace(r):
			for _, c := range []byte(s[i : i+n]) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

func address(ap netip.AddrPort) string {
	if !ap.IsValid() {
		return ""
	}
	return ap.Addr().String()
}

// xferlog is the format of wu-ftpd, as vsftpd writes it. Times are local, and a
// transfer takes a second at least.
type xferlog struct{}

func (xferlog) header(time.Time) []byte { return nil }

func (xferlog) line(e ftpserver.Event) []byte {
	if !e.File || e.Kind != ftpserver.EventCommand {
		return nil
	}
	direction, kind, access, end := "i", "b", "r", "i"
	if e.Verb == "RETR" {
		direction = "o"
	}
	if e.Text {
		kind = "a"
	}
	if e.Account == "anonymous" {
		access = "a"
	}
	if e.Err == nil && e.Code >= 200 && e.Code < 300 {
		end = "c"
	}
	fields := []string{
		e.At.Local().Format("Mon Jan _2 15:04:05 2006"),
		strconv.FormatInt(max(1, int64(e.Took/time.Second)), 10),
		address(e.Peer), strconv.FormatInt(e.Sent+e.Received, 10), xferName(e.Path),
		kind, "_", direction, access, xferName(e.Account), "ftp", "0", "*", end,
	}
	return []byte(strings.Join(fields, " ") + "\n")
}

// xferName writes a name as vsftpd does: _ for a space, ? for what cannot be seen.
// Letters beyond ASCII stay, as with wu-ftpd; vsftpd puts ? for them, too.
func xferName(s string) string {
	if s == "" {
		return "?"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '_'
		case r == utf8.RuneError || !unicode.IsGraphic(r) || unicode.IsSpace(r):
			return '?'
		default:
			return r
		}
	}, s)
}

// jsonLines is one JSON object a line.
type jsonLines struct{ site string }

type jsonLine struct {
	Time     time.Time `json:"time"`
	Site     string    `json:"site,omitempty"`
	Event    string    `json:"event"` // command, data-opened, data-closed
	Session  uint64    `json:"session"`
	User     string    `json:"user,omitempty"`
	Client   string    `json:"client"`
	Server   string    `json:"server"`
	Data     string    `json:"data,omitempty"`
	Host     string    `json:"host,omitempty"`
	Command  string    `json:"command,omitempty"`
	Argument string    `json:"argument,omitempty"`
	Path     string    `json:"path,omitempty"`
	Code     int       `json:"code,omitempty"`
	Sent     int64     `json:"sent,omitempty"`
	Received int64     `json:"received,omitempty"`
	Millis   int64     `json:"milliseconds"`
	Error    string    `json:"error,omitempty"`
}

func (jsonLines) header(time.Time) []byte { return nil }

func (j jsonLines) line(e ftpserver.Event) []byte {
	l := jsonLine{
		Time: e.At, Site: j.site, Event: "command", Session: e.Session, User: e.Account,
		Client: e.Peer.String(), Server: e.Local.String(), Host: e.Host, Command: e.Verb, Argument: argument(e), Path: e.Path,
		Code: int(e.Code), Sent: e.Sent, Received: e.Received, Millis: e.Took.Milliseconds(),
	}
	switch e.Kind {
	case ftpserver.EventDataOpened:
		l.Event = "data-opened"
	case ftpserver.EventDataClosed:
		l.Event = "data-closed"
	}
	if e.Data.IsValid() {
		l.Data = e.Data.String()
	}
	if e.Err != nil {
		l.Error = e.Err.Error()
	}
	b, err := json.Marshal(l)
	if err != nil {
		return nil // cannot be: the struct has nothing that JSON cannot say
	}
	return append(b, '\n')
}
