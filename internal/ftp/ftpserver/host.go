package ftpserver

import (
	"net/netip"
	"strings"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// HOST, RFC 7151: several sites at one address.

// handleHOST chooses a site by name, before a login.
func (s *session) handleHOST(arg string) {
	host, ok := hostName(arg)
	switch {
	case s.door == nil:
		s.reply(ftp.CodeNotImplemented, "There is one site at this address; go on with USER")
		return
	case !ok:
		s.reply(ftp.CodeBadArgument, "Want a name, an IPv4 address, or an IPv6 address in brackets, without a port")
		return
	case s.account != nil || s.user != "":
		s.reply(ftp.CodeBadSequence, "HOST comes before USER; REIN begins anew")
		return
	case s.tls != nil && s.tls.name != "" && !strings.EqualFold(s.tls.name, host):
		s.reply(ftp.CodeBadParameter, "TLS was begun with another name")
		return
	}
	srv := s.door.named(host)
	if srv == nil {
		s.reply(ftp.CodeBadParameter, "There is no site of that name at this address")
		return
	}
	if err := s.mayMove(srv); err != nil {
		s.reply(ftp.CodeBadParameter, sentence(fault.Public(err)))
		return
	}
	if !s.moveTo(srv) {
		return
	}
	s.reset() // RFC 7151 section 3: as if the connection were new
	s.byHost, s.hostName = srv, host
	s.reply(ftp.CodeReady, s.banner()...)
}

// hostName returns the name in HOST's argument (RFC 7151 section 3.1), in lower
// case, an IPv6 address without its brackets.
func hostName(arg string) (string, bool) {
	if inner, ok := strings.CutPrefix(arg, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		return addr.String(), ok && err == nil && addr.Is6() && addr.Zone() == ""
	}
	if arg == "" || len(arg) > 253 {
		return "", false
	}
	for i := range len(arg) {
		switch c := arg[i] | 0x20; {
		case c >= 'a' && c <= 'z', arg[i] >= '0' && arg[i] <= '9', arg[i] == '-', arg[i] == '.', arg[i] >= 0x80:
		default:
			return "", false
		}
	}
	return strings.ToLower(arg), true
}
