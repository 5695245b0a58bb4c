package socks5

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
)

const (
	version     = 5 // RFC 1928 section 3
	authVersion = 1 // RFC 1929 section 2
)

// Method is a way for a client to say who it is (RFC 1928 section 3).
type Method byte

// The methods that this package has words for.
const (
	MethodNone     Method = 0x00
	MethodGSSAPI   Method = 0x01
	MethodPassword Method = 0x02 // RFC 1929
	MethodJWT      Method = 0x80 // a private one: a token and a location
	MethodRefused  Method = 0xFF // none of those offered
)

// String returns the method's number and meaning.
func (m Method) String() string {
	switch m {
	case MethodNone:
		return "0x00 (none)"
	case MethodGSSAPI:
		return "0x01 (GSSAPI)"
	case MethodPassword:
		return "0x02 (user and password)"
	case MethodJWT:
		return "0x80 (token)"
	case MethodRefused:
		return "0xff (refused)"
	}
	return fmt.Sprintf("0x%02x", byte(m))
}

// Command is what a client asks for (RFC 1928 section 4).
type Command byte

// The commands.
const (
	Connect Command = 1
	Bind    Command = 2
	UDP     Command = 3
)

// String returns the command as RFC 1928 spells it.
func (c Command) String() string {
	switch c {
	case Connect:
		return "CONNECT"
	case Bind:
		return "BIND"
	case UDP:
		return "UDP ASSOCIATE"
	}
	return fmt.Sprintf("command 0x%02x", byte(c))
}

// Kinds of addresses on the wire (RFC 1928 section 5).
const (
	typeIPv4   = 1
	typeDomain = 3
	typeIPv6   = 4
)

var errAddressType = errors.New("neither IPv4, name nor IPv6")

// Address is a host and a port. Host is a name of 1 to 255 letters, digits,
// hyphens, underscores and dots that nobody has resolved, or the text of an IP
// address.
type Address struct {
	Host string
	Port uint16
}

// String returns host:port, IPv6 addresses in brackets.
func (a Address) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))) }

// IP returns the host as an IP address; a name gives false.
func (a Address) IP() (netip.Addr, bool) {
	ip, err := netip.ParseAddr(a.Host)
	return ip, err == nil
}

// ReadGreeting reads the first message of a client and returns the methods it
// offers. It never reads beyond the message, nor do the other Read functions:
// what follows may be meant for somebody else.
func ReadGreeting(r io.Reader) ([]Method, error) {
	var head [2]byte
	if err := readFull(r, head[:]); err != nil {
		return nil, err
	}
	if head[0] != version {
		return nil, notSOCKS5(head[0])
	}
	offered := make([]byte, head[1])
	if err := readFull(r, offered); err != nil {
		return nil, err
	}
	methods := make([]Method, len(offered))
	for i, m := range offered {
		methods[i] = Method(m)
	}
	return methods, nil
}

// notSOCKS5 recognises what else clients send to a proxy's port.
func notSOCKS5(first byte) error {
	switch {
	case first == 4:
		return fault.New(fault.Unsupported, "client speaks SOCKS4").WithHint("use SOCKS5 with names resolved by the proxy (socks5h)")
	case first >= 'A' && first <= 'Z':
		return fault.New(fault.Unsupported, "client speaks HTTP, this is a SOCKS5 port").WithHint("configure a SOCKS5 proxy (socks5h), not an HTTP proxy")
	case first == 0x16:
		return fault.New(fault.Unsupported, "client speaks TLS, this is a plain SOCKS5 port").WithHint("configure a SOCKS5 proxy (socks5h) without TLS to the proxy")
	}
	return fault.New(fault.Invalid, "first byte is 0x%02x, want 0x05 of SOCKS5", first)
}

// AppendGreeting appends a greeting that offers methods, at most 255 of them.
func AppendGreeting(b []byte, methods ...Method) []byte {
	methods = methods[:min(len(methods), 255)]
	b = append(b, version, byte(len(methods))) //nolint:gosec // bounded above
	for _, m := range methods {
		b = append(b, byte(m))
	}
	return b
}

// ReadCredentials reads RFC 1929's message.
func ReadCredentials(r io.Reader) (user string, password secret.Text, err error) {
	var v [1]byte
	if err := readFull(r, v[:]); err != nil {
		return "", secret.Text{}, err
	}
	if v[0] != authVersion {
		return "", secret.Text{}, fault.New(fault.Invalid, "version of the user and password message is %d, want 1", v[0])
	}
	u, err := readShort(r)
	if err != nil {
		return "", secret.Text{}, err
	}
	p, err := readShort(r)
	if err != nil {
		return "", secret.Text{}, err
	}
	return string(u), secret.New(string(p)), nil
}

// AppendCredentials appends RFC 1929's message. A user or password of more than
// 255 bytes, or an empty user, cannot be sent.
func AppendCredentials(b []byte, user string, password secret.Text) ([]byte, error) {
	p := password.Reveal()
	if user == "" || len(user) > 255 || len(p) > 255 {
		return b, fault.New(fault.Invalid, "SOCKS5 carries a user of 1 to 255 bytes and a password of at most 255")
	}
	b = append(append(b, authVersion, byte(len(user))), user...) //nolint:gosec // bounded above
	return append(append(b, byte(len(p))), p...), nil            //nolint:gosec // as above
}

// ReadRequest reads what a client asks for. An address type that nobody knows is
// of kind [fault.Unsupported], and cannot be skipped. The reserved byte is not
// looked at.
func ReadRequest(r io.Reader) (Command, Address, error) {
	b, addr, err := readMessage(r)
	return Command(b), addr, err
}

// AppendRequest appends a request. A host that is neither an IP address nor a name
// that SOCKS5 carries is of kind [fault.Invalid].
func AppendRequest(b []byte, c Command, a Address) ([]byte, error) {
	return appendMessage(b, byte(c), a)
}

// ReadReply reads the answer to a request.
func ReadReply(r io.Reader) (Code, Address, error) {
	b, addr, err := readMessage(r)
	return Code(b), addr, err
}

// AppendReply appends the answer to a request, with the address 0.0.0.0:0: where
// a tunnelled connection leaves from means nothing to its client.
func AppendReply(b []byte, c Code) []byte {
	return append(b, version, byte(c), 0, typeIPv4, 0, 0, 0, 0, 0, 0)
}

// readMessage reads the shape that requests and replies share.
func readMessage(r io.Reader) (byte, Address, error) {
	var head [4]byte
	if err := readFull(r, head[:]); err != nil {
		return 0, Address{}, err
	}
	if head[0] != version {
		return 0, Address{}, fault.New(fault.Invalid, "version of the message is %d, want 5", head[0])
	}
	host, err := readHost(r, head[3])
	if err != nil {
		return 0, Address{}, err
	}
	var port [2]byte
	if err := readFull(r, port[:]); err != nil {
		return 0, Address{}, err
	}
	return head[1], Address{Host: host, Port: binary.BigEndian.Uint16(port[:])}, nil
}

func readHost(r io.Reader, typ byte) (string, error) {
	switch typ {
	case typeIPv4, typeIPv6:
		var raw [16]byte
		ip := raw[:16]
		if typ == typeIPv4 {
			ip = raw[:4]
		}
		if err := readFull(r, ip); err != nil {
			return "", err
		}
		addr, _ := netip.AddrFromSlice(ip) // 4 or 16 bytes always are one
		return addr.Unmap().String(), nil
	case typeDomain:
		name, err := readShort(r)
		if err != nil {
			return "", err
		}
		return checkHost(string(name))
	}
	return "", fault.Wrap(fault.Unsupported, errAddressType, "address type 0x%02x", typ).WithHint("send a name, an IPv4 or an IPv6 address")
}

// checkHost returns a host as [Address] has it. Some clients send IP addresses as
// names, and then they are taken for what they are.
func checkHost(host string) (string, error) {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		return ip.Unmap().String(), nil
	}
	ok := len(host) >= 1 && len(host) <= 255
	for i := range len(host) {
		c := host[i] | 0x20
		ok = ok && (c >= 'a' && c <= 'z' || host[i] >= '0' && host[i] <= '9' || host[i] == '-' || host[i] == '.' || host[i] == '_')
	}
	if !ok {
		return "", fault.New(fault.Invalid, "host %q is no name", host).WithHint("names are made of letters, digits, hyphens, underscores and dots")
	}
	return host, nil
}

func appendMessage(b []byte, second byte, a Address) ([]byte, error) {
	host, err := checkHost(a.Host)
	if err != nil {
		return b, err
	}
	b = append(b, version, second, 0)
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Is4() {
			b = append(b, typeIPv4)
		} else {
			b = append(b, typeIPv6)
		}
		b = append(b, ip.AsSlice()...)
	} else {
		b = append(append(b, typeDomain, byte(len(host))), host...) //nolint:gosec // bounded above
	}
	return binary.BigEndian.AppendUint16(b, a.Port), nil
}

// readShort reads a length of one byte and that many bytes.
func readShort(r io.Reader) ([]byte, error) {
	var n [1]byte
	if err := readFull(r, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, n[0])
	return b, readFull(r, b)
}

// readFull is io.ReadFull that calls an end before the first byte of b what it
// is within a message.
func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
