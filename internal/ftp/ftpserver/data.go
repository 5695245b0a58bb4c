package ftpserver

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
)

// minPort is the lowest port that data connections go to: below are services
// that nobody must be able to make us talk to (RFC 2577 section 3).
const minPort = 1024

// dataSource is how the next data connection comes about.
type dataSource interface {
	// open waits for the connection or makes it, until ctx ends.
	open(ctx context.Context) (net.Conn, error)
	// close gives up a connection that was not opened.
	close()
}

func (s *session) setData(d dataSource) {
	s.dropData()
	s.data = d
}

// dropData gives up the data connection that was asked for and not used.
func (s *session) dropData() {
	if s.data != nil {
		s.data.close()
		s.data = nil
	}
}

// takeData hands the data connection to a transfer.
func (s *session) takeData() dataSource {
	d := s.data
	s.data = nil
	return d
}

// setActive answers PORT and EPRT. Data goes to the client's own address and to
// no privileged port, whatever it asks for (RFC 2577 section 3).
func (s *session) setActive(verb string, ap netip.AddrPort) {
	peer := s.peer.Addr()
	switch {
	case s.policy.Active.Off:
		s.reply(ftp.CodeNotImplemented, "Active mode is off at this site; use EPSV or PASV")
	case s.epsvOnly:
		s.reply(ftp.CodeBadSequence, verb+" is off after EPSV ALL; use EPSV")
	case ap.Addr().Is4() != peer.Is4():
		s.reply(ftp.CodeBadProtocol, "The control connection speaks another protocol, use ("+s.family()+")")
	case ap.Addr() != peer.WithZone("") && !ap.Addr().IsUnspecified(): // lftp says "::" and means itself
		s.reply(ftp.CodeBadParameter, "Data connections go to "+peer.String()+" only, where you come from; behind a NAT use EPSV or PASV")
	case ap.Port() < minPort:
		s.reply(ftp.CodeBadParameter, "Data connections go to ports from 1024 to 65535 only")
	default:
		s.setData(activeTarget{network: s.srv.Network, local: netip.AddrPortFrom(s.local.Addr(), s.policy.Active.SourcePort), remote: netip.AddrPortFrom(peer, ap.Port())})
		s.reply(ftp.CodeOK, verb+" command successful")
	}
}

// family is the control connection's protocol in RFC 2428's numbers.
func (s *session) family() string {
	if s.peer.Addr().Is4() {
		return "1"
	}
	return "2"
}

func (s *session) handlePORT(arg string) {
	ap, err := ftp.ParsePort(arg)
	if err != nil {
		s.badArgument(err)
		return
	}
	s.setActive("PORT", ap)
}

func (s *session) handleEPRT(arg string) {
	ap, err := ftp.ParseEprt(arg)
	switch {
	case errors.Is(err, ftp.ErrProtocol):
		s.reply(ftp.CodeBadProtocol, "Network protocol not supported, use ("+s.family()+")")
	case err != nil:
		s.badArgument(err)
	default:
		s.setActive("EPRT", ap)
	}
}

func (s *session) handlePASV(string) {
	if s.epsvOnly {
		s.reply(ftp.CodeBadSequence, "PASV is off after EPSV ALL; use EPSV")
		return
	}
	addr := s.announced()
	if !addr.Is4() {
		s.send(ftp.FormatPasvReply(netip.AddrPortFrom(addr, minPort))) // 522: PASV cannot say IPv6
		return
	}
	if w, ok := s.lease(); ok {
		s.send(ftp.FormatPasvReply(netip.AddrPortFrom(addr, w.number())))
	}
}

// announced is the address that PASV names.
func (s *session) announced() netip.Addr {
	own, p := s.local.Addr(), s.policy.Passive
	if !own.Is4() {
		return own // whoever came by IPv6 is not sent elsewhere
	}
	ext := p.ExternalIP
	if p.External != nil {
		ext = p.External(s.peer.Addr())
	}
	if ext = ext.Unmap(); ext.Is4() {
		return ext
	}
	return own
}

func (s *session) handleEPSV(arg string) {
	want, err := ftp.ParseEpsvArg(arg)
	switch {
	case errors.Is(err, ftp.ErrProtocol),
		want == ftp.EpsvIPv4 && !s.peer.Addr().Is4(), want == ftp.EpsvIPv6 && s.peer.Addr().Is4():
		s.reply(ftp.CodeBadProtocol, "Network protocol not supported, use ("+s.family()+")")
	case err != nil:
		s.badArgument(err)
	case want == ftp.EpsvAll:
		s.epsvOnly = true
		s.reply(ftp.CodeOK, "EPSV ALL: from now on nothing but EPSV")
	default:
		if w, ok := s.lease(); ok {
			s.send(ftp.FormatEpsvReply(w.number()))
		}
	}
}

// lease claims a passive port, giving up an earlier claim first, or answers 425.
func (s *session) lease() (*passiveWait, bool) {
	s.dropData()
	w, err := s.pool.lease(s.local.Addr(), s.peer.Addr())
	if err != nil {
		s.log.Warn("no passive port", "err", err)
		s.reply(ftp.CodeNoDataConnection, sentence(fault.Public(err)))
		return nil, false
	}
	s.setData(w)
	return w, true
}
