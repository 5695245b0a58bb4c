package ftp

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"sallyport.dev/internal/fault"
)

// ErrProtocol says that EPRT or EPSV named a network protocol other than 1
// (IPv4) and 2 (IPv6). RFC 2428 answers it with 522 and the list "(1,2)".
var ErrProtocol error = &protocolError{}

type protocolError struct{}

func (*protocolError) Error() string { return "network protocol is neither 1 (IPv4) nor 2 (IPv6)" }
func (e *protocolError) Unwrap() error {
	return &fault.Error{Kind: fault.Unsupported, Text: e.Error()}
}

var errSixNumbers = errors.New("not six numbers")

// ParsePort parses the argument of PORT: h1,h2,h3,h4,p1,p2, each a decimal
// number from 0 to 255, nothing around them (RFC 959 section 4.1.2). Port 0 is
// refused. The error is a [*SyntaxError].
func ParsePort(arg string) (netip.AddrPort, error) {
	ap, err := parseSix(arg)
	if err != nil {
		return netip.AddrPort{}, &SyntaxError{What: "argument of PORT", Line: arg, Want: "h1,h2,h3,h4,p1,p2, each from 0 to 255, and a port above 0"}
	}
	return ap, nil
}

// FormatPort returns ap as PORT's argument, or "" if ap is not IPv4, which PORT
// cannot say.
func FormatPort(ap netip.AddrPort) string {
	addr := ap.Addr().Unmap()
	if !addr.Is4() {
		return ""
	}
	b := make([]byte, 0, len("255,255,255,255,255,255"))
	for _, n := range addr.As4() {
		b = append(strconv.AppendUint(b, uint64(n), 10), ',')
	}
	b = append(strconv.AppendUint(b, uint64(ap.Port()>>8), 10), ',')
	return string(strconv.AppendUint(b, uint64(ap.Port()&0xFF), 10))
}

// parseSix parses exactly six numbers.
func parseSix(s string) (netip.AddrPort, error) {
	var n [6]byte
	for i := range n {
		digits := s
		if i < 5 {
			var ok bool
			if digits, s, ok = strings.Cut(s, ","); !ok {
				return netip.AddrPort{}, errSixNumbers
			}
		}
		v, ok := decimal(digits, 3)
		if !ok || v > 255 {
			return netip.AddrPort{}, errSixNumbers
		}
		n[i] = byte(v) //nolint:gosec // bounded above
	}
	port := uint16(n[4])<<8 | uint16(n[5])
	if port == 0 {
		return netip.AddrPort{}, errSixNumbers
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(n[:4])), port), nil
}

// decimal parses 1 to most digits and nothing else.
func decimal(s string, most int) (int, bool) {
	if len(s) == 0 || len(s) > most {
		return 0, false
	}
	v := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		v = v*10 + int(s[i]-'0')
	}
	return v, true
}

// ParseEprt parses the argument of EPRT (RFC 2428 section 2): a delimiter of the
// codes 33 to 126, then protocol, address and port between four of them. A
// protocol other than 1 and 2 is [ErrProtocol], all else a [*SyntaxError]. Port 0
// and addresses with a zone are refused.
func ParseEprt(arg string) (netip.AddrPort, error) {
	bad := &SyntaxError{What: "argument of EPRT", Line: arg, Want: "|1|IPv4 address|port| or |2|IPv6 address|port|"}
	if len(arg) < 2 || !delimiter(arg[0]) || arg[len(arg)-1] != arg[0] || len(arg) > 128 {
		return netip.AddrPort{}, bad
	}
	parts := strings.Split(arg[1:len(arg)-1], arg[:1])
	if len(parts) != 3 {
		return netip.AddrPort{}, bad
	}
	family, ok := decimal(parts[0], 5)
	if !ok {
		return netip.AddrPort{}, bad
	}
	if family != 1 && family != 2 {
		return netip.AddrPort{}, ErrProtocol
	}
	addr, err := netip.ParseAddr(parts[1])
	port, ok := parsePortNumber(parts[2])
	if err != nil || !ok || addr.Zone() != "" || addr.Is4() != (family == 1) {
		return netip.AddrPort{}, bad
	}
	return netip.AddrPortFrom(addr.Unmap(), port), nil
}

// FormatEprt returns ap as EPRT's argument, or "" if ap has no address.
func FormatEprt(ap netip.AddrPort) string {
	addr := ap.Addr().Unmap().WithZone("")
	family := "|2|"
	switch {
	case !addr.IsValid():
		return ""
	case addr.Is4():
		family = "|1|"
	}
	return family + addr.String() + "|" + strconv.Itoa(int(ap.Port())) + "|"
}

// ParsePasvReply returns the address in a 227 reply. Servers agree on six numbers
// and on nothing around them, so they are searched for, as RFC 1123 section
// 4.1.2.6 says; parentheses are optional. A run of more than six numbers, or one
// of them above 255, is a [*SyntaxError], as is another code.
func ParsePasvReply(r Reply) (netip.AddrPort, error) {
	if r.Code == CodePassive {
		for _, line := range r.Lines {
			run := sixNumbers(line)
			if run == "" {
				continue
			}
			if ap, err := parseSix(run); err == nil {
				return ap, nil
			}
			break
		}
	}
	return netip.AddrPort{}, &SyntaxError{What: "reply to PASV", Line: replyLine(r), Want: "227 with h1,h2,h3,h4,p1,p2 and a port above 0"}
}

// sixNumbers returns the first run of digits and commas that has five commas or
// more, without a comma at its ends.
func sixNumbers(s string) string {
	for i := 0; i < len(s); {
		start := i
		for i < len(s) && (s[i] == ',' || s[i] >= '0' && s[i] <= '9') {
			i++
		}
		if run := strings.Trim(s[start:i], ","); strings.Count(run, ",") >= 5 {
			return run
		}
		i++
	}
	return ""
}

// FormatPasvReply returns the 227 reply that announces ap. PASV cannot say an
// address that is not IPv4: then the reply is RFC 2428's 522.
func FormatPasvReply(ap netip.AddrPort) Reply {
	six := FormatPort(ap)
	if six == "" {
		return NewReply(CodeBadProtocol, "PASV speaks IPv4 only, use EPSV (2)")
	}
	return NewReply(CodePassive, "Entering Passive Mode ("+six+").")
}

// ParseEpsvReply returns the port in a 229 reply: "(", a delimiter of the codes
// 33 to 126 that is no digit, the same twice more, the port, the same, ")"
// (RFC 2428 section 3). All else is a [*SyntaxError].
func ParseEpsvReply(r Reply) (uint16, error) {
	if r.Code == CodeExtendedPassive {
		for _, line := range r.Lines {
			for rest := line; ; {
				_, after, ok := strings.Cut(rest, "(")
				if !ok {
					break
				}
				if port, ok := epsvTriple(after); ok {
					return port, nil
				}
				rest = after
			}
		}
	}
	return 0, &SyntaxError{What: "reply to EPSV", Line: replyLine(r), Want: "229 with (|||port|) and a port above 0"}
}

// epsvTriple parses what follows the opening parenthesis.
func epsvTriple(s string) (uint16, bool) {
	body, _, ok := strings.Cut(s, ")")
	if !ok || len(body) < 5 || !delimiter(body[0]) || body[0] >= '0' && body[0] <= '9' {
		return 0, false
	}
	d := body[0]
	if body[1] != d || body[2] != d || body[len(body)-1] != d {
		return 0, false
	}
	return parsePortNumber(body[3 : len(body)-1])
}

// FormatEpsvReply returns the 229 reply that announces port.
func FormatEpsvReply(port uint16) Reply {
	return NewReply(CodeExtendedPassive, "Entering Extended Passive Mode (|||"+strconv.Itoa(int(port))+"|)")
}

// EpsvArg is what a client asks for with EPSV (RFC 2428 sections 3 and 4).
type EpsvArg uint8

// The arguments of EPSV.
const (
	EpsvAny  EpsvArg = iota // no argument: the control connection's protocol
	EpsvIPv4                // "1"
	EpsvIPv6                // "2"
	EpsvAll                 // "ALL": from now on nothing but EPSV
)

// ParseEpsvArg parses EPSV's argument, the word in either case. A number that
// stands for neither IPv4 nor IPv6 is [ErrProtocol], all else a [*SyntaxError].
func ParseEpsvArg(arg string) (EpsvArg, error) {
	switch {
	case arg == "":
		return EpsvAny, nil
	case arg == "1":
		return EpsvIPv4, nil
	case arg == "2":
		return EpsvIPv6, nil
	case strings.EqualFold(arg, "ALL"):
		return EpsvAll, nil
	}
	if _, ok := decimal(arg, 5); ok {
		return EpsvAny, ErrProtocol
	}
	return EpsvAny, &SyntaxError{What: "argument of EPSV", Line: arg, Want: "nothing, 1, 2 or ALL"}
}

func delimiter(c byte) bool { return c >= 33 && c <= 126 }

// parsePortNumber parses a port from 1 to 65535.
func parsePortNumber(s string) (uint16, bool) {
	n, ok := decimal(s, 5)
	if !ok || n == 0 || n > 65535 {
		return 0, false
	}
	return uint16(n), true //nolint:gosec // bounded above
}

// replyLine shows a reply in an error.
func replyLine(r Reply) string {
	return clip(strconv.Itoa(int(r.Code))+" "+r.Text(), 256)
}
