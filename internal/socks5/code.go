package socks5

import (
	"errors"
	"fmt"
	"syscall"

	"sallyport.dev/internal/fault"
)

// Code is the answer to a request (RFC 1928 section 6).
type Code byte

// The codes.
const (
	Succeeded           Code = 0
	GeneralFailure      Code = 1
	NotAllowed          Code = 2
	NetworkUnreachable  Code = 3
	HostUnreachable     Code = 4
	ConnectionRefused   Code = 5
	TTLExpired          Code = 6
	CommandNotSupported Code = 7
	AddressNotSupported Code = 8
	lastCode                 = AddressNotSupported
	seeLog                   = "the proxy's log says more"
	noConnector              = "no connector of that location is connected to the gateway; look at `sallyport gateway connectors`"
	notMapped                = "no mapping of a connector covers this host and port for this user; look at `sallyport gateway connectors`, and let the proxy resolve names (socks5h)"
)

// codes is the one table between what went wrong here and what SOCKS can say, and
// back again on the client's side.
var codes = [...]struct {
	text string
	kind fault.Kind
	hint string
}{
	Succeeded:           {"succeeded", fault.Internal, ""},
	GeneralFailure:      {"general failure", fault.Internal, seeLog},
	NotAllowed:          {"not allowed by ruleset", fault.Denied, notMapped},
	NetworkUnreachable:  {"network unreachable", fault.Unreachable, noConnector},
	HostUnreachable:     {"host unreachable", fault.Unreachable, "the connector cannot reach the server; " + seeLog},
	ConnectionRefused:   {"connection refused", fault.Unreachable, "nothing listens at the server's address; is the server running?"},
	TTLExpired:          {"timed out", fault.TimedOut, "a firewall between connector and server may drop the connection; " + seeLog},
	CommandNotSupported: {"command not supported", fault.Unsupported, "the proxy serves CONNECT; use passive mode"},
	AddressNotSupported: {"address type not supported", fault.Unsupported, "send a name, an IPv4 or an IPv6 address"},
}

var codeOfKind = map[fault.Kind]Code{
	fault.Internal:        GeneralFailure,
	fault.Invalid:         GeneralFailure,
	fault.Unauthenticated: NotAllowed,
	fault.Denied:          NotAllowed,
	fault.NotFound:        HostUnreachable,
	fault.Exists:          GeneralFailure,
	fault.Busy:            GeneralFailure,
	fault.Unreachable:     HostUnreachable,
	fault.TimedOut:        TTLExpired,
	fault.Full:            GeneralFailure,
	fault.Unsupported:     CommandNotSupported,
	fault.Canceled:        GeneralFailure,
}

// String returns the code's meaning.
func (c Code) String() string {
	if c <= lastCode {
		return codes[c].text
	}
	return fmt.Sprintf("code 0x%02x", byte(c))
}

// CodeOf returns what SOCKS says for err; nil gives [Succeeded]. Beside the kind,
// two errors of the operating system count wherever they stand in the chain:
// ECONNREFUSED is 5, and ENETUNREACH, with which a gateway says that no connector
// of the location is there, is 3.
func CodeOf(err error) Code {
	switch {
	case err == nil:
		return Succeeded
	case errors.Is(err, syscall.ENETUNREACH):
		return NetworkUnreachable
	case errors.Is(err, syscall.ECONNREFUSED):
		return ConnectionRefused
	case errors.Is(err, errAddressType):
		return AddressNotSupported
	}
	return codeOfKind[fault.KindOf(err)]
}

// fault returns the error that a client of the proxy gets for c.
func (c Code) fault(what string) error {
	kind, hint := fault.Internal, seeLog
	if c <= lastCode {
		kind, hint = codes[c].kind, codes[c].hint
	}
	return fault.New(kind, "%s: the proxy says %q", what, c.String()).WithHint("%s", hint)
}
